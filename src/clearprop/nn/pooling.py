"""Pooling: one number for each window, or for each channel."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from clearprop import ops
from clearprop.errors import SettingsError, ShapeError
from clearprop.nn.context import mask_times
from clearprop.nn.layer import Layer, Tensors
from clearprop.nn.windowing import (
    Numbers,
    Padding,
    Pairs,
    check_padding,
    for_each_axis,
    numbers,
    pad_axes,
    padding_field,
    resolve_padding,
    sample_lengths,
    with_channels,
)
from clearprop.ops import Tensor, show
from clearprop.settings import flag

Array = np.ndarray[Any, Any]


class Pooling(Layer):
    """A layer that makes one number of each window over `axes` axes, channel by channel."""

    axes: ClassVar[int]
    size: int | Numbers
    stride: int | Numbers | None
    padding: Padding
    ceil: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        check_padding(self.padding, self.axes)
        resolved = resolve_padding(self.padding, self.steps, self.sizes, self.steps)
        if any(max(pair) >= size for pair, size in zip(resolved, self.sizes, strict=True)):
            raise SettingsError(
                f"{type(self).__name__}: padding is less than the size {self.sizes} of a window, received "
                f"{self.padding!r}: a window would see nothing else"
            )

    @property
    def sizes(self) -> Numbers:
        """The size of a window, one number an axis."""
        return for_each_axis(self.size, self.axes, "size")

    @property
    def steps(self) -> Numbers:
        """The stride, one number an axis."""
        return for_each_axis(self.size if self.stride is None else self.stride, self.axes, "stride")

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return one number for each window."""
        x = with_channels(x, self.axes, type(self).__name__)
        lengths, _ = sample_lengths(x.shape[1:], self.axes, type(self).__name__)
        with ops.current_builder().at(quantity="a"):
            return ops.label(self.pool(x, lengths, self._padding(lengths)), "a")

    @abstractmethod
    def pool(self, x: Tensor, lengths: Numbers, pairs: Pairs) -> Tensor:
        """Write the pooling of x, of these lengths, padded by pairs."""

    def _padding(self, lengths: Numbers) -> Pairs:
        """Return the padding, with what the last window of `ceil` needs more."""
        pairs = resolve_padding(self.padding, lengths, self.sizes, self.steps)
        if not self.ceil:
            return pairs
        axes = zip(lengths, pairs, self.sizes, self.steps, strict=True)
        return tuple((low, high + _more(length, low, high, size, s)) for length, (low, high), size, s in axes)

    def windows(self, x: Tensor, lengths: Numbers) -> tuple[Tensor, Numbers]:
        """Return the windows of x, and the axes of what is in a window."""
        for length, size in zip(lengths, self.sizes, strict=True):
            if length < size:
                raise ShapeError(f"a window of {size} does not fit into a length of {length}: received {show(x.shape)}")
        windows = ops.windows(x, tuple(range(1, self.axes + 1)), self.sizes, self.steps)
        return windows, tuple(range(x.rank, windows.rank))


def _more(length: int, low: int, high: int, size: int, stride: int) -> int:
    """How many places a window that starts in the data, or in the padding before it, reaches beyond the end."""
    padded = length + low + high
    places = -(-(padded - size) // stride) + 1
    if (places - 1) * stride >= length + low:
        places -= 1
    return max((places - 1) * stride + size - padded, 0)


def _padded_lengths(lengths: Numbers, pairs: Pairs) -> Numbers:
    return tuple(length + low + high for length, (low, high) in zip(lengths, pairs, strict=True))


@dataclass(frozen=True)
class _MaxPool(Pooling):
    """The fields of `MaxPool1D` and `MaxPool2D`."""

    size: int | tuple[int, ...] = numbers(2, 1)
    stride: int | tuple[int, ...] | None = numbers(None, 1)
    padding: str | int | tuple[int | tuple[int, int], ...] = padding_field()
    ceil: bool = flag(False)
    name: str | None = None

    def pool(self, x: Tensor, lengths: Numbers, pairs: Pairs) -> Tensor:
        """Write the largest number of each window; what is padded is smaller than any."""
        if any(map(any, pairs)):
            inside = _inside(lengths, pairs, x.rank)
            x = ops.where(inside, pad_axes(x, pairs), -math.inf)
        windows, axes = self.windows(x, _padded_lengths(lengths, pairs))
        return ops.max(windows, axes)


def _inside(lengths: Numbers, pairs: Pairs, rank: int) -> Tensor:
    """Tell of each place of a padded tensor (n, *lengths, channels) whether it was there before."""
    result: Tensor | None = None
    for axis, (length, (low, high)) in enumerate(zip(lengths, pairs, strict=True), start=1):
        if low or high:
            place = ops.arange(low + length + high, "int32")
            here = (place >= low) if low else (place < length)
            if low and high:
                here = ops.logical_and(here, place < low + length)
            here = ops.reshape(here, tuple(-1 if i == axis else 1 for i in range(rank)))
            result = here if result is None else _both(result, here)
    assert result is not None  # something is padded
    return result


def _both(first: Tensor, second: Tensor) -> Tensor:
    return ops.logical_and(first, second)


class MaxPool1D(_MaxPool):
    """The largest number of each window of a sequence, see `MaxPool2D`: (n, length, channels) to (n, places,
    channels)."""

    axes = 1


class MaxPool2D(_MaxPool):
    """The largest number of each window of an image, channel by channel.

    Shapes: x (n, height, width, channels), a (n, *places, channels) with places = (padded length - size) // stride + 1.
    The derivative goes to the largest number; where several tie, it is shared equally between them.

    Attributes:
        size: of a window, one number or (height, width).
        stride: how far one window lies from the next; the size when None. Smaller, windows overlap.
        padding: what is around the input, as in `Conv2D`, less than the size; it is never the largest.
        ceil: whether a last window that reaches beyond the end counts too, if it starts in the data (or in the padding
            before them).
    """

    axes = 2


@dataclass(frozen=True)
class _AveragePool(Pooling):
    """The fields of `AveragePool1D` and `AveragePool2D`."""

    size: int | tuple[int, ...] = numbers(2, 1)
    stride: int | tuple[int, ...] | None = numbers(None, 1)
    padding: str | int | tuple[int | tuple[int, int], ...] = padding_field()
    ceil: bool = flag(False)
    count_padding: bool = flag(False)
    name: str | None = None

    def pool(self, x: Tensor, lengths: Numbers, pairs: Pairs) -> Tensor:
        """Write the sum of each window, divided by what counts in it."""
        windows, axes = self.windows(pad_axes(x, pairs), _padded_lengths(lengths, pairs))
        return ops.sum(windows, axes) / self._counts(lengths, pairs)

    def _counts(self, lengths: Numbers, pairs: Pairs) -> Array | float:
        """Return what each window's sum is divided by: (*places, 1), or one number for all."""
        stated = resolve_padding(self.padding, lengths, self.sizes, self.steps)
        result: Array = np.ones(())
        for length, given, (low, high), size, s in zip(lengths, stated, pairs, self.sizes, self.steps, strict=True):
            counted = np.zeros(length + low + high)
            counted[0 if self.count_padding else low : low + length + (given[1] if self.count_padding else 0)] = 1.0
            starts = range(0, len(counted) - size + 1, s)
            result = np.multiply.outer(result, [counted[i : i + size].sum() for i in starts])
        return float(result.flat[0]) if (result == result.flat[0]).all() else result[..., np.newaxis]


class AveragePool1D(_AveragePool):
    """The mean of each window of a sequence, see `AveragePool2D`: (n, length, channels) to (n, places, channels)."""

    axes = 1


class AveragePool2D(_AveragePool):
    """The mean of each window of an image, channel by channel.

    Shapes and settings are those of `MaxPool2D`, and one more:

    Attributes:
        count_padding: whether zeros that `padding` put there count in the mean, as PyTorch has it; by default the mean
            is that of the data, as TensorFlow has it. What `ceil` reaches beyond the end never counts.
    """

    axes = 2


@dataclass(frozen=True)
class GlobalAveragePool(Layer):
    """The mean of each channel over all places: (n, *lengths, channels) to (n, channels) (Lin et al., 2014)."""

    name: str | None = None

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return the mean of each channel."""
        mask_times(None)
        return ops.label(ops.mean(x, _between(x)), "a")


@dataclass(frozen=True)
class GlobalMaxPool(Layer):
    """The largest number of each channel over all places: (n, *lengths, channels) to (n, channels)."""

    name: str | None = None

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return the largest number of each channel."""
        mask_times(None)
        return ops.label(ops.max(x, _between(x)), "a")


def _between(x: Tensor) -> tuple[int, ...]:
    """The axes between the samples and the channels; `ShapeError` if there are none."""
    if x.rank < 3:
        raise ShapeError(f"expected places and channels, (n, *lengths, channels), received {show(x.shape)}")
    return tuple(range(1, x.rank - 1))
