"""Convolutional layers: what slides over sequences and images."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import MISSING, dataclass
from typing import ClassVar

from clearprop import ops
from clearprop.errors import SettingsError, ShapeError
from clearprop.ir import Shape
from clearprop.nn.affine import Affine
from clearprop.nn.constraints import Constraint
from clearprop.nn.initializers import Initializer
from clearprop.nn.layer import Arrays, Layer
from clearprop.nn.penalties import Penalty
from clearprop.nn.windowing import (
    Numbers,
    Padding,
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
from clearprop.randomness import Key
from clearprop.settings import whole


class Windowed(Affine):
    """A layer whose weights W (*kernel, channels, filters) slide over `axes` axes of its input."""

    axes: ClassVar[int]
    kernel: int | Numbers
    stride: int | Numbers
    padding: Padding
    dilation: int | Numbers

    def __post_init__(self) -> None:
        super().__post_init__()
        check_padding(self.padding, self.axes)
        assert len(self.size) == len(self.steps) == len(self.gaps)  # the properties check what they give

    @property
    def size(self) -> Numbers:
        """The size of the kernel, one number an axis."""
        return for_each_axis(self.kernel, self.axes, "kernel")

    @property
    def steps(self) -> Numbers:
        """The stride, one number an axis."""
        return for_each_axis(self.stride, self.axes, "stride")

    @property
    def gaps(self) -> Numbers:
        """The dilation, one number an axis."""
        return for_each_axis(self.dilation, self.axes, "dilation")

    @property
    def reach(self) -> Numbers:
        """How many elements the kernel spans along each axis, dilation included."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.size, self.gaps, strict=True))

    def init(self, key: Key, shapes: Shape) -> Arrays:
        """Return W, with a bias b (filters), and the activation's parameters, if it has any."""
        _, channels = sample_lengths(shapes, self.axes, type(self).__name__)
        filters, groups = self.filters_and_groups(channels)
        places = math.prod(self.size)
        shape = (*self.size, channels // groups, filters)
        return self.first_values(key, shape, places * (channels // groups), places * (filters // groups))

    @abstractmethod
    def filters_and_groups(self, channels: int) -> tuple[int, int]:
        """Return the number of filters for so many channels, and of groups that do not see each other."""

    def checked(self, x: Tensor, W: Tensor) -> Tensor:
        """Return x with channels, as many as W takes."""
        x = with_channels(x, self.axes, type(self).__name__)
        channels = x.shape[-1]
        assert isinstance(channels, int)  # `with_channels` has seen to it
        filters, groups = self.filters_and_groups(channels)
        if W.shape[-2:] != (channels // groups, filters):
            raise ShapeError(f"W {show(W.shape)} does not go with {channels} channels: received {show(x.shape)}")
        return x

    def linear(self, x: Tensor, W: Tensor) -> Tensor:
        """Write the convolution of x, padded, with W."""
        lengths, channels = sample_lengths(x.shape[1:], self.axes, type(self).__name__)
        padded = pad_axes(x, resolve_padding(self.padding, lengths, self.reach, self.steps))
        return ops.grouped_conv(padded, W, self.filters_and_groups(channels)[1], self.steps, self.gaps)


@dataclass(frozen=True)
class _Convolution(Windowed):
    """The fields of `Conv1D` and `Conv2D`."""

    filters: int = whole(MISSING, 1)
    kernel: int | tuple[int, ...] = numbers(MISSING, 1)
    activation: str | Layer | Callable[[Tensor], Tensor] | None = None
    stride: int | tuple[int, ...] = numbers(1, 1)
    padding: str | int | tuple[int | tuple[int, int], ...] = padding_field()
    dilation: int | tuple[int, ...] = numbers(1, 1)
    groups: int = whole(1, 1)
    bias: bool = True
    weights: str | Initializer = "auto"
    biases: str | Initializer = "zeros"
    penalty: str | Penalty | tuple[str | Penalty, ...] = ()
    constraint: str | Constraint | tuple[str | Constraint, ...] = ()
    weight_noise: str | Layer | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.filters % self.groups:
            raise SettingsError(
                f"{type(self).__name__}: {self.filters} filters cannot be shared out over {self.groups} groups"
            )

    def filters_and_groups(self, channels: int) -> tuple[int, int]:
        """Return the filters and the groups, if the channels can be shared out over them."""
        if channels % self.groups:
            raise ShapeError(f"{channels} channels cannot be shared out over {self.groups} groups")
        return self.filters, self.groups


class Conv1D(_Convolution):
    """Convolution over sequences: z[n, t, o] = b[o] + sum_{k, c} x[n, t stride + k dilation, c] W[k, c, o].

    Shapes: x (n, length, channels), or (n, length) for one channel; W (kernel, channels / groups, filters), b
    (filters), a (n, places, filters) with places = (padded length - dilation (kernel - 1) - 1) // stride + 1. See
    `Conv2D` for the settings; those that are given an axis are one number here.
    """

    axes = 1


class Conv2D(_Convolution):
    """Convolution over images: z[n, p, q, o] = b[o] + sum_{i, j, c} x[n, p s + i d, q s + j d, c] W[i, j, c, o].

    Shapes: x (n, height, width, channels), or (n, height, width) for one channel; W (*kernel, channels / groups,
    filters), b (filters), a (n, *places, filters) with places = (padded length - d (kernel - 1) - 1) // s + 1 along
    each axis. W is not turned round, which mathematics calls cross-correlation. Its fans, which initialisers go by, are
    the kernel's places times the channels that a filter takes, and times the filters that a channel goes into.

    Attributes:
        filters: the number of outputs at each place.
        kernel: the size of W, one number or (height, width).
        activation: as in `Dense`.
        stride: how far the inputs of one place lie from those of the next.
        padding: zeros around the input: "valid" (none), "same" (as many places as ceil(length / stride); an odd zero
            goes after), a number for every end, or one number, or (low, high), an axis.
        dilation: how far the inputs of one place lie apart.
        groups: channels and filters are shared out over so many groups, which do not see each other; with as many
            groups as channels the convolution is depthwise (`DepthwiseConv2D`).
        bias, weights, biases, penalty, constraint, weight_noise, name: as in `Dense`.

    Source: LeCun et al. (1989); dilation, Yu and Koltun (2016); groups, Krizhevsky et al. (2012).
    """

    axes = 2


@dataclass(frozen=True)
class DepthwiseConv2D(Windowed):
    """Convolution over images in which each channel has `multiplier` filters of its own (Sifre, 2014).

    It is `Conv2D(multiplier channels, kernel, groups=channels)`, without saying how many channels there are: output
    c multiplier + m comes from channel c. A `Conv2D` with kernel 1 after it makes it depthwise separable (Chollet,
    2017).

    Shapes: x (n, height, width, channels); W (*kernel, 1, multiplier channels), a (n, *places, multiplier channels).
    The other settings are those of `Conv2D`.
    """

    axes: ClassVar[int] = 2
    kernel: int | tuple[int, ...] = numbers(MISSING, 1)
    multiplier: int = whole(1, 1)
    activation: str | Layer | Callable[[Tensor], Tensor] | None = None
    stride: int | tuple[int, ...] = numbers(1, 1)
    padding: str | int | tuple[int | tuple[int, int], ...] = padding_field()
    dilation: int | tuple[int, ...] = numbers(1, 1)
    bias: bool = True
    weights: str | Initializer = "auto"
    biases: str | Initializer = "zeros"
    penalty: str | Penalty | tuple[str | Penalty, ...] = ()
    constraint: str | Constraint | tuple[str | Constraint, ...] = ()
    weight_noise: str | Layer | None = None
    name: str | None = None

    def filters_and_groups(self, channels: int) -> tuple[int, int]:
        """Return `multiplier` filters a channel, each channel a group."""
        return self.multiplier * channels, channels
