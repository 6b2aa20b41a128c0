"""Penalties: their values, their gradients, and that their factors are inputs."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from clearprop import nn, ops
from clearprop.backends.reference import Reference
from clearprop.grad import derive
from clearprop.ir import Type

W = np.array([[1.5, -2.0, 0.0], [0.25, -0.125, 3.0]])
EXPECTED = {
    nn.L1: (lambda f: f * np.abs(W).sum(), lambda f: f * np.sign(W)),
    nn.L2: (lambda f: f / 2 * (W**2).sum(), lambda f: f * W),
}
PENALTIES = [
    thing
    for name in nn.__all__
    if inspect.isclass(thing := getattr(nn, name)) and issubclass(thing, nn.Penalty) and not inspect.isabstract(thing)
]


def test_every_penalty_has_a_reference():
    assert set(PENALTIES) == set(EXPECTED)


@pytest.mark.parametrize("kind", PENALTIES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("factor", [0.0, 1e-4, 2.5])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_value_and_gradient(kind, factor, dtype):
    value, gradient = EXPECTED[kind]
    with ops.tracing("penalty") as builder, nn.applying(nn.Context(training=True)) as context:
        tensor = ops.placeholder("W", Type(dtype, W.shape))
        program = builder.finish([("penalty", kind(factor)(tensor).value)])
    assert list(context.hyper.values()) == [factor]
    arrays = {"W": W.astype(dtype)} | {name: np.asarray(f) for name, f in context.hyper.items()}
    outputs = Reference().compile(derive(program, ["W"]))(arrays)
    assert outputs["penalty"].dtype == dtype
    np.testing.assert_allclose(outputs["penalty"], value(factor), rtol=1e-6)
    np.testing.assert_allclose(outputs["grad.W"], gradient(factor), rtol=1e-6)


def test_dense_adds_every_penalty_on_its_weights_only(apply):
    layer = nn.Dense(3, penalty=(nn.L1(0.5), nn.L2(0.25)))
    params = {"W": W, "b": np.array([9.0, 9.0, 9.0])}
    outputs = apply(layer, np.ones((4, 2)), params, training=True).outputs()
    np.testing.assert_allclose(outputs["penalty0"], 0.5 * np.abs(W).sum(), rtol=1e-15)
    np.testing.assert_allclose(outputs["penalty1"], 0.125 * (W**2).sum(), rtol=1e-15)


def test_two_penalties_of_a_kind_keep_their_own_factors(apply):
    layer = nn.Dense(3, penalty=(nn.L2(0.5), nn.L2(0.25)))
    outputs = apply(layer, np.ones((4, 2)), {"W": W, "b": np.zeros(3)}, training=True).outputs()
    assert outputs["penalty0"] == 2 * outputs["penalty1"]


def test_inference_has_no_penalty(apply):
    assert not apply(nn.Dense(3, penalty=nn.L2(1.0)), np.ones((4, 2))).context.penalties
