"""Normalisation layers against NumPy in float64: the training form of batch norm, running averages, second order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats

from clearprop import nn
from clearprop.errors import ShapeError
from clearprop.testing import check_gradient

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(7)
PARAMS = {
    "gamma": RNG.uniform(0.5, 1.5, 4),
    "beta": RNG.normal(size=4),
    "mean": RNG.normal(size=4),
    "variance": RNG.uniform(0.5, 2.0, 4),
}


def by_batch(x: Array, p: dict[str, Array], epsilon: float = 1e-5) -> Array:
    rows = x.reshape(-1, x.shape[-1])
    m = rows.mean(axis=0)
    return p["gamma"] * (x - m) / np.sqrt(((rows - m) ** 2).mean(axis=0) + epsilon) + p["beta"]


def differences(function: Any, at: Array, h: float = 1e-5) -> Array:
    result = np.zeros_like(at)
    for place in np.ndindex(at.shape):
        step = np.zeros_like(at)
        step[place] = h
        result[place] = (function(at + step) - function(at - step)) / (2 * h)
    return result


@pytest.mark.parametrize("shape", [(5, 4), (3, 2, 4), (2, 3, 2, 4)])
def test_batch_norm_in_training(apply, shape):
    x = 3.0 + 2.0 * np.random.default_rng(0).normal(size=shape)
    applied = apply(nn.BatchNorm(), x, PARAMS, training=True)
    expected = by_batch(x, PARAMS)
    np.testing.assert_allclose(applied.outputs()["result"], expected, rtol=1e-12, atol=1e-13)
    weights = np.random.default_rng(1).normal(size=shape)
    found = applied.gradients(weights, "x", "gamma", "beta", "mean", "variance")
    wanted = {
        "x": differences(lambda at: (by_batch(at, PARAMS) * weights).sum(), x),
        "gamma": differences(lambda at: (by_batch(x, PARAMS | {"gamma": at}) * weights).sum(), PARAMS["gamma"]),
        "beta": weights.reshape(-1, 4).sum(axis=0),
        "mean": np.zeros(4),
        "variance": np.zeros(4),
    }
    for name, gradient in wanted.items():
        np.testing.assert_allclose(found[name], gradient, rtol=1e-6, atol=1e-8, err_msg=name)


def test_batch_norm_otherwise_goes_by_the_running_averages(apply):
    x = np.random.default_rng(0).normal(size=(3, 2, 4))
    p = PARAMS
    expected = p["gamma"] * (x - p["mean"]) / np.sqrt(p["variance"] + 1e-5) + p["beta"]
    np.testing.assert_allclose(apply(nn.BatchNorm(), x, p).outputs()["result"], expected, rtol=1e-12)


def test_a_large_mean_costs_no_digits(apply):
    x = (1e4 + np.random.default_rng(0).normal(size=(64, 4))).astype(np.float32)
    result = apply(nn.BatchNorm(), x, {k: v.astype(np.float32) for k, v in PARAMS.items()}, training=True)
    np.testing.assert_allclose(result.outputs()["result"], by_batch(x.astype(float), PARAMS), atol=5e-3)


def test_without_gamma_and_beta(apply):
    x = np.random.default_rng(0).normal(size=(6, 4))
    averages = {"mean": PARAMS["mean"], "variance": PARAMS["variance"]}
    ones = {"gamma": np.ones(4), "beta": np.zeros(4)}
    result = apply(nn.BatchNorm(affine=False), x, averages, training=True).outputs()["result"]
    np.testing.assert_allclose(result, by_batch(x, ones), rtol=1e-11, atol=1e-13)


LAYERS = [
    nn.BatchNorm(), nn.LayerNorm(), nn.RMSNorm(), nn.GroupNorm(2), nn.InstanceNorm(0.1), nn.LocalResponseNorm(3, 0.5),
]  # fmt: skip


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
def test_to_second_order(apply, layer):
    rng = np.random.default_rng(3)
    applied = apply(layer, rng.normal(size=(3, 2, 4)), PARAMS, training=True)
    wrt = [name for name in ("x", "gamma", "beta") if name in applied.program.input_names]
    inputs = applied.inputs | {"weights": rng.normal(size=(3, 2, 4))}
    report = check_gradient(applied.program.with_outputs("scalar"), inputs, wrt, order=2)
    assert {order for order, _ in report.errors} == {1, 2}


@pytest.mark.parametrize(
    ("layer", "sample", "message"),
    [
        (nn.GroupNorm(3), (4, 4), "4 channels cannot be shared out over 3 groups"),
        (nn.InstanceNorm(), (4,), "InstanceNorm takes places and channels"),
        (nn.LayerNorm(), (), "LayerNorm takes samples with a last axis of channels"),
        (nn.LocalResponseNorm(), (), "LocalResponseNorm takes channels"),
        (nn.BatchNorm(), (), "BatchNorm takes samples with a last axis of channels"),
    ],
)
def test_samples_that_do_not_fit_are_refused(apply, layer, sample, message):
    with pytest.raises(ShapeError, match=message):
        apply(layer, np.zeros((2, *sample)))


class TestSpatialDropout:
    def test_whole_channels_are_dropped(self, apply):
        x = np.ones((60, 3, 2, 50))
        result = apply(nn.SpatialDropout(0.3), x, training=True).outputs()["result"]
        channels = result[:, 0, 0]
        np.testing.assert_array_equal(result, np.broadcast_to(channels[:, np.newaxis, np.newaxis], x.shape))
        np.testing.assert_allclose(np.unique(result), [0.0, 1 / 0.7], rtol=1e-15)
        assert scipy.stats.binomtest(int((channels == 0).sum()), channels.size, 0.3).pvalue > 1e-3
