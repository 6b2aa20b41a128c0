"""Layers that change the shape: rows, the order of axes, more places."""

from __future__ import annotations

from dataclasses import dataclass

from clearprop import ops
from clearprop.errors import ShapeError
from clearprop.nn.context import mask_times
from clearprop.nn.layer import Layer, Tensors
from clearprop.nn.windowing import for_each_axis, numbers
from clearprop.ops import Tensor, show
from clearprop.settings import choice


@dataclass(frozen=True)
class Flatten(Layer):
    """Read each sample as one row: (n, 28, 28) becomes (n, 784)."""

    name: str | None = None

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return x as (n, features)."""
        return ops.label(ops.flatten(x), "a")


@dataclass(frozen=True)
class ChannelsLast(Layer):
    """Bring channels that come first to the end: (n, channels, height, width) becomes (n, height, width, channels).

    The other layers take channels last. It stands first in a network for data in PyTorch's order, NCHW.
    """

    name: str | None = None

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return x with axis 1 at the end."""
        if x.rank < 3:
            raise ShapeError(f"expected channels and lengths, (n, channels, *lengths), received {show(x.shape)}")
        mask_times(None)
        return ops.label(ops.permute_dims(x, (0, *range(2, x.rank), 1)), "a")


@dataclass(frozen=True)
class Upsample(Layer):
    """`factor` places for each, by repeating it or by straight lines between: (n, *lengths, channels) in and out.

    Attributes:
        factor: how many times as long each axis becomes, one number or one an axis.
        mode: "nearest" repeats each number; "linear" (bilinear for images) puts the old numbers in the middle of the
            new ones that stand for them, goes on in straight lines between, and keeps the last number beyond the
            outermost ones (PyTorch's align_corners=False).
    """

    factor: int | tuple[int, ...] = numbers(2, 1)
    mode: str = choice("nearest", "linear")
    name: str | None = None

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return x with more places."""
        if x.rank < 3:
            raise ShapeError(f"expected places and channels, (n, *lengths, channels), received {show(x.shape)}")
        factors = for_each_axis(self.factor, x.rank - 2, "factor")
        with ops.current_builder().at(quantity="a"):
            for axis, factor in enumerate(factors, start=1):
                if factor > 1:
                    phases = [x] * factor if self.mode == "nearest" else _lines(x, axis, factor)
                    longer = ops.stack(phases, axis + 1)
                    x = ops.reshape(longer, (*x.shape[:axis], -1, *x.shape[axis + 1 :]))
            return ops.label(x, "a")


def _lines(x: Tensor, axis: int, factor: int) -> list[Tensor]:
    """For each old place the new numbers that stand for it, at (i + 1/2) / factor of the way through it."""
    length = x.shape[axis]
    assert isinstance(length, int)  # an axis between the samples and the channels
    before = (slice(None),) * axis
    ends = ops.concat([x[(*before, slice(0, 1))], x, x[(*before, slice(length - 1, length))]], axis)
    back, on = ends[(*before, slice(0, length))], ends[(*before, slice(2, length + 2))]
    ways = [(i + 0.5) / factor - 0.5 for i in range(factor)]
    return [x + way * (on - x) if way > 0 else x + way * (x - back) if way < 0 else x for way in ways]
