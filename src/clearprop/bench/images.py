"""Networks of images: convolutional workloads, described so that every side can build them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from clearprop.bench.workloads import Data, Workload


@dataclass(frozen=True)
class Conv:
    """A convolution and a rectifier; `norm` puts batch normalisation between them, in the place of the bias.

    With `depthwise` each channel has a filter of its own, and `filters` is the number of channels. Every padding keeps
    the size, but for 0, which keeps none.
    """

    filters: int
    kernel: int = 3
    same: bool = True
    norm: bool = False
    depthwise: bool = False


@dataclass(frozen=True)
class Pool:
    """The largest number of each window of 2 x 2."""


@dataclass(frozen=True)
class Residual:
    """Two 3 x 3 convolutions with batch normalisation, added to their input; a rectifier before the second and after.

    With more filters than channels, the first has stride 2, and the input goes through a convolution 1 x 1 of stride 2.
    """

    filters: int


@dataclass(frozen=True)
class Mean:
    """The mean of each channel."""


Stage = Conv | Pool | Residual | Mean


@dataclass(frozen=True)
class ImageWorkload(Workload):
    """A convolutional network: stages, then dense layers with rectifiers, the last one without.

    Attributes:
        shape: of an image: height, width, channels.
        stages: what comes before the dense layers, whose units are `sizes`.
    """

    shape: tuple[int, int, int] = (28, 28, 1)
    stages: tuple[Stage, ...] = ()

    @property
    def network(self) -> str:
        """The stages in short: convolutions by their filters, p for pooling."""
        return "-".join([*map(_short, self.stages), *map(str, self.sizes)])

    @property
    def flops(self) -> int:
        """Floating-point operations of the convolutions and matrix products of a step, all three passes."""
        layers = [*self._convolutions()]
        features = math.prod(self.features)
        layers += [2 * self.batch * m * k for m, k in zip((features, *self.sizes), self.sizes, strict=False)]
        return 3 * sum(layers) - layers[0]

    @property
    def features(self) -> tuple[int, ...]:
        """What is left of an image after the stages: height, width and channels, or channels alone."""
        shape = self.shape
        for stage in self.stages:
            if isinstance(stage, Mean):
                return shape[-1:]
            shape = after(stage, shape)
        return shape

    def _convolutions(self) -> Iterator[int]:
        shape = self.shape
        for stage in self.stages:
            if isinstance(stage, Mean):
                return
            new = after(stage, shape)
            places = 2 * self.batch * new[0] * new[1]
            if isinstance(stage, Conv):
                yield places * stage.kernel**2 * stage.filters * (1 if stage.depthwise else shape[2])
            elif isinstance(stage, Residual):
                yield places * 9 * stage.filters * (shape[2] + stage.filters)
                yield places * shape[2] * stage.filters * (stage.filters != shape[2])
            shape = new

    def data(self) -> Data:
        """Make the samples: random, and the same every time. Each class comes as often as any other."""
        x = np.random.default_rng(0).standard_normal((self.rows, *self.shape), np.float32)
        return x, np.arange(self.rows) % self.sizes[-1]


def after(stage: Conv | Pool | Residual, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return the height, the width and the channels after a stage."""
    height, width, channels = shape
    if isinstance(stage, Pool):
        return height // 2, width // 2, channels
    if isinstance(stage, Residual) and stage.filters != channels:
        return -(-height // 2), -(-width // 2), stage.filters
    less = 0 if isinstance(stage, Residual) or stage.same else stage.kernel - 1
    return height - less, width - less, stage.filters


def _short(stage: Stage) -> str:
    if isinstance(stage, Conv):
        return (
            f"{stage.kernel}x{stage.kernel}{' each' * stage.depthwise}{'' if stage.depthwise else f' {stage.filters}'}"
        )
    if isinstance(stage, Residual):
        return f"res {stage.filters}"
    return "p" if isinstance(stage, Pool) else "mean"


_COLOUR = (32, 32, 3)

IMAGES = (
    ImageWorkload("lenet", (84, 10), 32, 10_000, 4.0, stages=(Conv(6, 5), Pool(), Conv(16, 5, same=False), Pool())),
    ImageWorkload(
        "cnn", (128, 10), 64, 10_000, 1.8, stages=(Conv(32, same=False), Pool(), Conv(64, same=False), Pool())
    ),
    ImageWorkload(
        "vgg-bn",
        (10,),
        32,
        10_000,
        1.3,
        shape=_COLOUR,
        stages=(*[Conv(32, norm=True)] * 2, Pool(), *[Conv(64, norm=True)] * 2, Pool()),
    ),
    ImageWorkload(
        "depthwise",
        (10,),
        32,
        10_000,
        2.0,
        shape=_COLOUR,
        stages=(
            *(Conv(32), Conv(32, depthwise=True), Conv(64, 1), Pool(), Conv(64, depthwise=True), Conv(128, 1)),
            Mean(),
        ),
    ),
    ImageWorkload(
        "resnet-small",
        (10,),
        32,
        10_000,
        shape=_COLOUR,
        stages=(Conv(16, norm=True), Residual(16), Residual(32), Residual(64), Mean()),
    ),
)
"""Convolutional networks, with the batch and the goal beside the fastest peer."""
