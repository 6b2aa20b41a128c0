"""Cheap values around column sums: computed by their readers, with the values of the reference, and not kept."""

from __future__ import annotations

import pytest
from native_steps import TARGETS_HERE
from native_teams import backend
from test_convolutions import gradients, network_case

from clearprop import nn, ops
from clearprop.backends.native import Native
from clearprop.backends.native.outline import outline
from clearprop.ir import Batch, Shape, Type
from clearprop.ops import Tensor
from clearprop.testing import check_program

SIZES = (5, 9, 33)
"""Statistics of one or two rows have derivatives that are differences of equal numbers."""
NETWORKS: dict[str, tuple[nn.Layer, ...]] = {
    "a rectifier and padding": (
        nn.Conv2D(8, 3, bias=False),
        nn.BatchNorm(),
        nn.ReLU(),
        nn.Conv2D(4, 3, padding="same"),
    ),
    "pooling": (nn.Conv2D(17, 3, padding="same", bias=False), nn.BatchNorm(), nn.ReLU(), nn.MaxPool2D(2)),
    "a costly activation": (nn.Conv2D(5, 2, bias=False), nn.BatchNorm(), nn.Tanh(), nn.Conv2D(3, 2)),
    "rows": (nn.Flatten(), nn.Dense(19, bias=False), nn.BatchNorm(), nn.ReLU(), nn.Dense(3)),
    "a block": (
        nn.Conv2D(6, 1, "tanh"),
        # normalised before: after it, the sum of squares hardly depends on what is normalised
        nn.Residual(nn.Sequential(nn.BatchNorm(), nn.ReLU(), nn.Conv2D(6, 3, padding="same"))),
        nn.ReLU(),
    ),
}


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("case", NETWORKS)
def test_normalised_networks_and_their_gradients(case: str, target: str) -> None:
    for dtype, ulps in {"float64": 256.0, "float32": 1024.0}.items():  # sums that cancel: the reference is 130 off
        assert check_program(network_case(*NETWORKS[case], dtype=dtype), Native(target), sizes=SIZES, ulps=ulps)


@pytest.mark.usefixtures("fine")
@pytest.mark.parametrize("case", NETWORKS)
def test_the_same_bits_on_any_number_of_threads(case: str) -> None:
    program = network_case(*NETWORKS[case])
    for threads in (0, 4):
        assert check_program(program, backend(threads), backend(1), SIZES, ulps=0)


def test_normalisation_keeps_nothing_between_convolutions() -> None:
    """Forward one nest, from the convolution to the padding of the next; backward one, after three sums."""
    layers = (nn.Conv2D(8, 3), nn.BatchNorm(), nn.ReLU(), nn.Conv2D(8, 3, padding="same", bias=False))
    kernels = outline(network_case(*layers, sample=(10, 10, 3)), Native().target).split("kernel ")
    images = [kernel for kernel in kernels if "loops over n x" in kernel and "batchnorm1" in kernel]
    assert len(images) == 2
    assert "= pad(" in images[0]
    sums = [kernel for kernel in kernels if "keeps the last axis" in kernel and "batchnorm1" in kernel]
    assert len(sums) == 5
    assert all("= subtract(conv2d1.z" in kernel for kernel in sums[1:])


def test_what_others_read_is_kept_and_computed_once() -> None:
    """The cotangent of a product is a factor of two others and a sum: nothing is gained by computing it thrice."""
    text = outline(network_case(nn.Flatten(), nn.Dense(8, "relu"), nn.Dense(4), sample=(5,)), Native().target)
    assert ".anew" not in text


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("seed", range(6))
def test_chains_between_sums(seed: int, target: str) -> None:
    """Values with many readers in chains of sums, masks and counts, of several types."""

    def write(x: Tensor, w: Tensor) -> Tensor:
        y = x
        for step in range(3):
            shift = ops.sum(y, (0, 1)) if (seed + step) % 2 else ops.max(y, (0, 1))
            z = y - 0.1 * shift
            mask = z > 0.0
            y = ops.where(mask, z * w, z * 0.5) + ops.astype(mask, x.dtype) * ops.sum(z * z, (0, 1)) * 0.01
            y = y * 0.5 + (z if seed % 3 else ops.square(z) * 0.05)
        return y

    shapes: dict[str, Shape] = {"x": (Batch(), 3 + seed, 5 + 7 * (seed % 3)), "w": (5 + 7 * (seed % 3),)}
    dtype = ("float64", "float32")[seed % 4 == 3]
    program = gradients(write, {name: Type(dtype, shape) for name, shape in shapes.items()})
    assert check_program(program, Native(target), sizes=SIZES)
