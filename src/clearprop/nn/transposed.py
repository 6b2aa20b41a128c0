"""Transposed convolution: from few places to many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass

from clearprop import ops
from clearprop.errors import SettingsError
from clearprop.nn.constraints import Constraint
from clearprop.nn.convolution import Windowed
from clearprop.nn.initializers import Initializer
from clearprop.nn.layer import Layer
from clearprop.nn.penalties import Penalty
from clearprop.nn.windowing import (
    Numbers,
    for_each_axis,
    numbers,
    padding_field,
    resolve_padding,
    sample_lengths,
)
from clearprop.ops import Tensor
from clearprop.settings import whole


@dataclass(frozen=True)
class _Transposed(Windowed):
    """The fields of `ConvTranspose1D` and `ConvTranspose2D`."""

    filters: int = whole(MISSING, 1)
    kernel: int | tuple[int, ...] = numbers(MISSING, 1)
    activation: str | Layer | Callable[[Tensor], Tensor] | None = None
    stride: int | tuple[int, ...] = numbers(1, 1)
    padding: str | int | tuple[int | tuple[int, int], ...] = padding_field()
    dilation: int | tuple[int, ...] = numbers(1, 1)
    output_padding: int | tuple[int, ...] = numbers(0, 0)
    bias: bool = True
    weights: str | Initializer = "auto"
    biases: str | Initializer = "zeros"
    penalty: str | Penalty | tuple[str | Penalty, ...] = ()
    constraint: str | Constraint | tuple[str | Constraint, ...] = ()
    weight_noise: str | Layer | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        extra = for_each_axis(self.output_padding, self.axes, "output_padding")
        if any(more >= s for more, s in zip(extra, self.steps, strict=True)):
            raise SettingsError(
                f"{type(self).__name__}: output_padding is less than the stride {self.steps}, received {extra}: "
                "what lies further out is never reached"
            )

    def filters_and_groups(self, channels: int) -> tuple[int, int]:
        """Return the filters, in one group."""
        return self.filters, 1

    def linear(self, x: Tensor, W: Tensor) -> Tensor:
        """Write the transposed convolution of x with W, cut by the padding."""
        places, _ = sample_lengths(x.shape[1:], self.axes, type(self).__name__)
        whole_lengths, cut = self._lengths(places)
        swapped = ops.permute_dims(W, (*range(self.axes), self.axes + 1, self.axes))  # (*kernel, filters, channels)
        z = ops.conv_transpose(x, swapped, whole_lengths, self.steps, self.gaps)
        kept = (slice(low, length - high) for length, (low, high) in zip(whole_lengths, cut, strict=True))
        return z[(slice(None), *kept)]

    def _lengths(self, places: Numbers) -> tuple[Numbers, tuple[tuple[int, int], ...]]:
        """Return the lengths of what all windows together cover, and how much is cut off at each end."""
        extra = for_each_axis(self.output_padding, self.axes, "output_padding")
        axes = tuple(zip(places, self.steps, self.reach, strict=True))
        covered = tuple((count - 1) * s + reach for count, s, reach in axes)
        if self.padding == "same":
            wanted = tuple(count * s for count, s, _ in axes)
            cut = tuple((max(have - want, 0) // 2, 0) for have, want in zip(covered, wanted, strict=True))
            lengths = tuple(map(max, covered, wanted))
            return lengths, tuple((low, n - low - want) for n, (low, _), want in zip(lengths, cut, wanted, strict=True))
        lengths = tuple(map(sum, zip(covered, extra, strict=True)))
        return lengths, resolve_padding(self.padding, lengths, self.reach, self.steps)


class ConvTranspose1D(_Transposed):
    """Transposed convolution over sequences, see `ConvTranspose2D`.

    Shapes: x (n, length, channels), W (kernel, channels, filters), b (filters), a (n, new length, filters).
    """

    axes = 1


class ConvTranspose2D(_Transposed):
    """Transposed convolution over images: each number of x adds its filter, times it, to a window of z.

    z[n, p s + i d, q s + j d, o] is the sum of x[n, p, q, c] W[i, j, c, o] over all places that fall there, plus b[o]:
    the way back of a `Conv2D` with the same settings, which turns shapes round (Zeiler et al., 2010).

    Shapes: x (n, height, width, channels), W (*kernel, channels, filters), b (filters), a (n, *lengths, filters). Along
    each axis the length is (places - 1) s + d (kernel - 1) + 1 - low - high + output_padding with padding (low, high),
    and places s with "same".

    Attributes:
        filters, kernel, activation, stride, dilation: as in `Conv2D`.
        padding: what is cut off at both ends: what a `Conv2D` with the same padding had added there.
        output_padding: how much longer the result is at the high end, less than the stride: of the lengths that a
            `Conv2D` takes to one number of places, which one is meant. "same" padding says that by itself.
        bias, weights, biases, penalty, constraint, weight_noise, name: as in `Dense`.
    """

    axes = 2
