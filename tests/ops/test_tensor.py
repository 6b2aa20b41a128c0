"""Tensors behave like NumPy arrays as far as they go, and say so where they do not."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from clearprop import ops
from clearprop.backends.reference import Reference
from clearprop.errors import ProgramError, ShapeError
from clearprop.ir import Batch, Type, verify
from clearprop.ops import Tensor, rule_of

F = Type("float64", (2, 3))


def evaluate(function: Callable[..., Any], *arrays: Any) -> Any:
    inputs = {f"x{i}": np.asarray(array) for i, array in enumerate(arrays)}
    program = ops.trace(function, {name: Type(str(a.dtype), a.shape) for name, a in inputs.items()})
    verify(program, rule_of)
    return Reference().compile(program)(inputs)["result"]


ARITHMETIC = [operator.add, operator.sub, operator.mul, operator.truediv]
COMPARISON = [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne]
numbers = st.floats(-1e3, 1e3, width=32)


@st.composite
def broadcastable(draw: st.DrawFn) -> tuple[Any, Any]:
    shapes = draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, min_side=0, max_side=3)).input_shapes
    first, second = (draw(hnp.arrays(np.float64, shape, elements=numbers)) for shape in shapes)
    return first, second


@given(broadcastable(), st.sampled_from(ARITHMETIC + COMPARISON))
def test_operators_broadcast_as_numpy_does(pair: tuple[Any, Any], op: Callable[[Any, Any], Any]) -> None:
    with np.errstate(all="ignore"):
        expected = op(*pair)
    received = evaluate(op, *pair)
    assert received.dtype == expected.dtype
    np.testing.assert_array_equal(received, expected)


@given(st.sampled_from(ARITHMETIC + COMPARISON), numbers, hnp.arrays(np.float32, (2, 3), elements=numbers))
def test_numbers_and_arrays_stand_on_either_side(op: Callable[[Any, Any], Any], number: float, x: Any) -> None:
    other = np.array([[1.0], [-2.0]])  # float64: takes the tensor's dtype
    with np.errstate(all="ignore"):
        expected = [op(x, np.float32(number)), op(np.float32(number), x), op(x, other.astype(np.float32))]
    for function, right in zip(
        (lambda t: op(t, number), lambda t: op(number, t), lambda t: op(t, other)), expected, strict=True
    ):
        received = evaluate(function, x)
        assert received.dtype == right.dtype
        np.testing.assert_array_equal(received, right)


@pytest.mark.parametrize("op", [*ARITHMETIC, *COMPARISON, operator.pow], ids=lambda op: op.__name__)
def test_arrays_and_numpy_numbers_stand_on_the_left(op: Callable[[Any, Any], Any]) -> None:
    x, left = np.array([[1.0, 2.0, 3.0]], np.float32), np.array([[2.0], [3.0]])
    np.testing.assert_allclose(evaluate(lambda t: op(left, t), x), op(left.astype(np.float32), x), rtol=1e-6)
    np.testing.assert_allclose(evaluate(lambda t: op(np.float64(2.0), t), x), op(np.float32(2.0), x), rtol=1e-6)


def test_arrays_on_either_side_of_a_matrix_product() -> None:
    x, w = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(evaluate(lambda t: t @ w, x), x @ w)
    np.testing.assert_array_equal(evaluate(lambda t: w.T @ ops.permute_dims(t), x), w.T @ x.T)


def test_the_other_operators() -> None:
    x = np.array([-1.5, 0.5, 2.0])
    np.testing.assert_array_equal(evaluate(lambda t: -t, x), -x)
    np.testing.assert_array_equal(evaluate(abs, x), np.abs(x))
    np.testing.assert_allclose(evaluate(lambda t: t**2, x), x**2)
    np.testing.assert_allclose(evaluate(lambda t: 2**t, x), 2**x)
    np.testing.assert_array_equal(evaluate(lambda t: (t < 0) != (t < 1), x), (x < 0) != (x < 1))
    a, b = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(evaluate(operator.matmul, a, b), a @ b)


@pytest.mark.parametrize(
    ("left", "right"),
    [((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((5, 2, 3), (5, 3, 4)), ((1, 2, 3), (5, 3, 4)), ((6, 5, 2, 3), (5, 3, 1)),
     ((2, 3), (5, 3, 4)), ((0, 3), (3, 2)), ((2, 0), (0, 3))],
)  # fmt: skip
def test_matmul_as_numpy(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    a, b = np.random.default_rng(0).normal(size=left), np.random.default_rng(1).normal(size=right)
    np.testing.assert_allclose(evaluate(ops.matmul, a, b), a @ b, rtol=1e-14, atol=1e-14)


parts = st.integers(-4, 4) | st.slices(4) | st.none() | st.just(Ellipsis)


@given(st.lists(parts, max_size=5).map(tuple))
def test_indexing_as_numpy(index: tuple[Any, ...]) -> None:
    x = np.arange(64.0).reshape(4, 4, 4)
    backwards = any(isinstance(item, slice) and (item.step or 1) < 0 for item in index)
    try:
        expected = x[index]
    except IndexError:
        expected = None
    if expected is None or backwards:
        with pytest.raises(ShapeError):
            evaluate(lambda t: t[index], x)
    else:
        np.testing.assert_array_equal(evaluate(lambda t: t[index], x), expected)


def test_indexing_keeps_the_batch() -> None:
    program = ops.trace(lambda x: x[:, 1:, None], {"x": Type("float32", (Batch(), 3))})
    assert program.output("result").type.shape == (Batch(), 2, 1)
    whole = ops.trace(lambda x: x[...], {"x": Type("float32", (Batch(), 3))})
    assert whole.nodes == ()


def test_reshape_fills_in() -> None:
    def shape(old: tuple[Any, ...], new: tuple[Any, ...]) -> Any:
        return ops.trace(lambda x: ops.reshape(x, new), {"x": Type("float32", old)}).output("result").type.shape

    n = Batch()
    assert shape((n, 4, 6), (-1, 6)) == (Batch(4), 6)
    assert shape((n, 4, 6), (n, -1)) == (n, 24)
    assert shape((Batch(4), 6), (n, -1)) == (n, 24)
    assert shape((0, 3), (-1, 3)) == (0, 3)
    assert shape((n, 0), (-1, 3)) == (0, 3)
    assert shape((2, 3), (-1,)) == (6,)


X = Type("float32", (Batch(), 3))
MISTAKES: dict[str, tuple[Callable[[Tensor], Any], type[Exception], str]] = {
    "truth": (lambda x: 1 if x else 2, ProgramError, r"no truth value .* ops\.where\(condition, a, b\) instead of if"),
    "and": (lambda x: x > 0 and x < 1, ProgramError, "no truth value"),
    "in": (lambda x: x in [1.0], ProgramError, "no truth value"),
    "unpack": (lambda x: [*x], ProgramError, "iterate over the index"),
    "hash": (lambda x: {x}, TypeError, "unhashable"),
    "method": (lambda x: x.mean(1), AttributeError, r"no attribute 'mean': .* ops\.mean\(x\)"),
    "numpy": (lambda x: np.exp(x), ProgramError, r"np\.exp cannot take a tensor.* ops\.tanh\(x\) for np\.tanh"),
    "numpy's operator": (lambda x: np.add(x, x), ProgramError, r"np\.add cannot take a tensor"),
    "numpy's reduction": (lambda x: np.add.reduce(x), ProgramError, r"np\.add cannot take a tensor"),
    "numpy's function": (lambda x: np.concatenate([x, x]), ProgramError, r"np\.concatenate cannot take a tensor"),
    "an array of it": (lambda x: np.asarray(x), ProgramError, r"np\.asarray cannot take a tensor"),
    "shapes": (lambda x: x + np.ones(4), ShapeError, r"\(n, 3\) and \(4,\) do not broadcast: 3 is not 4"),
    "batch shape": (lambda x: x + np.ones((4, 3)), ShapeError, r"\(n, 3\) and \(4, 3\) do not broadcast: n is not 4"),
    "dtypes": (lambda x: x + ops.astype(x, "float64"), ShapeError, r"dtypes differ; convert one with ops\.astype"),
    "none": (lambda x: x + None, ShapeError, "None cannot become float32"),
    "equal to none": (lambda x: x == None, ShapeError, "None cannot become float32"),  # noqa: E711
    "text": (lambda x: x == "a", ShapeError, "'a' cannot become float32"),
    "complex": (lambda x: x * 1j, ShapeError, "1j cannot become float32"),
    "half of an integer": (lambda x: ops.astype(x, "int32") * 0.5, ShapeError, r"0\.5 cannot become int32.*astype"),
    "too large": (lambda x: ops.astype(x, "int32") + 2**40, ShapeError, "does not fit into int32"),
    "negative": (lambda x: ops.astype(x, "uint32") + (-1), ShapeError, "-1 does not fit into uint32"),
    "large constant": (lambda x: x + np.ones((30_000, 3)), ShapeError, "too large for a constant .* or an input"),
    "row": (lambda x: x[0], ShapeError, "dimension 0 of .* is the batch: take it whole, with ':'"),
    "rows": (lambda x: x[:2], ShapeError, "is the batch"),
    "outside": (lambda x: x[:, 3], ShapeError, "index 3 is outside of dimension 1"),
    "outside below": (lambda x: x[:, -4], ShapeError, "index -4 is outside"),
    "too many": (lambda x: x[:, 0, 0], ShapeError, "3 indices for .* which has 2 dimensions"),
    "backwards": (lambda x: x[:, ::-1], ShapeError, "a positive step, received -1"),
    "mask": (lambda x: x[:, [True, False, True]], ShapeError, r"use integers and slices, or ops\.take"),
    "boolean": (lambda x: x[:, True], ShapeError, "cannot index"),
    "fractional slice": (lambda x: x[:, 0.5:], ShapeError, "a slice of .* takes integers"),
    "two ellipses": (lambda x: x[..., ...], ShapeError, "may hold '...' once"),
    "reshape": (lambda x: ops.reshape(x, (-1, 2)), ShapeError, r"cannot reshape \(n, 3\) to \(-1, 2\)"),
    "two unknowns": (lambda x: ops.reshape(x, (-1, -1)), ShapeError, "no whole number fits"),
    "matmul of vectors": (lambda x: ops.matmul(x, x[:, 0]), ShapeError, "at least two dimensions"),
    "axis": (lambda x: ops.sum(x, axis=2), ShapeError, "axis 2 is outside of a tensor of 2 dimensions"),
    "axis twice": (lambda x: ops.sum(x, axis=(1, -1)), ShapeError, "must be distinct"),
    "one_hot": (lambda x: ops.one_hot(x, 3, "float32"), ShapeError, "one_hot needs integer indices"),
    "empty concat": (lambda x: ops.concat([]), ShapeError, "at least one tensor"),
    "empty stack": (lambda x: ops.stack([]), ShapeError, "at least one tensor"),
    "count": (lambda x: ops.mean(x @ ops.permute_dims(x)), ShapeError, "not a multiple of the batch n"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gets_a_message(name: str) -> None:
    function, error, message = MISTAKES[name]
    with pytest.raises(error, match=message):
        ops.trace(function, {"x": X})


def test_outside_of_a_trace() -> None:
    kept: list[Tensor] = []
    ops.trace(lambda x: kept.append(x) or x, {"x": X})  # type: ignore[func-returns-value]
    with pytest.raises(ProgramError, match="no program is being traced"):
        kept[0] + 1.0


def test_traces_nest_and_end() -> None:
    with ops.tracing("outer") as outer:
        x = ops.placeholder("x", X)
        with ops.tracing("inner") as inner:
            ops.exp(ops.placeholder("x", X))
        ops.exp(x)
    assert len(outer.nodes) == len(inner.nodes) == 1
    with pytest.raises(ProgramError):
        ops.current_builder()


def test_what_changes_nothing_adds_no_node() -> None:
    def nothing(x: Tensor) -> Tensor:
        assert ops.astype(x, "float32") is x
        assert ops.reshape(x, x.shape) is x
        assert ops.broadcast_to(x, x.shape) is x
        assert ops.permute_dims(x, (0, 1)) is x
        assert ops.concat([x]) is x
        assert ops.pad(x, (0, 0), (0, 0)) is x
        assert ops.sum(x, axis=()) is x
        return x

    assert ops.trace(nothing, {"x": X}).nodes == ()


def test_a_label_names_only_the_newest_value() -> None:
    def function(x: Tensor) -> Tensor:
        assert ops.label(x, "z").value.name == "x"
        y = ops.exp(x)
        ops.exp(y)
        assert ops.label(y, "a").value.name == "exp"
        return ops.label(y + 1.0, "a")

    program = ops.trace(function, {"x": X})
    verify(program, rule_of)
    assert program.output("result").name == "a"
    assert program.output("result").note.quantity == "a"


X3 = np.random.default_rng(0).normal(size=(2, 3, 4))


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (2, 1), ()], ids=str)
def test_reductions_as_numpy(axis: Any, keep: bool) -> None:
    total = evaluate(lambda t: ops.sum(t, axis, keep), X3)
    np.testing.assert_allclose(total, X3.sum(axis, keepdims=keep), rtol=1e-14)
    np.testing.assert_array_equal(evaluate(lambda t: ops.max(t, axis, keep), X3), X3.max(axis, keepdims=keep))
    np.testing.assert_array_equal(evaluate(lambda t: ops.min(t, axis, keep), X3), X3.min(axis, keepdims=keep))


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
def test_joins_as_numpy(axis: int) -> None:
    stacked, joined = np.stack([X3, -X3], axis), np.concatenate([X3, X3 * 2], axis)
    np.testing.assert_array_equal(evaluate(lambda t: ops.stack([t, -t], axis), X3), stacked)
    np.testing.assert_array_equal(evaluate(lambda t: ops.concat([t, t * 2.0], axis), X3), joined)


def test_shaping_as_numpy() -> None:
    np.testing.assert_array_equal(evaluate(ops.permute_dims, X3), X3.T)
    np.testing.assert_array_equal(evaluate(ops.flatten, X3), X3.reshape(2, 12))
