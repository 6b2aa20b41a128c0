"""Pooling and upsampling against loops, values and gradients; what ties and padding do."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import window_loops as loops

from clearprop import nn, ops
from clearprop.ops import Example, Operand
from clearprop.testing import check_vjp

GRID = [
    (size, stride, padding, ceil)
    for size, stride, padding, ceil in itertools.product(
        (2, 3, (3, 2)), (None, 1, 2, (2, 3)), ("valid", "same", 1, ((1, 0), (0, 1))), (False, True)
    )
]
KINDS = {
    "max": lambda *settings: nn.MaxPool2D(*settings),
    "mean": lambda *settings: nn.AveragePool2D(*settings),
    "padded": lambda *settings: nn.AveragePool2D(*settings, count_padding=True),
}


def pair(value):
    return value if isinstance(value, tuple) else (value, value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("size", "stride", "padding", "ceil"), GRID)
def test_pool2d(apply, kind, size, stride, padding, ceil):
    x = np.random.default_rng(0).permutation(2 * 8 * 7 * 3).reshape(2, 8, 7, 3) - 160.0
    sizes, steps = pair(size), pair(size if stride is None else stride)
    settings = (sizes, steps, loops.ends(padding, (8, 7), sizes, steps), ceil, kind)
    applied = apply(KINDS[kind](size, stride, padding, ceil), x)
    expected = loops.pool(x, *settings)
    np.testing.assert_allclose(applied.outputs()["result"], expected, rtol=1e-13, atol=1e-12)
    rng = np.random.default_rng(1)
    g, direction = rng.normal(size=expected.shape), rng.normal(size=x.shape)
    # piecewise linear: a difference within the piece is exact
    along = (loops.pool(x + 1e-3 * direction, *settings) - loops.pool(x - 1e-3 * direction, *settings)) * g / 2e-3
    np.testing.assert_allclose((applied.gradients(g, "x")["x"] * direction).sum(), along.sum(), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("ceil", [False, True])
def test_pool1d(apply, ceil):
    x = np.random.default_rng(2).normal(size=(3, 9, 2))
    for kind, layer in (("max", nn.MaxPool1D(3, 2, 1, ceil)), ("mean", nn.AveragePool1D(3, 2, 1, ceil))):
        expected = loops.pool(x, (3,), (2,), [(1, 1)], ceil, kind)
        np.testing.assert_allclose(apply(layer, x).outputs()["result"], expected, rtol=1e-13)


def test_ties_share_the_derivative(apply):
    x = np.zeros((1, 2, 2, 1))
    np.testing.assert_array_equal(apply(nn.MaxPool2D(), x).gradients(np.ones((1, 1, 1, 1)), "x")["x"], x + 0.25)


def test_padding_is_never_the_largest(apply):
    x = np.full((1, 3, 3, 1), -5.0)
    assert (apply(nn.MaxPool2D(3, 1, "same"), x).outputs()["result"] == -5.0).all()


@pytest.mark.parametrize("layer", [nn.GlobalAveragePool(), nn.GlobalMaxPool()], ids=repr)
@pytest.mark.parametrize("shape", [(2, 5, 3), (2, 4, 5, 3)])
def test_global_pooling(apply, layer, shape):
    x = np.random.default_rng(3).normal(size=shape)
    function = np.mean if isinstance(layer, nn.GlobalAveragePool) else np.max
    expected = function(x, axis=tuple(range(1, x.ndim - 1)))
    np.testing.assert_allclose(apply(layer, x).outputs()["result"], expected, rtol=1e-13)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("factor", [1, 2, 3, (1, 4)])
def test_upsample(apply, mode, factor):
    rng = np.random.default_rng(4)
    x, direction = rng.normal(size=(2, 3, 4, 2)), rng.normal(size=(2, 3, 4, 2))
    applied = apply(nn.Upsample(factor, mode), x)
    expected = loops.upsample(x, pair(factor), mode)
    np.testing.assert_allclose(applied.outputs()["result"], expected, rtol=1e-12, atol=1e-14)
    g = rng.normal(size=expected.shape)
    along = (loops.upsample(direction, pair(factor), mode) * g).sum()  # it is linear
    np.testing.assert_allclose((applied.gradients(g, "x")["x"] * direction).sum(), along, rtol=1e-11)


def test_one_place_stays_one_number_upsampled(apply):
    x = np.full((1, 1, 3), 2.5)
    assert (apply(nn.Upsample(4, "linear"), x).outputs()["result"] == 2.5).all()


@pytest.mark.parametrize("layer", [nn.MaxPool1D(3, 2, 1), nn.AveragePool1D(3, 1, "same"), nn.Upsample(2, "linear")])
def test_to_second_order(layer):
    def function(x: ops.Tensor) -> ops.Tensor:
        with nn.applying(nn.Context(training=False)):
            return layer.apply({}, x * x)

    check_vjp(function, Example((Operand((2, 6, 2), 0.5, 2.0, distinct=True),)))


def test_channels_first_become_last(apply):
    x = np.random.default_rng(5).normal(size=(2, 3, 4, 5))
    np.testing.assert_array_equal(apply(nn.ChannelsLast(), x).outputs()["result"], np.moveaxis(x, 1, -1))
