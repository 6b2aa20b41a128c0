"""The gradient check is itself checked: every planted mistake in a derivative must be found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from clearprop import ops
from clearprop.ir import Batch, Type
from clearprop.ops import PRIMITIVES, Example, Operand, Tensor, broadcast_to, matmul, permute_dims, reshape
from clearprop.ops import sum as sum_
from clearprop.ops.elementwise import fill_like, stop_gradient
from clearprop.ops.tensor import emit
from clearprop.testing import check_gradient, check_vjp

Vjp = Callable[..., tuple[Any, ...]]


def transpose(x: Tensor) -> Tensor:
    return permute_dims(x, (*range(x.rank - 2), x.rank - 1, x.rank - 2))


def kept(x: Tensor, axes: tuple[int, ...]) -> tuple[Any, ...]:
    return tuple(1 if i in axes else d for i, d in enumerate(x.shape))


MUTANTS: list[tuple[str, str, str, Vjp]] = [
    # primitive, what is wrong, what the message names, the wrong vjp
    ("negative", "sign", "order 1 .* x0", lambda g, ans, x: (g,)),
    ("exp", "the factor is missing", "order 1 .* x0", lambda g, ans, x: (g,)),
    ("tanh", "not squared", "order 1 .* x0", lambda g, ans, x: (g * (1.0 - ans),)),
    ("sigmoid", "x for ans", "order 1 .* x0", lambda g, ans, x: (g * x * (1.0 - x),)),
    ("log", "a factor of 2", "order 1 .* x0", lambda g, ans, x: (2.0 * g / x,)),
    ("sqrt", "off by 1e-6", "order 1 .* x0", lambda g, ans, x: (g * 0.5000005 / ans,)),
    ("sin", "the wrong function", "order 1 .* x0", lambda g, ans, x: (g * emit("sin", x),)),
    ("cos", "sign", "order 1 .* x0", lambda g, ans, x: (g * emit("sin", x),)),
    ("abs", "as if x were positive", "order 1 .* x0", lambda g, ans, x: (g,)),
    ("erf", "zero", "order 1 .* x0", lambda g, ans, x: (None,)),
    ("arctan", "NaN", "order 1 .* x0", lambda g, ans, x: (g * np.nan,)),
    ("expm1", "infinite", "order 1 .* x0", lambda g, ans, x: (g / fill_like(g, 0.0),)),
    ("log1p", "the cotangent is forgotten", "order 1 .* x0", lambda g, ans, x: (1.0 / (1.0 + x),)),
    ("sign", "not zero", "order 1 .* x0", lambda g, ans, x: (g,)),
    ("add", "the second is forgotten", "order 1 .* x1", lambda g, ans, x, y: (g, None)),
    ("subtract", "sign of the second", "order 1 .* x1", lambda g, ans, x, y: (g, g)),
    ("multiply", "not swapped", "order 1 .* x0", lambda g, ans, x, y: (g * x, g * y)),
    ("divide", "sign of the second", "order 1 .* x1", lambda g, ans, x, y: (g / y, g * ans / y)),
    ("power", "the exponent is taken for a constant", "order 1 .* x1",
     lambda g, ans, x, y: (g * y * x ** (y - 1.0), None)),
    ("maximum", "both get it", "order 1 .* x0", lambda g, ans, x, y: (g, g)),
    ("minimum", "the wrong one gets it", "order 1 .* x0", lambda g, ans, x, y: (
        ops.where(y < x, g, 0.0), ops.where(x <= y, g, 0.0))),
    ("where", "swapped", "order 1 .* x1", lambda g, ans, c, x, y: (
        None, ops.where(c, 0.0, g), ops.where(c, g, 0.0))),
    ("astype", "nothing", "order 1 .* x0", lambda g, ans, x, dtype: (None,)),
    ("broadcast_to", "mean for sum", "order 1 .* x0", lambda g, ans, x, shape: (
        ops.mean(g, 0) if x.rank == 1 else None,)),
    ("broadcast_to", "the first row for the sum", "order 1 .* x0", lambda g, ans, x, shape: (
        broadcast_to(sum_(g) / 3.0, x.shape),)),
    ("reshape", "in another order", "order 1 .* x0", lambda g, ans, x, shape: (
        permute_dims(reshape(g, (x.shape[0], x.shape[2], x.shape[1])), (0, 2, 1)),)),
    ("permute_dims", "not the inverse", "order 1 .* x0", lambda g, ans, x, axes: (
        reshape(g, x.shape),)),
    ("sum", "divided by the count", "order 1 .* x0", lambda g, ans, x, axis: (
        broadcast_to(reshape(g, kept(x, axis)), x.shape) / 3.0,)),
    ("max", "all share it", "order 1 .* x0", lambda g, ans, x, axis: (
        broadcast_to(reshape(g, kept(x, axis)), x.shape),)),
    ("matmul", "x and y confused", "order 1 .* x0", lambda g, ans, x, y: (
        matmul(g, fill_like(transpose(y), 1.0)), matmul(transpose(x), g))),
    ("matmul", "the second is half", "order 1 .* x1", lambda g, ans, x, y: (
        matmul(g, transpose(y)), 0.5 * matmul(transpose(x), g))),
    ("take", "no sum over repeated rows", "order 1 .* x0", lambda g, ans, x, indices: (
        0.5 * ops.scatter_add(indices, g, x.shape[0]), None)),
    ("scatter_add", "the rows of other indices", "order 1 .* x1", lambda g, ans, indices, rows, size: (
        None, ops.take(g, 4 - indices))),
    ("concat", "every part gets the first", "order 1 .* x1", lambda g, ans, *xs, axis: (
        g[:, :2], 2.0 * g[:, 1:4], g[:, 5:])),
    ("slice", "from the beginning", "order 1 .* x0", lambda g, ans, x, start, stop, step: (
        ops.pad(g, (0, 0), (0, 2), (0, 1)),)),
    ("pad", "from the end", "order 1 .* x0", lambda g, ans, x, low, high, interior: (g[:, -3:],)),
    # right at first order only
    ("exp", "ans is taken for a constant", "order 2 .* x0", lambda g, ans, x: (g * stop_gradient(ans),)),
    ("tanh", "x is taken for a constant", "order 2 .* x0", lambda g, ans, x: (
        g * (1.0 - stop_gradient(ans) * ans),)),
    ("multiply", "y is taken for a constant", "order 2 .* x", lambda g, ans, x, y: (g * stop_gradient(y), g * x)),
    ("divide", "ans is taken for a constant", "order 2 .* x", lambda g, ans, x, y: (
        g / y, -(g * stop_gradient(ans) / y))),
    ("matmul", "y is taken for a constant", "order 2 .* x", lambda g, ans, x, y: (
        matmul(g, transpose(stop_gradient(y))), matmul(transpose(x), g))),
    ("add", "the cotangent is taken for a constant", "order 2 .* weights", lambda g, ans, x, y: (
        stop_gradient(g), g)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "wrong", "message", "vjp"), MUTANTS, ids=[f"{m[0]}: {m[1]}" for m in MUTANTS])
def test_a_planted_mistake_is_found(
    name: str, wrong: str, message: str, vjp: Vjp, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_vjp(name, PRIMITIVES[name].examples[0])
    monkeypatch.setitem(PRIMITIVES, name, replace(PRIMITIVES[name], vjp=vjp))
    with pytest.raises(AssertionError, match=f"{message}.* is wrong: relative error"):
        check_vjp(name, PRIMITIVES[name].examples[0])


def test_a_mistake_of_second_order_passes_where_only_the_first_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = replace(PRIMITIVES["exp"], vjp=lambda g, ans, x: (g * stop_gradient(ans),))
    monkeypatch.setitem(PRIMITIVES, "exp", wrong)
    check_vjp("exp", PRIMITIVES["exp"].examples[0], order=1)


def test_a_mistake_that_depends_on_the_batch_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def vjp(g: Tensor, ans: Tensor, x: Tensor) -> tuple[Tensor]:
        return (g * ans / ops.element_count(x[:, 0]),)

    monkeypatch.setitem(PRIMITIVES, "exp", replace(PRIMITIVES["exp"], vjp=vjp))
    example = PRIMITIVES["exp"].examples[0]
    check_vjp("exp", example, order=1, sizes=(1,))
    with pytest.raises(AssertionError):
        check_vjp("exp", example, order=1)


def test_a_small_mistake_beside_large_elements_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """One element of a thousand is wrong, by a thousandth of it."""

    def vjp(g: Tensor, ans: Tensor, x: Tensor) -> tuple[Tensor]:
        factor = np.ones((10, 100))
        factor[7, 77] = 1.001
        return (g * ans * factor,)

    monkeypatch.setitem(PRIMITIVES, "exp", replace(PRIMITIVES["exp"], vjp=vjp))
    with pytest.raises(AssertionError, match=r"at \(7, 77\) it is"):
        check_vjp("exp", Example((Operand((10, 100)),)), order=1)


def test_a_small_gradient_with_the_wrong_sign_is_found() -> None:
    def function(x: Tensor) -> Tensor:
        return 1e-3 * (2.0 * stop_gradient(ops.exp(x)) - ops.exp(x))

    with pytest.raises(AssertionError, match="order 1"):
        check_vjp(function, Example((Operand((3,)),)))


def test_a_function_of_tensors_and_a_record_can_be_checked() -> None:
    example = Example((Operand((Batch(), 3)),), {"slope": 0.2})
    report = check_vjp(ops.leaky_relu, replace(example, operands=(Operand((Batch(), 3), avoid=(0.0,)),)))
    assert report.name == "leaky_relu"
    assert set(report.errors) == {(order, name) for order in (1, 2) for name in ("x0", "weights")}
    assert 0 < report.worst < 1e-9
    assert check_vjp(PRIMITIVES["exp"], PRIMITIVES["exp"].examples[0]).name == "exp"


def test_a_program_can_be_checked_for_some_inputs() -> None:
    types = {"x": Type("float64", (2,)), "k": Type("int64", (2,)), "y": Type("float64", (2,))}
    program = ops.trace(lambda x, k, y: ops.sum(x * ops.astype(k, "float64") * y), types)
    inputs = {"x": np.array([1.0, 2.0]), "k": np.array([1, 2]), "y": np.array([3.0, 4.0])}
    before = {name: array.copy() for name, array in inputs.items()}
    assert set(check_gradient(program, inputs).errors) == {(1, "x"), (1, "y")}
    assert set(check_gradient(program, inputs, ["y"], order=3).errors) == {(1, "y"), (2, "y"), (3, "y")}
    for name, array in before.items():
        np.testing.assert_array_equal(inputs[name], array)


def test_float32_is_refused() -> None:
    program = ops.trace(lambda x: ops.sum(x), {"x": Type("float32", (2,))})
    with pytest.raises(ValueError, match="differences need float64 to mean anything; x of program is not"):
        check_gradient(program, {"x": np.zeros(2, np.float32)})
