"""Each rule of writing: the text it gives, and that the numbers stay the same."""

import numpy as np
import pytest

from clearprop import ops
from clearprop.ir import Batch, Type
from clearprop.ops.tensor import emit
from clearprop.testing import check_program

N = Batch()
X = Type("float32", (N, 3))
V = Type("float32", (N,))
B = Type("float32", (3,))
C = Type("float32")
I = Type("int32", (N, 3))  # noqa: E741
BOOL = Type("bool", (N, 3))

RULES = [
    # constants
    ("x * 0.1", lambda x: x * 0.1, [X]),
    ("1 - x", lambda x: 1.0 - x, [X]),
    ("x - 0.5", lambda x: x + -0.5, [X]),
    ("x * -0.0", lambda x: x * -0.0, [X]),
    ("np.maximum(x, -np.inf)", lambda x: ops.maximum(x, -np.inf), [X]),
    ("x * np.nan", lambda x: x * np.nan, [X]),
    ("x * 2.0**-24", lambda x: x * 2.0**-24, [X]),
    ("np.float32(0.5)", lambda x: ops.constant(0.5, "float32"), [X]),
    ("np.exp(np.float32(0.5))", lambda x: ops.exp(ops.constant(0.5, "float32")), [X]),
    ("np.float32(1) / 3", lambda x: ops.constant(1.0, "float32") / 3.0, [X]),
    ("np.float32(1) / n", lambda x: 1.0 / ops.element_count(x, 0), [X]),
    ("np.sum(x) / (3 * n)", lambda x: ops.mean(x), [X]),
    ("x + np.array([1, 2.5, 3], dtype=np.float32)", lambda x: x + np.array([1, 2.5, 3]), [X]),
    ("x & True", lambda x: ops.logical_and(x, True), [BOOL]),
    ("x * 3", lambda x: x * 3, [I]),
    ("np.zeros((n, 3), dtype=np.float32)", lambda x: ops.broadcast_to(ops.constant(0.0, "float32"), (N, 3)), [X]),
    ("np.ones(n)", lambda x: ops.broadcast_to(ops.constant(1.0, "float64"), (N,)), [X]),
    ("np.full((n, 3), 7, dtype=np.int32)", lambda x: ops.broadcast_to(ops.constant(7, "int32"), (N, 3)), [X]),
    ("np.arange(4)", lambda x: ops.arange(4), [X]),
    ("np.arange(n, dtype=np.float32)", lambda x: ops.arange(N, "float32"), [X]),
    # broadcasting
    ("x + y", lambda x, y: x + y, [X, B]),
    ("np.broadcast_to(x, (n, 3))", lambda x: ops.broadcast_to(x, (N, 3)), [B]),
    ("np.full((n, 3), x)", lambda x: ops.broadcast_to(x, (N, 3)), [C]),
    ("np.broadcast_to(x + 1, (n, 3))", lambda x: ops.broadcast_to(x, (N, 3)) + 1.0, [B]),
    ("np.where(x > 0, y, 0)", lambda x, y: ops.where(x > 0.0, y, 0.0), [X, B]),
    ("np.where(x, np.float32(1), 0)", lambda x: ops.where(x, ops.constant(1.0, "float32"), 0.0), [BOOL]),
    ("np.sum(np.full(n, x))", lambda x, y: ops.sum(ops.broadcast_to(x, (N,))), [C, X]),
    ("x - y[:, np.newaxis]", lambda x, y: x - ops.reshape(y, (N, 1)), [X, V]),
    ("x - -y[:, np.newaxis]", lambda x, y: x - ops.reshape(-y, (N, 1)), [X, V]),
    ("x * y", lambda x, y: x * ops.reshape(y, (1, 3)), [X, B]),
    # reductions
    ("np.sum(x, axis=0)", lambda x: ops.sum(x, 0), [X]),
    ("np.sum(x)", lambda x: ops.sum(x), [X]),
    ("np.sum(x, axis=(0, 2))", lambda x: ops.sum(x, (0, 2)), [Type("float32", (N, 3, 2))]),
    ("np.sum(x, axis=1, keepdims=True)", lambda x: ops.sum(x, 1, keepdims=True), [X]),
    ("x - np.max(x, axis=1, keepdims=True)", lambda x: x - ops.max(x, 1, keepdims=True), [Type("float32", (2, 3))]),
    ("np.sum(x, axis=0, dtype=np.int32)", lambda x: ops.sum(x, 0), [I]),
    # shapes
    ("x.T", lambda x: ops.permute_dims(x), [X]),
    ("x.T @ y", lambda x, y: ops.permute_dims(x) @ y, [X, X]),
    ("(x + y).T", lambda x, y: ops.permute_dims(x + y), [X, X]),
    ("np.transpose(x, (0, 2, 1))", lambda x: ops.permute_dims(x, (0, 2, 1)), [Type("float32", (N, 3, 2))]),
    ("np.reshape(x, (n, 6))", lambda x: ops.flatten(x), [Type("float32", (N, 3, 2))]),
    ("x[:, 1:]", lambda x: x[:, 1:3], [X]),
    ("x[:2]", lambda x: x[0:2], [B]),
    ("x[:, ::2]", lambda x: x[:, ::2], [X]),
    ("x[:, 1]", lambda x: x[:, 1], [X]),
    ("x[:, 0]", lambda x: x[:, 0], [Type("float32", (N, 3, 2))]),
    ("x[:, :, 1]", lambda x: x[:, :, 1], [Type("float32", (N, 3, 2))]),
    ("np.pad(x, ((0, 0), (1, 2)))", lambda x: ops.pad(x, (0, 1), (0, 2)), [X]),
    ("np.concatenate((x, y), axis=1)", lambda x, y: ops.concat([x, y], 1), [X, X]),
    # arithmetic
    ("x**2", lambda x: x * x, [X]),
    ("np.exp(x) ** 2", lambda x: ops.square(ops.exp(x)), [X]),
    ("np.square(x)", lambda x: x * x, [C]),
    ("np.square(x)", lambda x: x * x, [I]),
    ("2 * np.exp(x)", lambda x: (lambda u: u + u)(ops.exp(x)), [X]),
    ("x - np.exp(y)", lambda x, y: x + -ops.exp(y), [X, X]),
    ("x**3", lambda x: x**3.0, [X]),
    ("x**-1", lambda x: x**-1.0, [X]),
    ("x ** np.full((n, 3), 0.5, dtype=np.float32)", lambda x: x**0.5, [X]),
    ("x > 0", lambda x: x > 0.0, [X]),
    ("x >= 0", lambda x: x >= 0.0, [X]),
    ("x < 0", lambda x: x < 0.0, [X]),
    ("x.astype(np.float64)", lambda x: ops.astype(x, "float64"), [X]),
    ("(x < y).astype(np.float32)", lambda x, y: ops.astype(x < y, "float32"), [X, X]),
    ("np.float64(x)", lambda x: ops.astype(x, "float64"), [C]),
    ("np.asarray(x).astype(np.int64)", lambda x: ops.astype(x, "int64"), [C]),
    ("x", lambda x: ops.stop_gradient(x), [X]),
]


def test_the_sign_of_zero_is_written(source):
    program = ops.trace(lambda x: x * -0.0, {"x": C})
    assert np.signbit(source.compile(program)({"x": np.float32(1)})["result"])


@pytest.mark.parametrize(("expected", "function", "types"), RULES, ids=[rule[0] for rule in RULES])
def test_a_rule(expected, function, types, source):
    program = ops.trace(function, dict(zip("xy", types, strict=False)))
    printed = source.compile(program)
    assert f"    result = {expected}\n" in printed.text
    assert check_program(program, source, sizes=(0, 1, 4)) > 0


def test_no_shortcut_is_taken_where_it_would_change_a_number(source):
    program = ops.trace(lambda x, y: {"root": x**0.5, "power": x ** ops.broadcast_to(y, (N, 3))}, {"x": X, "y": C})
    special = np.array([[-np.inf, -0.0, 0.25]], np.float32)
    received = source.compile(program)({"x": special, "y": np.float32(0.5)})
    np.testing.assert_array_equal(received["root"], [[np.inf, 0.0, 0.5]])
    np.testing.assert_array_equal(received["power"], [[np.inf, 0.0, 0.5]])


def test_a_record_without_a_rule_is_printed_as_it_stands(source):
    program = ops.trace(lambda x, y: emit("take", x, y), {"x": Type("float32", (4, 2)), "y": Type("int64", (N,))})
    assert "result = x[y]" in source.compile(program).text


def test_the_parts_of_a_split_are_taken_from_one_line(source):
    text = source.compile(ops.trace(lambda x: ops.multiply(*ops.split(x, 2, 0)), {"x": Type("float32", (4, 3))})).text
    assert "    parts = np.split(x, 2, axis=0)\n" in text
    assert "    result = parts[0] * parts[1]\n" in text
