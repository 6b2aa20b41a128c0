"""Every loss against SciPy and scikit-learn, at the ends of the line, and its gradient against differences."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import scipy.special
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from loss_table import BITS, CASES, LABELS, LOGITS, SOFT, VALUES, fourth_power, quantiles

from clearprop import losses, ops
from clearprop.backends.reference import Reference
from clearprop.description import brief
from clearprop.errors import SettingsError, ShapeError
from clearprop.grad import derive
from clearprop.ir import Batch, Type
from clearprop.losses import BinaryCrossEntropy, CrossEntropy, SquaredError
from clearprop.testing import check_gradient

Array = np.ndarray[Any, Any]
N = Batch()
KINDS = {
    thing
    for name in losses.__all__
    if inspect.isclass(thing := getattr(losses, name))
    and issubclass(thing, losses.Loss)
    and not inspect.isabstract(thing)
}


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


def test_every_loss_has_a_case():
    assert {type(case.loss) for case in CASES} == KINDS
    assert set(losses.LOSSES.values()) == KINDS - {losses.FunctionLoss}
    for name, kind in losses.LOSSES.items():
        assert losses.loss(name) == kind()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{brief(case.loss)}{case.z.shape}{case.y.dtype}")
class TestAgainstReference:
    def test_each_sample_and_their_mean(self, case):
        outputs = run(case.loss, case.z, case.y)
        expected = case.expected(case.z, case.y)
        assert outputs["loss"].shape == (len(case.z),)
        np.testing.assert_allclose(outputs["loss"], expected, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(outputs["cost"], expected.mean(), rtol=1e-12)

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
        np.testing.assert_allclose(outputs["cost"], expected, rtol=1e-12)
        assert not outputs["grad.z"][0].any()

    def test_derivatives_to_second_order(self, case):
        """By the output; the table's numbers lie off the kinks."""
        with ops.tracing("loss") as builder:
            z = ops.placeholder("z", Type("float64", (N, *case.z.shape[1:])))
            y = ops.placeholder("y", Type(str(case.y.dtype), (N, *case.y.shape[1:])))
            program = builder.finish([("cost", losses.cost(case.loss.per_sample(z, y), None).value)])
        check_gradient(program, {"z": case.z, "y": case.y}, ["z"], order=2)

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_extreme_outputs_give_finite_losses_and_gradients(self, case, dtype):
        corners = np.array([-1.0, 1.0, 0.5, -0.5, 0.0, 1e-12])
        y = case.y if case.y.dtype.kind == "i" else case.y.astype(dtype)
        for seed in range(5):
            signs = np.random.default_rng(seed).choice(corners, case.z.shape)
            outputs = run(case.loss, (case.extreme * signs).astype(dtype), y)
            for name in ("loss", "cost", "grad.z"):
                assert np.isfinite(outputs[name]).all(), name

    def test_the_target_it_was_given_is_the_one_it_takes(self, case):
        output, target = (Type(str(a.dtype), (N, *a.shape[1:])) for a in (case.z, case.y))
        assert case.loss.target_type(output, target) == target

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
    assert losses.loss(SquaredError(2.0)) == SquaredError(2.0)
    assert losses.loss(fourth_power) == losses.FunctionLoss(fourth_power)
    with pytest.raises(SettingsError, match=r"'mse'.*squared_error"):
        losses.loss("mse")
    for wrong in (3, None):
        with pytest.raises(SettingsError, match="a name, a Loss or a function"):
            losses.loss(wrong)
    for kind in (SquaredError, BinaryCrossEntropy):
        with pytest.raises(SettingsError, match="'mean' or 'sum'"):
            kind(over="max")


class TestRelations:
    """What one loss says of another, and what holds for any output."""

    def test_huber_is_between_squared_and_absolute(self):
        squared, absolute = (run(loss, LOGITS, VALUES)["loss"] for loss in (SquaredError(0.5), losses.AbsoluteError()))
        np.testing.assert_allclose(run(losses.Huber(1e6), LOGITS, VALUES)["loss"], squared, rtol=1e-12)
        np.testing.assert_allclose(run(losses.SmoothL1(1e-9), LOGITS, VALUES)["loss"], absolute, rtol=1e-8)

    def test_kl_is_cross_entropy_less_entropy(self):
        entropy = scipy.special.entr(SOFT).sum(1)
        expected = run(CrossEntropy(), LOGITS, SOFT)["loss"] - entropy
        np.testing.assert_allclose(run(losses.KLDivergence(), LOGITS, SOFT)["loss"], expected, rtol=1e-12)

    def test_log_likelihood_of_log_softmax_is_cross_entropy(self):
        z = scipy.special.log_softmax(LOGITS, axis=1)
        outputs = run(losses.NegativeLogLikelihood(), z, LABELS)
        np.testing.assert_allclose(outputs["loss"], run(CrossEntropy(), LOGITS, LABELS)["loss"], rtol=1e-12)
        np.testing.assert_allclose(outputs["prediction"], scipy.special.softmax(LOGITS, axis=1), rtol=1e-12)

    def test_focal_is_at_most_cross_entropy(self):
        assert (run(losses.Focal(), LOGITS, LABELS)["loss"] <= run(CrossEntropy(), LOGITS, LABELS)["loss"]).all()

    def test_deviance_is_least_where_the_rate_is_met(self):
        counts = np.array([[1.0, 2.0, 5.0]])
        met = run(losses.Poisson("deviance"), np.log(counts), counts)
        np.testing.assert_allclose(met["loss"], 0.0, atol=1e-14)
        np.testing.assert_allclose(met["grad.z"], 0.0, atol=1e-14)
        np.testing.assert_allclose(met["prediction"], counts, rtol=1e-14)

    def test_the_hinge_of_scikit_learn(self):
        cost = run(losses.Hinge(), LOGITS[:, :1], BITS[:, :1])["cost"]
        assert cost == pytest.approx(sklearn.metrics.hinge_loss(2 * BITS[:, 0] - 1, LOGITS[:, 0]), rel=1e-12)

    def test_a_hinge_without_margin_is_the_perceptrons(self):
        """Its gradient is minus the signed input where the answer is wrong, and 0 where it is right."""
        outputs = run(losses.Hinge(0.0), LOGITS[:, :1], BITS[:, :1])
        wrong = (LOGITS[:, 0] > 0) != (BITS[:, 0] > 0)
        np.testing.assert_allclose(outputs["grad.z"][:, 0] * 6, wrong * (1 - 2 * BITS[:, 0]), rtol=1e-12)
        np.testing.assert_allclose(outputs["loss"], wrong * np.abs(LOGITS[:, 0]), rtol=1e-12)
        np.testing.assert_array_equal(outputs["prediction"] > 0.5, LOGITS[:, :1] > 0)

    def test_the_mean_of_a_likelihood_is_pulled_by_its_precision(self):
        z = np.array([[1.0, 0.5]])
        outputs = run(losses.GaussianLikelihood(0.1), z, np.array([[3.0]]))
        variance = np.log1p(np.exp(0.5)) + 0.1
        assert outputs["grad.z"][0, 0] == pytest.approx(-2.0 / variance, rel=1e-12)
        np.testing.assert_allclose(outputs["prediction"], [[1.0, np.sqrt(variance)]], rtol=1e-12)

    @pytest.mark.parametrize("shift", [-1e3, 5.0])
    def test_scores_of_classes_may_be_shifted(self, shift):
        for loss in (CrossEntropy(), CrossEntropy(0.2), losses.Focal(), losses.MultiMargin()):
            here, there = run(loss, LOGITS, LABELS)["loss"], run(loss, LOGITS + shift, LABELS)["loss"]
            np.testing.assert_allclose(there, here, rtol=1e-9, atol=1e-10)


@given(st.lists(st.floats(-1e4, 1e4), min_size=3, max_size=3))
def test_quantiles_never_cross(outputs):
    z = np.array([outputs])
    predicted = run(losses.Quantile(), z, np.zeros(1))["prediction"]
    assert (np.diff(predicted) >= 0).all()
    np.testing.assert_allclose(predicted, quantiles(z), rtol=1e-9, atol=1e-9)


PAIR, ROW, ONE = Type("float32", (N, 2, 5)), Type("float32", (N,)), Type("float32", (N, 1))


class TestShapesOfTheCatalogue:
    @pytest.mark.parametrize(
        ("loss", "output", "given", "wanted"),
        [
            (losses.Quantile(), FLOATS, Type("float32", (N,)), Type("float32", (N,))),
            (losses.Quantile(), FLOATS, Type("float32", (N, 1)), Type("float32", (N,))),
            (losses.Quantile(), Type("float32", (N, 2, 3)), Type("float32", (N, 2)), Type("float32", (N, 2))),
            (losses.GaussianLikelihood(), Type("float32", (N, 2)), Type("float32", (N,)), Type("float32", (N, 1))),
            (losses.Contrastive(), PAIR, INTS, Type("float32", (N,))),
            (losses.Triplet(), Type("float32", (N, 3, 5)), Type("float32", (N, 1)), Type("float32", (N,))),
            (losses.FunctionLoss(fourth_power), FLOATS, Type("int32", (N,)), INTS),
            (
                losses.FunctionLoss(fourth_power),
                Type("float32", (N, 1)),
                Type("float32", (N,)),
                Type("float32", (N, 1)),
            ),
            (losses.Hinge(), Type("float32", (N, 1)), INTS, Type("float32", (N, 1))),
            (losses.MultiMargin(), FLOATS, INTS, INTS),
        ],
    )
    def test_what_fits(self, loss, output, given, wanted):
        assert loss.target_type(output, given) == wanted

    @pytest.mark.parametrize(
        ("loss", "output", "given", "words"),
        [
            (losses.Quantile(), Type("float32", (N, 2)), Type("float32", (N,)), ["3 outputs", "float32[n, 2]"]),
            (losses.Quantile(), FLOATS, FLOATS, ["float32[n]", "float32[n, 3]"]),
            (losses.GaussianLikelihood(), FLOATS, FLOATS, ["two outputs a target", "float32[n, 3]"]),
            (losses.GaussianLikelihood(), Type("float32", (N, 4)), FLOATS, ["float32[n, 2]", "float32[n, 3]"]),
            (losses.Triplet(), PAIR, INTS, ["3 items", "(3, features)", "float32[n, 2, 5]"]),
            (losses.Contrastive(), PAIR, Type("float32", (N, 2)), ["one number a sample", "float32[n, 2]"]),
            (losses.MultiMargin(), FLOATS, FLOATS, ["int64[n]", "float32[n, 3]"]),
            (losses.KLDivergence(), FLOATS, INTS, ["probabilities", "int64[n]"]),
        ],
    )
    def test_what_does_not(self, loss, output, given, words):
        with pytest.raises(ShapeError) as caught:
            loss.target_type(output, given)
        for word in words:
            assert word in str(caught.value)

    @pytest.mark.parametrize(
        ("function", "error", "words"),
        [
            (lambda output, target: 3.0, TypeError, "must return a tensor, and returned float"),
            (lambda output, target: ops.mean(output), ShapeError, r"a loss a sample, \(n,\), not \(\)"),
        ],
    )
    def test_what_a_function_must_return(self, function, error, words):
        with pytest.raises(error, match=words):
            run(losses.FunctionLoss(function), LOGITS, VALUES)


@pytest.mark.parametrize(
    "given", [[0.25, 0.5, 0.75], np.array([0.25, 0.5, 0.75], np.float32), np.linspace(0.25, 0.75, 3)]
)
def test_quantiles_may_be_any_sequence(given):
    assert losses.Quantile(given) == losses.Quantile((0.25, 0.5, 0.75))
