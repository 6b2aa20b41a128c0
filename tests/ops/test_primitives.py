"""Every primitive: its type rule against what NumPy does, and its meaning against something independent."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special

from clearprop import ops
from clearprop.backends.reference import Reference
from clearprop.backends.reference.evaluate import resolve
from clearprop.ir import Batch, Type, resolve_shape, verify
from clearprop.ops import PRIMITIVES, Example, OpDef, rule_of
from clearprop.testing import draw_example, example_attrs, example_program

N = Batch()
CASES = [(name, i) for name, operation in sorted(PRIMITIVES.items()) for i in range(len(operation.examples))]


def run(operation: OpDef, example: Example, dtype: str, n: int) -> tuple[list[Any], dict[str, Any], Any]:
    inputs = draw_example(example, np.random.default_rng(n), n, dtype)
    attrs = {key: resolve(value, n) for key, value in example_attrs(example, dtype).items()}
    return inputs, attrs, operation.evaluate(*inputs, **attrs)


@pytest.mark.parametrize("n", [0, 1, 3, 7])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "index"), CASES)
def test_the_type_rule_says_what_numpy_gives(name: str, index: int, dtype: str, n: int) -> None:
    operation = PRIMITIVES[name]
    example = operation.examples[index]
    program = example_program(name, example, dtype)
    verify(program, rule_of)
    if name == "max" and n == 0 and index == 1:
        with pytest.raises(ValueError, match="zero-size array"):  # there is no largest of no elements
            run(operation, example, dtype, n)
        return
    _, _, result = run(operation, example, dtype, n)
    results = result if isinstance(result, tuple) else (result,)
    for array, (_, value) in zip(results, program.outputs, strict=True):
        assert np.asarray(array).dtype == value.type.dtype
        assert np.shape(array) == resolve_shape(value.type.shape, n)


@pytest.mark.parametrize("name", sorted(PRIMITIVES))
def test_a_record_is_whole(name: str) -> None:
    operation = PRIMITIVES[name]
    assert operation.name == name
    assert operation.examples
    assert len({len(example.operands) for example in operation.examples}) == 1 or name == "concat"
    assert len({tuple(sorted(example.attrs)) for example in operation.examples}) == 1
    assert all(helper.__doc__ for helper in operation.helpers)
    assert operation.differentiable or name in {
        "equal", "less", "less_equal", "logical_not", "logical_and", "bitwise_right_shift", "random_bits",
    }  # fmt: skip


# -- independent meanings, by loops or by another library


def loops(function: Callable[..., Any]) -> Callable[..., Any]:
    return np.vectorize(function, otypes=[object])


def slice_loop(x: Any, start: Any, stop: Any, step: Any) -> Any:
    for axis, bounds in enumerate(zip(start, stop, step, strict=True)):
        x = np.take(x, list(range(*bounds)), axis=axis)
    return x


def split_loop(x: Any, parts: int, axis: int) -> list[Any]:
    size = x.shape[axis] // parts
    return [np.take(x, [part * size + i for i in range(size)], axis=axis) for part in range(parts)]


def pad_loop(x: Any, low: Any, high: Any, interior: Any) -> Any:
    sizes = [a + s + max(s - 1, 0) * i + b for a, s, i, b in zip(low, x.shape, interior, high, strict=True)]
    result = np.zeros(sizes, x.dtype)
    for index in np.ndindex(x.shape):
        place = tuple(a + k * (i + 1) for a, k, i in zip(low, index, interior, strict=True))
        result[place] = x[index]
    return result


def scatter_loop(indices: Any, rows: Any, size: int) -> Any:
    result = np.zeros((size, *rows.shape[indices.ndim :]), rows.dtype)
    for place in np.ndindex(indices.shape):
        result[indices[place]] = result[indices[place]] + rows[place]
    return result


def take_loop(x: Any, indices: Any) -> Any:
    result = np.empty(indices.shape + x.shape[1:], x.dtype)
    for place in np.ndindex(indices.shape):
        result[place] = x[indices[place]]
    return result


def reduce_loop(function: Callable[[list[Any]], Any]) -> Callable[..., Any]:
    def loop(x: Any, axis: Any) -> Any:
        kept = [i for i in range(x.ndim) if i not in axis]
        result = np.empty([x.shape[i] for i in kept], x.dtype)
        for place in np.ndindex(result.shape):
            index: list[Any] = [slice(None)] * x.ndim
            for i, k in zip(kept, place, strict=True):
                index[i] = k
            result[place] = function(x[tuple(index)].ravel().astype(float).tolist())
        return result

    return loop


def broadcast_loop(x: Any, shape: Any) -> Any:
    result = np.empty(shape, x.dtype)
    for index in np.ndindex(shape):
        last = index[len(shape) - x.ndim :]
        result[index] = x[tuple(0 if size == 1 else i for i, size in zip(last, x.shape, strict=True))]
    return result


def concat_loop(*inputs: Any, axis: int) -> Any:
    rows = [row for x in inputs for row in np.moveaxis(x, axis, 0)]
    shape = (0, *np.moveaxis(inputs[0], axis, 0).shape[1:])
    return np.moveaxis(np.array(rows) if rows else np.zeros(shape, inputs[0].dtype), 0, axis)


def matmul_loop(x: Any, y: Any) -> Any:
    return (x[..., :, :, None].astype(float) * y[..., None, :, :].astype(float)).sum(axis=-2)


def windows_loop(x: Any, axes: Any, size: Any, stride: Any, dilation: Any) -> Any:
    places = [(x.shape[a] - d * (k - 1) - 1) // s + 1 for a, k, s, d in zip(axes, size, stride, dilation, strict=True)]
    shape = list(x.shape)
    for axis, count in zip(axes, places, strict=True):
        shape[axis] = count
    result = np.empty((*shape, *size), x.dtype)
    for index in np.ndindex(result.shape):
        source = list(index[: x.ndim])
        for axis, k, s, d in zip(axes, index[x.ndim :], stride, dilation, strict=True):
            source[axis] = index[axis] * s + k * d
        result[index] = x[tuple(source)]
    return result


def overlap_loop(g: Any, axes: Any, length: Any, stride: Any, dilation: Any) -> Any:
    rank = g.ndim - len(axes)
    shape = list(g.shape[:rank])
    for axis, size in zip(axes, length, strict=True):
        shape[axis] = size
    numbers = np.arange(math.prod(shape)).reshape(shape)
    sources = windows_loop(numbers, axes, g.shape[rank:], stride, dilation)
    return np.bincount(sources.ravel(), g.ravel().astype(float), math.prod(shape)).reshape(shape)


def conv_loop(x: Any, w: Any, stride: Any, dilation: Any) -> Any:
    rank = x.ndim - 2
    places = [
        (length - d * (k - 1) - 1) // s + 1
        for length, k, s, d in zip(x.shape[1:-1], w.shape, stride, dilation, strict=False)
    ]
    result = np.zeros((x.shape[0], *places, w.shape[-1]))
    for p in np.ndindex(*places):
        for k in np.ndindex(w.shape[:rank]):
            at = tuple(p[i] * stride[i] + k[i] * dilation[i] for i in range(rank))
            result[(slice(None), *p)] += x[(slice(None), *at)].astype(float) @ w[k].astype(float)
    return result


MEANINGS: dict[str, Callable[..., Any]] = {
    "negative": lambda x: 0 - x,
    "exp": lambda x: np.power(math.e, x.astype(np.longdouble)),
    "expm1": loops(math.expm1),
    "log": loops(math.log),
    "log1p": loops(math.log1p),
    "sqrt": loops(math.sqrt),
    "tanh": loops(math.tanh),
    "sigmoid": scipy.special.expit,
    "erf": scipy.special.erf,
    "sin": loops(math.sin),
    "cos": loops(math.cos),
    "arctan": loops(math.atan),
    "abs": loops(math.fabs),
    "sign": loops(lambda x: (x > 0) - (x < 0)),
    "stop_gradient": lambda x: x,
    "add": loops(lambda x, y: x + y),
    "subtract": loops(lambda x, y: x - y),
    "multiply": loops(lambda x, y: x * y),
    "divide": loops(lambda x, y: x / y),
    "power": loops(math.pow),
    "maximum": loops(lambda x, y: x if x > y else y),
    "minimum": loops(lambda x, y: x if x < y else y),
    "equal": loops(lambda x, y: x == y),
    "less": loops(lambda x, y: x < y),
    "less_equal": loops(lambda x, y: not y < x),
    "logical_not": loops(lambda x: not x),
    "logical_and": loops(lambda x, y: x and y),
    "bitwise_right_shift": loops(lambda x, y: int(x) // 2 ** int(y)),
    "where": loops(lambda c, x, y: x if c else y),
    "astype": lambda x, dtype: np.array(x, dtype=dtype),
    "constant": lambda value, dtype, shape: np.full(shape, np.reshape(value, shape), dtype),
    "arange": lambda size, dtype: np.array(list(range(size)), dtype),
    "take": take_loop,
    "scatter_add": scatter_loop,
    "reshape": lambda x, shape: np.array(x.ravel().tolist(), x.dtype).reshape(shape),
    "permute_dims": lambda x, axes: np.einsum(x, list(range(x.ndim)), list(axes)),
    "broadcast_to": broadcast_loop,
    "concat": concat_loop,
    "slice": slice_loop,
    "split": split_loop,
    "pad": pad_loop,
    "sum": reduce_loop(math.fsum),
    "max": reduce_loop(lambda numbers: max(numbers)),
    "matmul": matmul_loop,
    "flip": lambda x, axes: x[tuple(slice(None, None, -1 if i in axes else None) for i in range(x.ndim))],
    "windows": windows_loop,
    "overlap_add": overlap_loop,
    "conv": conv_loop,
}
ELSEWHERE = {"random_bits", "scan"}  # test_random_bits.py, test_loops.py


def test_every_primitive_has_an_independent_meaning() -> None:
    assert set(MEANINGS) | ELSEWHERE == set(PRIMITIVES)


@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "index"), [case for case in CASES if case[0] in MEANINGS])
def test_a_primitive_means_what_it_says(name: str, index: int, dtype: str, n: int) -> None:
    operation = PRIMITIVES[name]
    inputs, attrs, result = run(operation, operation.examples[index], dtype, n)
    meaning = MEANINGS[name](*inputs, **attrs)
    several = isinstance(result, tuple)
    for received, right in zip(result if several else [result], meaning if several else [meaning], strict=True):
        expected = np.asarray(right).astype(np.asarray(received).dtype)
        assert np.shape(received) == expected.shape
        if expected.dtype.kind == "f":
            np.testing.assert_allclose(received, expected, rtol=8 * np.finfo(expected.dtype).eps)
        else:
            np.testing.assert_array_equal(received, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sigmoid_is_exact_at_both_ends_and_does_not_overflow(dtype: str) -> None:
    x = np.array([-np.inf, -1000, -80, -20, -1, -0.0, 0.0, 1, 20, 80, 1000, np.inf, np.nan], dtype)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        result = PRIMITIVES["sigmoid"].evaluate(x)
    np.testing.assert_allclose(result, scipy.special.expit(x), rtol=4 * np.finfo(dtype).eps, atol=0)


def test_maximum_and_minimum_hand_nan_on() -> None:
    nan, one = np.array(np.nan), np.array(1.0)
    for name in ("maximum", "minimum"):
        assert np.isnan(PRIMITIVES[name].evaluate(nan, one))
        assert np.isnan(PRIMITIVES[name].evaluate(one, nan))


def test_repeated_indices_add_up_in_order() -> None:
    big = np.float32(2**24)
    rows = np.array([big, 1, 1, -big], np.float32)  # in order: 2^24 + 1 + 1 - 2^24 = 0 in float32
    result = PRIMITIVES["scatter_add"].evaluate(np.zeros(4, np.int64), rows, size=2)
    np.testing.assert_array_equal(result, np.array([0, 0], np.float32))


def test_pad_of_nothing_and_of_one() -> None:
    pad = PRIMITIVES["pad"].evaluate
    np.testing.assert_array_equal(pad(np.zeros(0), low=(1,), high=(2,), interior=(5,)), np.zeros(3))
    np.testing.assert_array_equal(pad(np.ones(1), low=(1,), high=(2,), interior=(5,)), [0, 1, 0, 0])


def test_an_integer_sum_keeps_its_dtype() -> None:
    program = ops.trace(lambda x: ops.sum(x), {"x": Type("int32", (3,))})
    result = Reference().compile(program)({"x": np.array([1, 2, 3], np.int32)})["result"]
    assert result.dtype == np.int32
    assert result == 6
