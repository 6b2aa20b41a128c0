"""What convolution and pooling layers share: numbers an axis, padding, and samples with or without channels."""

from __future__ import annotations

from typing import Any

from clearprop import ops
from clearprop.errors import SettingsError, ShapeError
from clearprop.ir import Shape
from clearprop.ops import Tensor, show
from clearprop.settings import Allowed, field

Numbers = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]
Padding = str | int | tuple[int | tuple[int, int], ...]
"""How lengths are padded: "valid" (not at all), "same", a number for every end, or for each axis one or (low, high)."""

NAMES = {1: "(length, channels)", 2: "(height, width, channels)"}
"""What a sample is called, by its number of axes but for the channels."""


def numbers(default: Any, least: int) -> Any:
    """Return a field that holds a whole number of at least `least`, or a tuple of one an axis; None if it is that."""
    refused = () if default is None else (None,)

    def holds(value: Any) -> bool:
        items = value if isinstance(value, tuple) else (value,)
        return (value is None and not refused) or (bool(items) and all(_whole(item, least) for item in items))

    words = f"is a whole number of at least {least}, or a tuple of one an axis{'' if refused else ', or None'}"
    wrong = (least - 1, least + 0.5, True, "2", (), (least, least - 1), *refused)
    return field(Allowed(words, holds, wrong), default)


def padding_field() -> Any:
    """Return a field that holds a `Padding`, "valid" by default."""

    def holds(value: Any) -> bool:
        if isinstance(value, str):
            return value in ("valid", "same")
        items = value if isinstance(value, tuple) else (value,)
        return bool(items) and all(_whole(item, 0) or _is_pair(item) for item in items)

    words = 'is "valid", "same", a whole number of at least 0, or a tuple of one such number, or (low, high), an axis'
    return field(Allowed(words, holds, ("full", -1, 0.5, True, None, (), (1, -1), ((1, 2, 3),))), "valid")


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_pair(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(_whole(item, 0) for item in value)


def for_each_axis(value: int | Numbers, axes: int, what: str) -> Numbers:
    """Return one number an axis; `SettingsError` for a tuple of another length."""
    if isinstance(value, tuple) and len(value) != axes:
        raise SettingsError(f"{what} is one number, or {axes}, one an axis, received {value!r}")
    return value if isinstance(value, tuple) else (value,) * axes


def resolve_padding(padding: Padding, lengths: Numbers, reach: Numbers, stride: Numbers) -> Pairs:
    """Return how many zeros go before and after each axis.

    "same" gives ceil(length / stride) places: the zeros needed for that are shared equally between both ends, and an
    odd one goes after, as in TensorFlow and (for stride 1) PyTorch.

    Raises:
        SettingsError: a tuple has not one entry an axis.
    """
    if padding == "same":
        totals = (max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(lengths, reach, stride, strict=True))
        return tuple((total // 2, total - total // 2) for total in totals)
    if isinstance(padding, str):
        return ((0, 0),) * len(lengths)
    items = padding if isinstance(padding, tuple) else (padding,) * len(lengths)
    if len(items) != len(lengths):
        raise SettingsError(f"padding needs {len(lengths)} entries, one an axis, received {padding!r}")
    return tuple(item if isinstance(item, tuple) else (item, item) for item in items)


def check_padding(padding: Padding, axes: int) -> None:
    """Raise `SettingsError` for a tuple that has not one entry an axis."""
    resolve_padding(padding, *((1,) * axes,) * 3)


def pad_axes(x: Tensor, pairs: Pairs) -> Tensor:
    """Put zeros before and after the axes between the samples and the channels."""
    return ops.pad(x, (0, *(low for low, _ in pairs), 0), (0, *(high for _, high in pairs), 0))


def with_channels(x: Tensor, axes: int, layer: str) -> Tensor:
    """Return x (n, *lengths, channels); samples of lengths alone, such as grey images, have one channel.

    Raises:
        ShapeError: a sample has fewer or more axes.
    """
    if x.rank == axes + 1:
        return ops.reshape(x, (*x.shape, 1))
    sample_lengths(x.shape[1:], axes, layer)
    return x


def sample_lengths(shapes: Shape, axes: int, layer: str) -> tuple[Numbers, int]:
    """Return the lengths and the number of channels of samples; `ShapeError` if they have fewer or more axes."""
    if len(shapes) == axes:
        shapes = (*shapes, 1)
    fixed = tuple(dim for dim in shapes if isinstance(dim, int))
    if len(fixed) != axes + 1 or len(shapes) != len(fixed):
        raise ShapeError(
            f"{layer} takes samples {NAMES[axes]}, or without the last for one channel, received samples {show(shapes)}"
        )
    return fixed[:-1], fixed[-1]
