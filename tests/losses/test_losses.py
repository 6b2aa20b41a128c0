"""Every loss against SciPy and scikit-learn, at the ends of the line, and its gradient against differences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import scipy.special
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from clearprop import losses, ops
from clearprop.backends.reference import Reference
from clearprop.errors import SettingsError, ShapeError
from clearprop.grad import derive
from clearprop.ir import Batch, Type
from clearprop.losses import BinaryCrossEntropy, CrossEntropy, SquaredError

Array = np.ndarray[Any, Any]
N = Batch()
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 3, (6, 4))
LABELS = np.array([0, 3, 1, 1, 2, 0])
SOFT = scipy.special.softmax(RNG.normal(size=(6, 4)), axis=1)
BITS = RNG.integers(0, 2, (6, 4)).astype(float)


def run(loss: losses.Loss, z: Array, y: Array, weight: Array | None = None) -> dict[str, Array]:
    """`loss` of each sample, `cost`, `prediction`, and the cost's derivative by z."""
    with ops.tracing("loss") as builder:
        output = ops.placeholder("z", Type(str(z.dtype), (N, *z.shape[1:])))
        target = ops.placeholder("y", Type(str(y.dtype), (N, *y.shape[1:])))
        weights = None if weight is None else ops.placeholder("weight", Type(str(weight.dtype), (N,)))
        per_sample = loss.per_sample(output, target)
        outputs = {
            "loss": per_sample,
            "cost": losses.cost(per_sample, weights),
            "prediction": loss.predict(output),
        }
        program = builder.finish((name, tensor.value) for name, tensor in outputs.items())
    arrays = {"z": z, "y": y} | ({} if weight is None else {"weight": weight})
    return Reference().compile(derive(program, ["z"], of="cost"))(arrays)


def cross_entropy(z: Array, y: Array) -> Array:
    if y.ndim == z.ndim:
        return -(y * scipy.special.log_softmax(z, axis=-1)).sum(axis=-1)
    return -np.take_along_axis(scipy.special.log_softmax(z, axis=-1), y[..., None], -1)[..., 0]


def binary(z: Array, y: Array) -> Array:
    return -(scipy.special.xlogy(y, 1) + y * scipy.special.log_expit(z) + (1 - y) * scipy.special.log_expit(-z))


@dataclass(frozen=True)
class Case:
    loss: losses.Loss
    z: Array
    y: Array
    expected: Callable[[Array, Array], Array]


CASES = [
    Case(SquaredError(), LOGITS, SOFT, lambda z, y: ((z - y) ** 2).mean(1)),
    Case(SquaredError(scale=0.5, over="sum"), LOGITS, SOFT, lambda z, y: 0.5 * ((z - y) ** 2).sum(1)),
    Case(SquaredError(), LOGITS.reshape(6, 2, 2), SOFT.reshape(6, 2, 2), lambda z, y: ((z - y) ** 2).mean((1, 2))),
    Case(SquaredError(), LOGITS[:, 0], SOFT[:, 0], lambda z, y: (z - y) ** 2),
    Case(CrossEntropy(), LOGITS, LABELS, cross_entropy),
    Case(CrossEntropy(), LOGITS, SOFT, cross_entropy),
    Case(CrossEntropy(), LOGITS, 2.5 * SOFT, cross_entropy),
    Case(CrossEntropy(), LOGITS.reshape(3, 2, 4), LABELS.reshape(3, 2), lambda z, y: cross_entropy(z, y).mean(1)),
    Case(BinaryCrossEntropy(), LOGITS, BITS, lambda z, y: binary(z, y).mean(1)),
    Case(BinaryCrossEntropy(), LOGITS, SOFT, lambda z, y: binary(z, y).mean(1)),
    Case(BinaryCrossEntropy(over="sum"), LOGITS, BITS, lambda z, y: binary(z, y).sum(1)),
    Case(BinaryCrossEntropy(), LOGITS[:, :1], BITS[:, :1], lambda z, y: binary(z, y)[:, 0]),
]


def test_every_loss_has_a_case():
    assert {type(case.loss) for case in CASES} == set(losses.LOSSES.values())


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.loss}{case.z.shape}")
class TestAgainstReference:
    def test_each_sample_and_their_mean(self, case):
        outputs = run(case.loss, case.z, case.y)
        expected = case.expected(case.z, case.y)
        assert outputs["loss"].shape == (len(case.z),)
        np.testing.assert_allclose(outputs["loss"], expected, rtol=1e-13)
        np.testing.assert_allclose(outputs["cost"], expected.mean(), rtol=1e-13)

    def test_gradient(self, case):
        gradient, h = run(case.loss, case.z, case.y)["grad.z"], 1e-5
        for index in np.ndindex(case.z.shape):
            step = np.zeros_like(case.z)
            step[index] = h
            rise = case.expected(case.z + step, case.y).mean() - case.expected(case.z - step, case.y).mean()
            assert gradient[index] == pytest.approx(rise / (2 * h), rel=1e-6, abs=1e-9)

    def test_weights(self, case):
        weight = np.array([0.0, 1.0, 2.0, 0.5, 3.0, 0.25])[: len(case.z)]
        outputs = run(case.loss, case.z, case.y, weight)
        expected = (weight * case.expected(case.z, case.y)).mean()
        np.testing.assert_allclose(outputs["cost"], expected, rtol=1e-13)
        assert not outputs["grad.z"][0].any()

    def test_float32(self, case):
        y = case.y if case.y.dtype.kind == "i" else case.y.astype(np.float32)
        outputs = run(case.loss, case.z.astype(np.float32), y)
        assert {array.dtype for array in outputs.values()} == {np.dtype(np.float32)}
        np.testing.assert_allclose(outputs["loss"], case.expected(case.z, case.y), rtol=3e-5, atol=1e-6)


def test_against_scikit_learn():
    probabilities = scipy.special.softmax(LOGITS, axis=1)
    cost = run(CrossEntropy(), LOGITS, LABELS)["cost"]
    assert cost == pytest.approx(sklearn.metrics.log_loss(LABELS, probabilities, labels=range(4)), rel=1e-12)
    p = scipy.special.expit(LOGITS[:, 0])
    cost = run(BinaryCrossEntropy(), LOGITS[:, :1], BITS[:, :1])["cost"]
    assert cost == pytest.approx(sklearn.metrics.log_loss(BITS[:, 0], p, labels=[0, 1]), rel=1e-12)
    cost = run(SquaredError(), LOGITS, SOFT)["cost"]
    assert cost == pytest.approx(sklearn.metrics.mean_squared_error(SOFT, LOGITS), rel=1e-12)


def test_predictions():
    np.testing.assert_allclose(
        run(CrossEntropy(), LOGITS, LABELS)["prediction"], scipy.special.softmax(LOGITS, axis=1), rtol=1e-13
    )
    np.testing.assert_allclose(
        run(BinaryCrossEntropy(), LOGITS, BITS)["prediction"], scipy.special.expit(LOGITS), rtol=1e-13
    )
    np.testing.assert_array_equal(run(SquaredError(), LOGITS, SOFT)["prediction"], LOGITS)


class TestTextbookGradients:
    def test_cross_entropy_is_p_minus_t(self):
        expected = (scipy.special.softmax(LOGITS, axis=1) - np.eye(4)[LABELS]) / 6
        np.testing.assert_allclose(run(CrossEntropy(), LOGITS, LABELS)["grad.z"], expected, rtol=1e-12, atol=1e-16)

    def test_binary_cross_entropy_is_p_minus_t(self):
        expected = (scipy.special.expit(LOGITS) - BITS) / 24
        np.testing.assert_allclose(run(BinaryCrossEntropy(), LOGITS, BITS)["grad.z"], expected, rtol=1e-12, atol=1e-16)

    @pytest.mark.parametrize("target", [0.0, 1.0, 0.3])
    def test_binary_cross_entropy_at_logit_zero(self, target):
        outputs = run(BinaryCrossEntropy(), np.zeros((1, 1)), np.full((1, 1), target))
        assert outputs["loss"][0] == pytest.approx(np.log(2), rel=1e-15)
        assert outputs["grad.z"][0, 0] == pytest.approx(0.5 - target, rel=1e-15)

    def test_equal_logits(self):
        outputs = run(CrossEntropy(), np.zeros((2, 4)), np.array([1, 2]))
        np.testing.assert_allclose(outputs["loss"], np.log(4), rtol=1e-15)
        np.testing.assert_allclose(outputs["grad.z"], (0.25 - np.eye(4)[[1, 2]]) / 2, rtol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
class TestExtremeLogits:
    def test_cross_entropy(self, dtype):
        z = np.array([[1e4, -1e4, 0], [1e4, -1e4, 0], [-1e4, -1e4, -1e4], [1e4, 1e4, 1e4]], dtype)
        outputs = run(CrossEntropy(), z, np.array([0, 1, 2, 0]))
        np.testing.assert_allclose(outputs["loss"], [0, 2e4, np.log(3), np.log(3)], rtol=1e-6)
        np.testing.assert_allclose(outputs["grad.z"][:2] * 4, [[0, 0, 0], [1, -1, 0]], atol=1e-7)

    def test_soft_cross_entropy_of_an_impossible_class(self, dtype):
        z, y = np.array([[1e4, -1e4]], dtype), np.array([[1.0, 0.0]], dtype)
        outputs = run(CrossEntropy(), z, y)
        assert outputs["loss"][0] == 0
        assert not outputs["grad.z"].any()

    def test_binary_cross_entropy(self, dtype):
        z = np.array([[1e4], [1e4], [-1e4], [-1e4]], dtype)
        outputs = run(BinaryCrossEntropy(), z, np.array([[1], [0], [1], [0]], dtype))
        np.testing.assert_allclose(outputs["loss"], [0, 1e4, 1e4, 0], rtol=1e-6)
        np.testing.assert_allclose(outputs["grad.z"][:, 0] * 4, [0, 1, -1, 0])

    def test_small_losses_keep_their_digits(self, dtype):
        z = np.array([[30.0], [15.0]], dtype)
        outputs = run(BinaryCrossEntropy(), z, np.ones((2, 1), dtype))
        np.testing.assert_allclose(outputs["loss"], np.log1p(np.exp(-z.astype(float)[:, 0])), rtol=2e-6, atol=2e-6)


@given(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4), st.integers(0, 1))
def test_two_classes_are_one_binary_question(a, b, label):
    """Cross-entropy of logits (a, b) is binary cross-entropy of b - a."""
    two = run(CrossEntropy(), np.array([[a, b]]), np.array([label]))["loss"][0]
    one = run(BinaryCrossEntropy(), np.array([[b - a]]), np.array([[float(label)]]))["loss"][0]
    assert two == pytest.approx(one, rel=1e-9, abs=1e-11)
    assert two >= 0


FLOATS, INTS = Type("float32", (N, 3)), Type("int64", (N,))


class TestTargetTypes:
    @pytest.mark.parametrize(
        ("loss", "output", "given", "wanted"),
        [
            (CrossEntropy(), FLOATS, INTS, INTS),
            (CrossEntropy(), FLOATS, Type("int32", (N,)), INTS),
            (CrossEntropy(), FLOATS, Type("bool", (N,)), INTS),
            (CrossEntropy(), FLOATS, FLOATS, FLOATS),
            (CrossEntropy(), Type("float32", (N, 5, 3)), Type("int64", (N, 5)), Type("int64", (N, 5))),
            (BinaryCrossEntropy(), Type("float32", (N, 1)), INTS, Type("float32", (N, 1))),
            (SquaredError(), Type("float32", (N, 1)), Type("float32", (N,)), Type("float32", (N, 1))),
            (SquaredError(), FLOATS, FLOATS, FLOATS),
        ],
    )
    def test_what_fits(self, loss, output, given, wanted):
        assert loss.target_type(output, given) == wanted

    @pytest.mark.parametrize(
        ("loss", "output", "given", "words"),
        [
            (CrossEntropy(), FLOATS, Type("float32", (N,)), ["cross-entropy", "int64[n]", "float32[n]"]),
            (CrossEntropy(), FLOATS, Type("int64", (N, 1)), ["int64[n]", "int64[n, 1]"]),
            (CrossEntropy(), FLOATS, Type("float32", (N, 4)), ["float32[n, 3]", "float32[n, 4]"]),
            (CrossEntropy(), Type("float32", (N,)), INTS, ["(n, classes)", "float32[n]"]),
            (SquaredError(), FLOATS, Type("float32", (N, 2)), ["SquaredError", "float32[n, 3]", "float32[n, 2]"]),
            (SquaredError(), FLOATS, Type("float32", (N,)), ["float32[n, 3]", "float32[n]", "last layer"]),
            (BinaryCrossEntropy(), FLOATS, INTS, ["BinaryCrossEntropy", "float32[n, 3]", "int64[n]"]),
        ],
    )
    def test_what_does_not(self, loss, output, given, words):
        with pytest.raises(ShapeError) as caught:
            loss.target_type(output, given)
        for word in words:
            assert word in str(caught.value)


def test_choices():
    assert {losses.loss(name) for name in losses.LOSSES} == {CrossEntropy(), BinaryCrossEntropy(), SquaredError()}
    assert losses.loss(SquaredError(2.0)) == SquaredError(2.0)
    with pytest.raises(SettingsError, match=r"'mse'.*squared_error"):
        losses.loss("mse")
    for kind in (SquaredError, BinaryCrossEntropy):
        with pytest.raises(SettingsError, match="'mean' or 'sum'"):
            kind(over="max")
