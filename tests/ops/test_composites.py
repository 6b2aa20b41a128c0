"""Composites against SciPy and NumPy in float64, in the middle of the line and at its ends; and their derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special

from clearprop import ops
from clearprop.backends.reference import Reference
from clearprop.grad import derive
from clearprop.ir import Batch, Type
from clearprop.ops import Example, Operand, Tensor
from clearprop.testing import check_vjp

inf, nan = np.inf, np.nan
ENDS = np.array([-inf, -1e4, -800.0, -40.0, -1.0, -1e-8, -0.0, 0.0, 1e-8, 0.5, 40.0, 800.0, 1e4, inf, nan])
ROWS = np.array(
    [
        [1.0, 2.0, 3.0],
        [1e4, -1e4, 0.0],
        [1e4, 1e4, 1e4],
        [-1e4, -1e4, -1e4 + 1],
        [-inf, 0.0, 1.0],
        [-inf, -inf, 5.0],
        [0.0, 0.0, 0.0],
    ]
)


def evaluate(function: Callable[..., Tensor], *arrays: Any) -> Any:
    types = {f"x{i}": Type(str(a.dtype), a.shape) for i, a in enumerate(arrays)}
    program = ops.trace(function, types)
    return Reference().compile(program)({f"x{i}": a for i, a in enumerate(arrays)})["result"]


def gradient(function: Callable[[Tensor], Tensor], x: Any) -> Any:
    x = np.asarray(x, float)
    program = ops.trace(lambda t: ops.sum(function(t)), {"x": Type("float64", x.shape)})
    return Reference().compile(derive(program, ["x"]))({"x": x})["grad.x"]


ELEMENTWISE: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Any], Any]]] = {
    "relu": (ops.relu, lambda x: np.maximum(x, 0)),
    "clip": (lambda x: ops.clip(x, -0.5, 1.0), lambda x: np.clip(x, -0.5, 1.0)),
    "leaky_relu": (ops.leaky_relu, lambda x: np.where(x > 0, x, x * 0.01)),
    "softplus": (ops.softplus, lambda x: np.logaddexp(x, 0)),
    "log_sigmoid": (ops.log_sigmoid, scipy.special.log_expit),
    "sigmoid": (ops.sigmoid, scipy.special.expit),
    "square": (ops.square, np.square),
    "abs": (ops.abs, np.abs),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise_to_the_ends_of_the_line(name: str) -> None:
    ours, theirs = ELEMENTWISE[name]
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(evaluate(ours, ENDS), theirs(ENDS), rtol=1e-14, atol=0)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (ops.softmax, lambda x: scipy.special.softmax(x, axis=-1)),
        (ops.log_softmax, lambda x: scipy.special.log_softmax(x, axis=-1)),
        (ops.logsumexp, lambda x: scipy.special.logsumexp(x, axis=-1)),
        (lambda x: ops.logsumexp(x, axis=0, keepdims=True), lambda x: scipy.special.logsumexp(x, 0, keepdims=True)),
        (lambda x: ops.logsumexp(x, axis=None), lambda x: scipy.special.logsumexp(x)),
        (lambda x: ops.softmax(x, axis=0), lambda x: scipy.special.softmax(x, axis=0)),
    ],
    ids=["softmax", "log_softmax", "logsumexp", "logsumexp over 0", "logsumexp over all", "softmax over 0"],
)
def test_softmax_and_its_kin(ours: Any, theirs: Any) -> None:
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(evaluate(ours, ROWS), theirs(ROWS), rtol=1e-14, atol=1e-300)


def test_logsumexp_of_infinities() -> None:
    rows = np.array([[-inf, -inf], [inf, 0.0], [inf, -inf], [nan, 0.0]])
    np.testing.assert_array_equal(evaluate(ops.logsumexp, rows), [-inf, inf, inf, nan])


def test_small_probabilities_stay_exact() -> None:
    x = np.array([[0.0, -50.0, -800.0]])
    np.testing.assert_allclose(evaluate(ops.log_softmax, x), x, rtol=1e-15, atol=1e-21)
    assert evaluate(ops.log_sigmoid, np.array(40.0)) == pytest.approx(-np.exp(-40.0), rel=1e-15)


MOMENTS = np.random.default_rng(3).normal(size=(4, 3, 5))


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2)], ids=str)
def test_mean_variance_and_norm(axis: Any, keep: bool) -> None:
    for ours, theirs in ((ops.mean, np.mean), (ops.var, np.var)):
        expected = theirs(MOMENTS, axis=axis, keepdims=keep)
        np.testing.assert_allclose(evaluate(lambda x: ours(x, axis, keep), MOMENTS), expected, rtol=1e-13)  # noqa: B023
    length = np.sqrt(np.sum(MOMENTS**2, axis=axis, keepdims=keep))
    np.testing.assert_allclose(evaluate(lambda x: ops.norm(x, axis, keep), MOMENTS), length, rtol=1e-14)


def test_variance_does_not_cancel() -> None:
    x = 1e8 + np.array([0.0, 1.0, 2.0])
    assert evaluate(ops.var, x) == pytest.approx(2 / 3, rel=1e-12)


def test_mean_over_the_batch_divides_by_its_size() -> None:
    program = ops.trace(lambda x: ops.mean(x), {"x": Type("float64", (Batch(), 2))})
    run = Reference().compile(program)
    for n in (1, 3, 7):
        x = np.random.default_rng(n).normal(size=(n, 2))
        assert run({"x": x})["result"] == pytest.approx(x.mean(), rel=1e-14)
    assert np.isnan(run({"x": np.zeros((0, 2))})["result"])


@pytest.mark.parametrize("bad", [nan, inf, -inf])
def test_norm_does_not_hide_a_number_that_is_none(bad: float) -> None:
    length = evaluate(ops.norm, np.array([1.0, bad]))
    assert np.isnan(length) if np.isnan(bad) else length == inf
    assert not np.all(np.isfinite(gradient(ops.norm, [1.0, bad])))


def test_one_hot() -> None:
    indices = np.array([[0, 2], [3, -1]])
    result = evaluate(lambda i: ops.one_hot(i, 3, "float32"), indices)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, [[[1, 0, 0], [0, 0, 1]], [[0, 0, 0], [0, 0, 0]]])


def test_choices_and_logic() -> None:
    x, y = np.array([1.0, 2.0, nan]), np.array([2.0, 1.0, 0.0])
    np.testing.assert_array_equal(evaluate(lambda a, b: ops.where(a < b, a, b), x, y), [1.0, 1.0, 0.0])
    np.testing.assert_array_equal(evaluate(lambda a, b: ops.where(a < b, 1.0, b), x, y), [1.0, 1.0, 0.0])
    np.testing.assert_array_equal(evaluate(lambda a, b: ops.logical_or(a < b, b < 1.0), x, y), [True, False, True])
    np.testing.assert_array_equal(evaluate(lambda a, b: ops.logical_and(a < b, b < 3.0), x, y), [True, False, False])
    wide = evaluate(lambda a, b: ops.where((a < b)[:, None], a[:, None], b), x, y)
    np.testing.assert_array_equal(wide, np.where((x < y)[:, None], x[:, None], y))


# -- derivatives


ROW = Operand((Batch(), 4), -3, 3, distinct=True)
SMOOTH: dict[str, Callable[..., Tensor]] = {
    "softmax": ops.softmax,
    "softmax over the batch": lambda x: ops.softmax(x, axis=0),
    "log_softmax": ops.log_softmax,
    "logsumexp": ops.logsumexp,
    "logsumexp over all": lambda x: ops.logsumexp(x, axis=None),
    "softplus": ops.softplus,
    "log_sigmoid": ops.log_sigmoid,
    "square": ops.square,
    "mean": lambda x: ops.mean(x, axis=0),
    "var": lambda x: ops.var(x, axis=0),
    "norm": lambda x: ops.norm(x, axis=1),
    "min": lambda x: ops.min(x, axis=1),
    "flatten": lambda x: ops.flatten(ops.reshape(x, (Batch(), 2, 2))) * x,
    "stack": lambda x: ops.stack([x, x * x], axis=1),
    "indexing": lambda x: x[:, 1::2, None] * x[:, 0][:, None, None],
    "matmul": lambda x: ops.matmul(x, ops.permute_dims(x)),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_the_derivative_of_a_composite_to_second_order(name: str) -> None:
    report = check_vjp(SMOOTH[name], Example((ROW,)))
    assert len(report.errors) == 4


def test_a_stack_of_matrices_times_a_matrix() -> None:
    check_vjp(ops.matmul, Example((Operand((Batch(), 2, 3)), Operand((3, 4)))))
    check_vjp(ops.matmul, Example((Operand((2, 1, 2, 3)), Operand((5, 3, 2)))))


def test_softplus_has_the_derivative_one_half_at_zero() -> None:
    np.testing.assert_array_equal(gradient(ops.softplus, [0.0, -0.0]), [0.5, 0.5])
    np.testing.assert_array_equal(gradient(ops.log_sigmoid, [0.0, -0.0]), [0.5, 0.5])


DERIVATIVES: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Any], Any]]] = {
    "softplus": (ops.softplus, scipy.special.expit),
    "log_sigmoid": (ops.log_sigmoid, lambda x: scipy.special.expit(-x)),
    "sigmoid": (ops.sigmoid, lambda x: scipy.special.expit(x) * scipy.special.expit(-x)),
    "relu": (ops.relu, lambda x: (x > 0) * 1.0),
    "clip": (lambda x: ops.clip(x, -0.5, 1.0), lambda x: ((x > -0.5) & (x < 1.0)) * 1.0),
    "leaky_relu": (ops.leaky_relu, lambda x: np.where(x > 0, 1.0, 0.01)),
    "abs": (ops.abs, np.sign),
    "tanh": (ops.tanh, lambda x: 1 - np.tanh(x) ** 2),
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_a_derivative_is_right_at_the_ends_of_the_line(name: str) -> None:
    function, expected = DERIVATIVES[name]
    x = ENDS[~np.isnan(ENDS)]
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(gradient(function, x), expected(x), rtol=1e-13, atol=1e-15)


def test_masked_softmax_has_a_finite_gradient() -> None:
    rows = np.array([[-inf, 0.0, 1.0], [1e4, -1e4, 0.0]])
    p = scipy.special.softmax(rows, axis=-1)
    weights = np.array([1.0, 2.0, -3.0])
    expected = p * (weights - (p * weights).sum(-1, keepdims=True))
    np.testing.assert_allclose(gradient(lambda x: ops.softmax(x) * weights, rows), expected, atol=1e-15)
    np.testing.assert_allclose(gradient(ops.logsumexp, rows), p, atol=1e-15)


def test_norm_of_zero_has_the_gradient_zero() -> None:
    np.testing.assert_array_equal(gradient(ops.norm, [0.0, 0.0]), [0.0, 0.0])


def test_ties_share_or_go_to_the_second() -> None:
    np.testing.assert_array_equal(gradient(ops.max, [1.0, 2.0, 2.0]), [0, 0.5, 0.5])
    np.testing.assert_array_equal(gradient(ops.min, [1.0, 1.0, 2.0]), [0.5, 0.5, 0])
    np.testing.assert_array_equal(gradient(lambda x: ops.maximum(x, 1.0), [1.0, 2.0]), [0, 1])
    np.testing.assert_array_equal(gradient(lambda x: ops.maximum(1.0, x), [1.0, 2.0]), [1, 1])


@pytest.mark.parametrize(("exponent", "at_zero"), [(1.0, 1.0), (2.0, 0.0), (3.0, 0.0), (0.0, 0.0)])
def test_a_power_at_zero(exponent: float, at_zero: float) -> None:
    assert gradient(lambda x: x**exponent, [0.0])[0] == at_zero


def test_a_power_of_a_negative_number() -> None:
    np.testing.assert_allclose(gradient(lambda x: x**3.0, [-2.0]), [12.0])


def test_a_power_with_the_exponent_zero_has_the_right_mixed_derivative() -> None:
    types = {"x": Type("float64"), "y": Type("float64")}
    first = derive(ops.trace(lambda x, y: x**y, types), ["x"])
    second = Reference().compile(derive(first, ["y"], of="grad.x"))
    values = second({"x": np.array(3.0), "y": np.array(0.0)})
    assert values["grad.x"] == 0.0
    assert values["grad.y"] == pytest.approx(1 / 3, rel=1e-15)
