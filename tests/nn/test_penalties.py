"""Penalties on weights and activations: values, gradients to second order, and that their factors are inputs."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import scipy.special
from penalty_table import PENALTIES

from clearprop import nn, ops
from clearprop.backends.reference import Reference
from clearprop.errors import SettingsError
from clearprop.grad import derive
from clearprop.ir import Program, Type
from clearprop.testing import check_gradient

W = np.array([[1.5, -2.0, 0.0], [0.25, -0.125, 3.0]])
KINDS = {
    thing
    for name in nn.__all__
    if inspect.isclass(thing := getattr(nn, name)) and issubclass(thing, nn.Penalty) and not inspect.isabstract(thing)
}


def traced(penalty: nn.Penalty, dtype: str) -> tuple[Program, dict[str, np.ndarray]]:
    """The program of a penalty of W, and the hyper-parameters that it takes."""
    with ops.tracing("penalty") as builder, nn.applying(nn.Context(training=True)) as context:
        tensor = ops.placeholder("W", Type(dtype, W.shape))
        program = builder.finish([("penalty", penalty(tensor).value)])
    return program, {name: np.asarray(value) for name, value in context.hyper.items()}


def test_every_penalty_has_a_name_and_a_reference():
    assert {type(penalty) for penalty in PENALTIES} == KINDS == set(nn.PENALTIES.values())


@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_value_and_gradient(penalty, dtype):
    value, gradient = PENALTIES[penalty]
    program, hyper = traced(penalty, dtype)
    assert sorted(hyper.values()) == sorted(vars(penalty).values())
    outputs = Reference().compile(derive(program, ["W"]))({"W": W.astype(dtype)} | hyper)
    assert outputs["penalty"].dtype == dtype
    np.testing.assert_allclose(outputs["penalty"], value(W), rtol=1e-6)
    np.testing.assert_allclose(outputs["grad.W"], gradient(W), rtol=1e-6)


@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
def test_derivatives_to_second_order(penalty):
    program, hyper = traced(penalty, "float64")
    check_gradient(program, {"W": W + 0.05} | hyper, ["W"], order=2)


def test_dense_adds_every_penalty_on_its_weights_only(apply):
    layer = nn.Dense(3, penalty=(nn.L1(0.5), nn.L2(0.25)))
    params = {"W": W, "b": np.array([9.0, 9.0, 9.0])}
    outputs = apply(layer, np.ones((4, 2)), params, training=True).outputs()
    np.testing.assert_allclose(outputs["penalty0"], 0.5 * np.abs(W).sum(), rtol=1e-15)
    np.testing.assert_allclose(outputs["penalty1"], 0.125 * (W**2).sum(), rtol=1e-15)


@pytest.mark.parametrize("name", nn.PENALTIES)
def test_a_name_is_the_penalty_with_its_defaults(apply, name):
    made = nn.PENALTIES[name]()
    assert nn.penalty(name) == made
    for named, other in (
        (nn.Dense(3, penalty=[name, "l1"]), nn.Dense(3, penalty=(made, nn.L1()))),
        (nn.ActivityPenalty(name), nn.ActivityPenalty(made)),
    ):
        one, two = (apply(layer, np.ones((4, 2)), training=True).outputs() for layer in (named, other))
        assert {key: value.tolist() for key, value in one.items()} == {
            key: value.tolist() for key, value in two.items()
        }


def test_two_penalties_of_a_kind_keep_their_own_factors(apply):
    layer = nn.Dense(3, penalty=(nn.L2(0.5), nn.L2(0.25)))
    outputs = apply(layer, np.ones((4, 2)), {"W": W, "b": np.zeros(3)}, training=True).outputs()
    assert outputs["penalty0"] == 2 * outputs["penalty1"]


@pytest.mark.parametrize(
    "layer", [nn.Dense(3, penalty=nn.L2(1.0)), nn.ActivityPenalty(nn.L2(1.0)), nn.KLSparsity()], ids=str
)
def test_inference_has_no_penalty(apply, layer):
    assert not apply(layer, np.ones((4, 2))).context.penalties


class TestActivity:
    X = np.random.default_rng(0).uniform(0.1, 0.9, (5, 3))

    @pytest.mark.parametrize(("penalty", "power"), [(nn.L1(0.5), 1), (nn.L2(1.0), 2)])
    def test_a_penalty_of_activations_is_that_of_a_sample_on_average(self, apply, penalty, power):
        outputs = apply(nn.ActivityPenalty(penalty), self.X, training=True).outputs()
        np.testing.assert_allclose(outputs["penalty0"], 0.5 * (self.X**power).sum() / 5, rtol=1e-14)
        np.testing.assert_array_equal(outputs["result"], self.X)

    def test_sparsity_is_the_divergence_of_mean_activations(self, apply):
        outputs = apply(nn.KLSparsity(0.2, 0.5), self.X, training=True).outputs()
        mean = self.X.mean(axis=0)
        expected = 0.5 * (scipy.special.rel_entr(0.2, mean) + scipy.special.rel_entr(0.8, 1 - mean)).sum()
        np.testing.assert_allclose(outputs["penalty0"], expected, rtol=1e-13)
        np.testing.assert_array_equal(outputs["result"], self.X)

    @pytest.mark.parametrize("layer", [nn.ActivityPenalty(nn.ElasticNet(0.5)), nn.KLSparsity(0.3, 0.5)], ids=str)
    def test_derivatives_to_second_order(self, apply, layer):
        applied = apply(layer, self.X, training=True)
        check_gradient(applied.program.with_outputs("penalty0"), applied.inputs, ["x"], order=2)

    @pytest.mark.parametrize("x", [np.zeros((4, 2)), np.ones((4, 2)), np.full((4, 2), 0.2)])
    def test_sparsity_is_finite_where_units_are_dead_and_least_at_the_target(self, apply, x):
        value = apply(nn.KLSparsity(0.2, 1.0), x, training=True).outputs()["penalty0"]
        assert np.isfinite(value)
        assert (value < 1e-12) == (x[0, 0] == 0.2)

    def test_what_is_no_penalty_is_refused(self):
        with pytest.raises(SettingsError, match="there is no penalty 'l3'; choose one of l1, l2"):
            nn.ActivityPenalty("l3")
