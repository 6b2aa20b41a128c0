"""Convolutions over stride x padding x dilation x groups: values and gradients against loops, in float64."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import scipy.signal
import window_loops as loops

from clearprop import nn, ops
from clearprop.errors import SettingsError, ShapeError
from clearprop.model import Model
from clearprop.nn.layer import LayerError
from clearprop.ops import Example, Operand
from clearprop.optim import SGD
from clearprop.randomness import Key
from clearprop.testing import check_vjp

PADDINGS = ("valid", "same", 1, ((2, 0), 1))
GRID = list(itertools.product((1, 2, (3, 1)), PADDINGS, (1, (1, 2)), (1, 2, 4)))


def pair(value: Any) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


def reach(kernel: Any, dilation: Any) -> list[int]:
    return [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]


@pytest.mark.parametrize(("stride", "padding", "dilation", "groups"), GRID)
def test_conv2d(apply, stride, padding, dilation, groups):
    layer = nn.Conv2D(8, (3, 2), stride=stride, padding=padding, dilation=dilation, groups=groups)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 7, 6, 4))
    params = {"W": rng.normal(size=(3, 2, 4 // groups, 8)), "b": rng.normal(size=8)}
    pads = loops.ends(padding, (7, 6), reach((3, 2), pair(dilation)), pair(stride))
    settings = (pair(stride), pair(dilation), pads, groups)
    applied = apply(layer, x, params)
    expected = loops.conv(x, params["W"], *settings) + params["b"]
    np.testing.assert_allclose(applied.outputs()["result"], expected, rtol=1e-12, atol=1e-12)
    g = rng.normal(size=expected.shape)
    dx, dw = loops.conv_cotangents(g, x, params["W"], *settings)
    found = applied.gradients(g, "x", "W", "b")
    for name, wanted in {"x": dx, "W": dw, "b": g.sum(axis=(0, 1, 2))}.items():
        np.testing.assert_allclose(found[name], wanted, rtol=1e-11, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("padding", PADDINGS[:3])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("groups", [1, 3])
def test_conv1d(apply, stride, padding, dilation, groups):
    layer = nn.Conv1D(6, 3, stride=stride, padding=padding, dilation=dilation, groups=groups)
    rng = np.random.default_rng(1)
    x, W = rng.normal(size=(2, 9, 3)), rng.normal(size=(3, 3 // groups, 6))
    settings = ((stride,), (dilation,), loops.ends(padding, (9,), reach((3,), (dilation,)), (stride,)), groups)
    applied = apply(layer, x, {"W": W, "b": np.zeros(6)})
    expected = loops.conv(x, W, *settings)
    np.testing.assert_allclose(applied.outputs()["result"], expected, rtol=1e-12, atol=1e-12)
    g = rng.normal(size=expected.shape)
    found = applied.gradients(g, "x", "W")
    for name, wanted in zip(("x", "W"), loops.conv_cotangents(g, x, W, *settings), strict=True):
        np.testing.assert_allclose(found[name], wanted, rtol=1e-11, atol=1e-12, err_msg=name)


def test_one_filter_is_scipys_correlation(apply):
    rng = np.random.default_rng(2)
    x, W = rng.normal(size=(1, 9, 8, 1)), rng.normal(size=(3, 4, 1, 1))
    result = apply(nn.Conv2D(1, (3, 4), bias=False), x, {"W": W}).outputs()["result"]
    expected = scipy.signal.correlate2d(x[0, :, :, 0], W[:, :, 0, 0], mode="valid")
    np.testing.assert_allclose(result[0, :, :, 0], expected, rtol=1e-12)


@pytest.mark.parametrize("multiplier", [1, 3])
def test_depthwise_is_one_group_a_channel(apply, multiplier):
    rng = np.random.default_rng(3)
    x, W = rng.normal(size=(2, 6, 5, 4)), rng.normal(size=(3, 3, 1, 4 * multiplier))
    layer = nn.DepthwiseConv2D(3, multiplier, padding="same", stride=2, bias=False)
    expected = loops.conv(x, W, (2, 2), (1, 1), loops.ends("same", (6, 5), (3, 3), (2, 2)), groups=4)
    np.testing.assert_allclose(apply(layer, x, {"W": W}).outputs()["result"], expected, rtol=1e-12, atol=1e-12)
    assert layer.init(Key(0), (6, 5, 4))["W"].shape == W.shape


@pytest.mark.parametrize("stride", [1, 2, (1, 3)])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("padding", ["valid", "same", 1, ((1, 0), 0)])
def test_transposed(apply, stride, dilation, padding):
    steps, gaps = pair(stride), pair(dilation)
    extra = tuple(s - 1 for s in steps) if padding != "same" else (0, 0)
    layer = nn.ConvTranspose2D(3, 3, stride=stride, dilation=dilation, padding=padding, output_padding=extra)
    rng = np.random.default_rng(4)
    x, params = rng.normal(size=(2, 4, 3, 2)), {"W": rng.normal(size=(3, 3, 2, 3)), "b": rng.normal(size=3)}
    span = reach((3, 3), gaps)
    covered = [(n - 1) * s + k for n, s, k in zip((4, 3), steps, span, strict=True)]
    if padding == "same":
        lengths = [n * s for n, s in zip((4, 3), steps, strict=True)]
        lows = [max(have - want, 0) // 2 for have, want in zip(covered, lengths, strict=True)]
    else:
        pads = loops.ends(padding, (4, 3), span, steps)
        lengths = [have - sum(pad) + more for have, pad, more in zip(covered, pads, extra, strict=True)]
        lows = [pad[0] for pad in pads]
    applied = apply(layer, x, params)
    expected = loops.conv_transpose(x, params["W"], steps, gaps, lengths, lows)
    np.testing.assert_allclose(applied.outputs()["result"], expected + params["b"], rtol=1e-12, atol=1e-12)
    g = rng.normal(size=expected.shape)
    found = applied.gradients(g, "x", "W")
    for name, at in (("x", x), ("W", params["W"])):
        direction = rng.normal(size=at.shape)
        moved = (direction, params["W"]) if name == "x" else (x, direction)
        along = (loops.conv_transpose(*moved, steps, gaps, lengths, lows) * g).sum()
        np.testing.assert_allclose((found[name] * direction).sum(), along, rtol=1e-11)


@pytest.mark.parametrize("groups", [2, 4])
@pytest.mark.parametrize("stride", [1, 2])
def test_grouped_convolution_to_second_order(groups, stride):
    example = Example((Operand((2, 5, 4)), Operand((2, 4 // groups, 4))))
    check_vjp(lambda x, w: ops.grouped_conv(x, w, groups, (stride,), (1,)), example)


def test_transposed_convolution_to_second_order():
    example = Example((Operand((2, 3, 2)), Operand((3, 1, 2))))
    for stride, length in ((1, 5), (2, 8)):
        check_vjp(lambda g, w, s=stride, n=length: ops.conv_transpose(g, w, (n,), (s,), (1,)), example)


def test_samples_without_channels_have_one(apply):
    rng = np.random.default_rng(5)
    x, params = rng.normal(size=(3, 6, 6)), nn.Conv2D(2, 3).init(Key(0), (6, 6))
    assert params["W"].shape == (3, 3, 1, 2)
    grey, stated = (apply(nn.Conv2D(2, 3), images, params).outputs()["result"] for images in (x, x[..., np.newaxis]))
    np.testing.assert_array_equal(grey, stated)
    np.testing.assert_array_equal(
        apply(nn.MaxPool2D(2), x).outputs()["result"][..., 0], x.reshape(3, 3, 2, 3, 2).max(axis=(2, 4))
    )


def test_weights_start_by_the_fans_of_the_kernel():
    params = nn.Conv2D(32, 5, "relu", groups=2).init(Key(0), (9, 9, 16))
    assert params["W"].shape == (5, 5, 8, 32)
    assert params["W"].std() == pytest.approx(np.sqrt(2 / (25 * 8)), rel=0.03)  # Kaiming, by fan-in
    xavier = nn.Conv2D(32, 5, weights="xavier", groups=2).init(Key(0), (9, 9, 16))["W"]
    assert xavier.std() == pytest.approx(np.sqrt(2 / (25 * 8 + 25 * 16)), rel=0.03)


def test_weights_that_look_at_the_data():
    images = np.random.default_rng(0).normal(size=(40, 8, 8, 2)) * 3.0
    layers = [nn.Conv2D(4, 3, "relu", weights=nn.LSUV(), name="first"), nn.GlobalAveragePool(), nn.Dense(2)]
    model = Model(layers, "cross_entropy", SGD(1e-30), dtype="float64", backend="reference")
    model.fit(images, np.arange(40) % 2, epochs=1, progress="quiet")
    z = loops.conv(images, model.parameters["first.W"], (1, 1), (1, 1), [(0, 0)] * 2)
    assert z.std() == pytest.approx(1.0, rel=1e-9)


def test_weights_take_penalties_constraints_and_noise(apply):
    layer = nn.Conv2D(2, 3, penalty=nn.L2(0.5), constraint=nn.MaxNorm(1.0), weight_noise=nn.Dropout(0.5))
    x = np.random.default_rng(6).normal(size=(2, 4, 4, 1))
    applied = apply(layer, x, training=True)
    W = applied.inputs["W"]
    assert applied.outputs()["penalty0"] == pytest.approx(0.25 * (W**2).sum())
    assert list(applied.context.after_update) == ["W"]
    assert not np.allclose(applied.outputs()["result"], apply(layer, x).outputs()["result"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Conv2D(4, (3, 3, 3)), "kernel is one number, or 2, one an axis"),
        (lambda: nn.Conv2D(4, 3, stride=(1, 1, 1)), "stride is one number, or 2"),
        (lambda: nn.Conv1D(4, 3, padding=(1, 1)), "padding needs 1 entries"),
        (lambda: nn.Conv2D(5, 3, groups=2), "5 filters cannot be shared out over 2 groups"),
        (lambda: nn.Conv2D(4, 3, padding="full"), 'padding is "valid", "same"'),
        (lambda: nn.ConvTranspose2D(4, 3, stride=2, output_padding=2), "output_padding is less than the stride"),
        (lambda: nn.MaxPool2D(2, padding=2), "padding is less than the size"),
        (lambda: nn.Conv2D(4, 3, penalty=0.1), "no penalty 0.1"),
    ],
)
def test_wrong_settings_are_refused(make, message):
    with pytest.raises(SettingsError, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "sample", "message"),
    [
        (nn.Conv2D(4, 3), (5,), r"Conv2D takes samples \(height, width, channels\), .* received samples \(5,\)"),
        (nn.Conv2D(4, 3, groups=2), (5, 5, 3), "3 channels cannot be shared out over 2 groups"),
        (nn.Conv1D(4, 3), (5, 5, 3), r"Conv1D takes samples \(length, channels\)"),
        (nn.Conv2D(4, 7), (5, 5, 3), "a window that spans 7 elements does not fit into a length of 5"),
        (nn.MaxPool2D(7), (5, 5, 3), "a window of 7 does not fit into a length of 5"),
        (nn.GlobalAveragePool(), (5,), r"expected places and channels"),
        (nn.Upsample(2), (5,), r"expected places and channels"),
        (nn.ChannelsLast(), (5,), r"expected channels and lengths"),
    ],
)
def test_samples_that_do_not_fit_are_refused(layer, sample, message):
    with pytest.raises(ShapeError, match=message):
        nn.Sequential(layer, nn.Flatten()).init(Key(0), sample)


def test_the_message_names_the_layer():
    with pytest.raises(LayerError, match="layer conv2d1, Conv2D"):
        nn.Sequential(nn.Conv2D(4, 3)).init(Key(0), (5,))
