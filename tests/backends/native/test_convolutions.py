"""Convolutions, pooling and what they are derived to, of random shapes, beside the reference, on every target."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from native_steps import TARGETS_HERE
from native_teams import backend

from clearprop import nn, ops
from clearprop.backends.native import Native, contractions, partition
from clearprop.backends.native.module import write_module
from clearprop.backends.native.outline import outline
from clearprop.grad import derive
from clearprop.ir import Batch, Program, Shape, Type
from clearprop.ops import Tensor
from clearprop.passes import optimize
from clearprop.randomness import Key
from clearprop.testing import check_program

N = Batch()
SIZES = (0, 1, 2, 5, 9)


def gradients(write: Callable[..., Tensor], types: dict[str, Type]) -> Program:
    """The program of sum(y^2) for the result y, and its derivatives in every input."""
    program = ops.trace(lambda *inputs: {"loss": ops.sum(ops.square(write(*inputs)))}, types)
    return optimize(derive(program, tuple(types), of="loss"))


def conv_case(seed: int, dtype: str = "float32") -> Program:
    """A convolution of random shape, padding, stride and dilation, with its gradients."""
    rng = np.random.default_rng(seed)
    axes = int(rng.integers(1, 4))
    kernel, stride, gap = (tuple(int(k) for k in rng.integers(1, most, axes)) for most in (4, 3, 3))
    low, high = (tuple(int(k) for k in rng.integers(0, 3, axes)) for _ in range(2))
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, gap, strict=True)]
    lengths = tuple(max(int(rng.integers(1, 9)), r - a - b) for r, a, b in zip(reach, low, high, strict=True))
    channels, filters = int(rng.choice([1, 2, 3, 5, 16])), int(rng.choice([1, 2, 6, 7, 16, 17, 33, 65]))

    def write(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        padded = ops.pad(x, (0, *low, 0), (0, *high, 0))
        return ops.relu(ops.conv(padded, w, stride, gap) + b)

    shapes: dict[str, Shape] = {"x": (N, *lengths, channels), "w": (*kernel, channels, filters), "b": (filters,)}
    return gradients(write, {name: Type(dtype, shape) for name, shape in shapes.items()})


def network_case(*layers: nn.Layer, sample: Shape = (9, 8, 3), dtype: str = "float32") -> Program:
    """A network's loss and its gradients in the input and in every parameter."""
    network = nn.Sequential(*layers)
    arrays = network.init(Key(0), sample)

    def write(x: Tensor, *params: Tensor) -> Tensor:
        with nn.applying(nn.Context(training=True)):
            return network.apply(dict(zip(arrays, params, strict=True)), x)

    types = {"x": Type(dtype, (N, *sample))} | {name: Type(dtype, array.shape) for name, array in arrays.items()}
    return gradients(write, types)


def separable(stride: int = 1, dilation: int = 1) -> tuple[nn.Layer, ...]:
    depthwise = nn.DepthwiseConv2D(3, stride=stride, dilation=dilation, activation="relu", padding="same")
    return depthwise, nn.Conv2D(5, 1, "tanh")


NETWORKS: dict[str, tuple[nn.Layer, ...]] = {
    "pooling that tiles": (nn.Conv2D(6, 3, "relu", padding=(1, (0, 1))), nn.MaxPool2D((3, 2)), nn.Conv2D(2, 2)),
    "pooling that leaves a rest": (
        nn.Conv2D(17, 2, "relu", padding="same"),
        nn.MaxPool2D(2),
        nn.MaxPool2D(3, stride=4),
    ),
    "pooling of an input": (nn.MaxPool2D(2), nn.Conv2D(3, 2, padding="same"), nn.AveragePool2D((2, 1))),
    "windows that overlap": (nn.MaxPool2D(3, stride=2, padding=1), nn.AveragePool2D(2, stride=1, padding="same")),
    "a costly activation": (nn.Conv2D(4, 3, "tanh"), nn.MaxPool2D(2), nn.Flatten(), nn.Dense(3)),
    "depthwise": separable(),
    "depthwise with steps": separable(stride=2),
    "depthwise with gaps": separable(dilation=2),
    "depthwise that tiles": (nn.ReLU(), nn.DepthwiseConv2D(2, stride=2), nn.Conv2D(3, 1)),
    "beside a pooling": (nn.Conv2D(4, 1, "relu"), nn.Parallel(nn.DepthwiseConv2D(2, stride=2), nn.MaxPool2D(2))),
    "two filters a channel": (nn.DepthwiseConv2D(3, 2, padding="same"), nn.GlobalAveragePool()),
    "groups": (nn.Conv2D(6, 3, "relu", groups=3, padding=1), nn.MaxPool2D(2)),
    "around a residual": (
        nn.Conv2D(8, 1),
        nn.Residual(nn.Sequential(nn.Conv2D(8, 3, "relu", padding="same"), nn.Conv2D(8, 3, padding="same"))),
        nn.MaxPool2D(2),
    ),
    "transposed": (nn.Conv2D(4, 3, stride=2), nn.ConvTranspose2D(3, 3, stride=2)),
}


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("seed", range(24))
def test_a_convolution_and_its_gradients(seed: int, target: str) -> None:
    dtype = ("float32", "float64")[seed % 2]
    assert check_program(conv_case(seed, dtype), Native(target), sizes=SIZES)


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("case", NETWORKS)
def test_a_network_and_its_gradients(case: str, target: str) -> None:
    for dtype in ("float32", "float64"):
        assert check_program(network_case(*NETWORKS[case], dtype=dtype), Native(target), sizes=SIZES)


@pytest.mark.parametrize("case", NETWORKS)
def test_many_parts_have_the_same_bits_on_any_number_of_threads(case: str, recut: Callable[..., None]) -> None:
    recut(partition, SMALL=0, CHUNK=64, PANEL=64)
    for large, band in ((0, 1 << 30), (1 << 16, 1 << 30), (1 << 16, 300)):
        recut(contractions, _SMALL=0, _SHARE=500, _TERMS=8, _BLOCK=8, _LARGE=large, _BIG_IMAGE=band, _BAND=band)
        program = network_case(*NETWORKS[case])
        assert check_program(program, backend(4), sizes=SIZES)
        for threads in (0, 4):
            assert check_program(program, backend(threads), backend(1), SIZES, ulps=0)


@pytest.mark.parametrize("training", [False, True])
def test_one_large_image_is_work_for_several_threads(training: bool) -> None:
    """All of its convolutions have parts for a batch of one; those of small images have one an image."""
    layers = (nn.Conv2D(32, 3, padding="same", bias=False), nn.Conv2D(32, 3, bias=False))
    for side, several in ((112, True), (20, False)):
        program = network_case(*layers, sample=(side, side, 16))
        chosen = program if training else program.with_outputs("loss")
        costly = [r for r in write_module(chosen, Native().target).regions if r.cost_at(1) > (1e9 if several else 1e7)]
        assert len(costly) == (6 if training else 2)
        assert all((math.prod(parts.at(1) for parts in region.parts) > 1) is several for region in costly)


def test_what_follows_a_convolution_is_one_pass_each_way() -> None:
    layers = (nn.Conv2D(32, 3, "relu"), nn.MaxPool2D(2), nn.Conv2D(8, 3, "relu", padding="same"))
    text = outline(network_case(*layers, sample=(10, 10, 3)), Native().target)
    assert not any("rows moved" in kernel and "[n," in kernel for kernel in text.split("kernel "))
    assert text.count("overlap_add") == 1
    pooled = [kernel for kernel in text.split("kernel ") if "= max(" in kernel]
    assert len(pooled) == 1
    assert "= maximum(" in pooled[0]
    assert "= pad(" in pooled[0]


def test_a_depthwise_convolution_keeps_no_windows() -> None:
    text = outline(network_case(nn.DepthwiseConv2D(3, padding="same")), Native().target)
    assert text.count("= contraction(") == 3
    assert "overlap_add" not in text


def test_a_sum_over_windows_of_what_is_computed_from_its_index() -> None:
    def write(w: Tensor) -> Tensor:
        places = ops.broadcast_to(ops.arange(5, dtype="float64"), (7, 5))
        seen = ops.windows(places, (0,), (3,), (2,))  # (3, 5, 3)
        return ops.sum(seen * ops.broadcast_to(ops.permute_dims(w), seen.shape), 2)

    assert check_program(ops.trace(write, {"w": Type("float64", (3, 5))}), Native())
