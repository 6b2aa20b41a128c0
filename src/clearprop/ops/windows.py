"""Primitives over sliding windows: windows, their transpose overlap_add, and convolution.

Along one axis of a given length, windows of `size` elements that lie `dilation` apart start at every `stride`-th
place; there are places = (length - dilation (size - 1) - 1) // stride + 1 of them, and what is left over at the high
end is in no window. Padding is done before, with `pad`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.errors import ShapeError
from clearprop.ir import Attribute, Dim, Shape, Type
from clearprop.ops.record import Example, OpDef, Operand, register
from clearprop.ops.rules import N, attribute_axes, attribute_dims, need_float, take_inputs
from clearprop.ops.shaping import flip, pad, permute_dims
from clearprop.ops.tensor import Tensor, emit, getitem, matmul, reshape

Numbers = tuple[int, ...]


def windows(
    x: Tensor,
    axes: Numbers,
    size: Numbers,
    stride: Numbers | None = None,
    dilation: Numbers | None = None,
) -> Tensor:
    """Sliding windows: each of `axes` becomes the axis of its places, and the window axes follow at the end.

    result[..., p, ..., k] = x[..., p stride + k dilation, ...], as `np.lib.stride_tricks.sliding_window_view` gives.

    Args:
        x: the tensor.
        axes: where the windows slide.
        size: how many elements a window has along each of them.
        stride: how far one window lies from the next; 1 when None.
        dilation: how far one element of a window lies from the next; 1 when None.

    Raises:
        ShapeError: a window does not fit into x.
    """
    ones = (1,) * len(axes)
    return emit("windows", x, axes=axes, size=size, stride=stride or ones, dilation=dilation or ones)


def overlap_add(g: Tensor, axes: Numbers, length: Numbers, stride: Numbers, dilation: Numbers) -> Tensor:
    """The transpose of `windows`: each element of each window is added to the place that it was taken from.

    Args:
        g: windows: the places on `axes`, and the window axes at the end, in the order of `axes`.
        axes: where the windows slid.
        length: how long each of these axes was.
        stride: as for `windows`.
        dilation: as for `windows`.

    Raises:
        ShapeError: an axis of that length does not have as many places as g.
    """
    return emit("overlap_add", g, axes=axes, length=length, stride=stride, dilation=dilation)


def conv(x: Tensor, w: Tensor, stride: Numbers | None = None, dilation: Numbers | None = None) -> Tensor:
    """Convolution as networks have it (cross-correlation, w is not turned round), without padding.

    y[n, p, o] = sum over k, c of x[n, p stride + k dilation, c] w[k, c, o], in any number of dimensions.

    Args:
        x: (n, *lengths, channels).
        w: (*kernel, channels, outputs).
        stride: how far the inputs of one output lie from those of the next, along each axis; 1 when None.
        dilation: how far the inputs of one output lie apart, along each axis; 1 when None.

    Returns y (n, *places, outputs).

    Raises:
        ShapeError: the channels differ, or the kernel does not fit into x.
    """
    ones = (1,) * (w.rank - 2)
    return emit("conv", x, w, stride=stride or ones, dilation=dilation or ones)


def reach(size: int, dilation: int) -> int:
    """Return how many elements a window spans, from its first to its last."""
    return dilation * (size - 1) + 1


def _whole_numbers(op: str, what: str, value: Attribute, count: int) -> Numbers:
    numbers = value if isinstance(value, tuple) else (value,)
    result = tuple(item for item in numbers if isinstance(item, int) and not isinstance(item, bool) and item > 0)
    if len(result) != len(numbers) or len(numbers) != count:
        raise ShapeError(f"{op}: {what} is {count} positive integer(s), one an axis, received {value!r}")
    return result


def _places(op: str, lengths: Sequence[Dim], size: Numbers, stride: Numbers, dilation: Numbers) -> Numbers:
    """Return the number of places along each axis; `ShapeError` where there is none."""
    places = []
    for length, k, s, d in zip(lengths, size, stride, dilation, strict=True):
        if not isinstance(length, int):
            raise ShapeError(f"{op}: windows do not slide along the batch {length}")
        if length < reach(k, d):
            raise ShapeError(f"{op}: a window that spans {reach(k, d)} elements does not fit into a length of {length}")
        places.append((length - reach(k, d)) // s + 1)
    return tuple(places)


# -- windows, overlap_add --------------------------------------------------------------------------------------


def _windows_rule(types: Sequence[Type], attrs: dict[str, Attribute]) -> tuple[Type, ...]:
    (x,) = take_inputs("windows", types, 1)
    axes = attribute_axes("windows", attrs["axes"], x.rank)
    size, stride, dilation = (_whole_numbers("windows", k, attrs[k], len(axes)) for k in ("size", "stride", "dilation"))
    places = _places("windows", [x.shape[axis] for axis in axes], size, stride, dilation)
    return (x.with_shape((*_replaced(x.shape, axes, places), *size)),)


def _replaced(shape: Shape, axes: Numbers, lengths: Sequence[Dim]) -> Shape:
    new = dict(zip(axes, lengths, strict=True))
    return tuple(new.get(axis, dim) for axis, dim in enumerate(shape))


def take_windows(x: Any, axes: Any, size: Any, stride: Any, dilation: Any) -> Any:
    """Sliding windows along axes: the places stay on the axes, the windows follow at the end."""
    spans = [d * (k - 1) + 1 for k, d in zip(size, dilation, strict=True)]
    everywhere = np.lib.stride_tricks.sliding_window_view(x, spans, axes)
    index = [slice(None)] * x.ndim + [slice(None, None, d) for d in dilation]
    for axis, s in zip(axes, stride, strict=True):
        index[axis] = slice(None, None, s)
    return everywhere[tuple(index)]


def _overlap_rule(types: Sequence[Type], attrs: dict[str, Attribute]) -> tuple[Type, ...]:
    (g,) = take_inputs("overlap_add", types, 1)
    need_float("overlap_add", g)
    length = attribute_dims("overlap_add", attrs["length"])
    rank = g.rank - len(length)
    axes = attribute_axes("overlap_add", attrs["axes"], rank)
    if len(length) != len(axes):
        raise ShapeError(f"overlap_add: {len(axes)} axes need as many lengths, received {length}")
    stride, dilation = (_whole_numbers("overlap_add", k, attrs[k], len(axes)) for k in ("stride", "dilation"))
    size = _whole_numbers("overlap_add", "the size of the windows", g.shape[rank:], len(axes))
    places = _places("overlap_add", length, size, stride, dilation)
    if tuple(g.shape[axis] for axis in axes) != places:
        raise ShapeError(f"overlap_add: axes of length {length} have {places} places, received {g}")
    return (g.with_shape(_replaced(g.shape[:rank], axes, length)),)


def add_windows(g: Any, axes: Any, length: Any, stride: Any, dilation: Any) -> Any:
    """Zeros, to which each element of each window is added at the place that it was taken from."""
    rank = g.ndim - len(axes)
    shape = list(g.shape[:rank])
    for axis, size in zip(axes, length, strict=True):
        shape[axis] = size
    result = np.zeros(shape, g.dtype)
    for place in np.ndindex(g.shape[rank:]):
        index = [slice(None)] * rank
        for axis, k, s, d in zip(axes, place, stride, dilation, strict=True):
            index[axis] = slice(k * d, k * d + s * (g.shape[axis] - 1) + 1, s)
        result[tuple(index)] += g[(..., *place)]
    return result


_WINDOWED = (
    (Operand((N, 7)), {"axes": (1,), "size": (3,), "stride": (1,), "dilation": (1,)}),
    (Operand((N, 8, 2)), {"axes": (1,), "size": (2,), "stride": (3,), "dilation": (2,)}),
    (Operand((N, 6, 5, 2)), {"axes": (1, 2), "size": (2, 3), "stride": (2, 1), "dilation": (1, 2)}),
    (Operand((4, 3, N)), {"axes": (1, 0), "size": (2, 2), "stride": (1, 2), "dilation": (1, 1)}),
)

register(
    OpDef(
        name="windows",
        infer=_windows_rule,
        numpy="take_windows(x0, axes, size, stride, dilation)",
        vjp=lambda g, ans, x, axes, size, stride, dilation: (
            overlap_add(g, axes, tuple(x.shape[axis] for axis in axes), stride, dilation),
        ),
        examples=tuple(Example((operand,), attrs) for operand, attrs in _WINDOWED),
        helpers=(take_windows,),
    )
)
register(
    OpDef(
        name="overlap_add",
        infer=_overlap_rule,
        numpy="add_windows(x0, axes, length, stride, dilation)",
        vjp=lambda g, ans, x, axes, length, stride, dilation: (
            windows(g, axes, x.shape[x.rank - len(axes) :], stride, dilation),
        ),
        examples=(
            Example((Operand((N, 5, 3)),), {"axes": (1,), "length": (7,), "stride": (1,), "dilation": (1,)}),
            Example((Operand((N, 2, 2, 2)),), {"axes": (1,), "length": (8,), "stride": (3,), "dilation": (2,)}),
            Example(
                (Operand((N, 3, 1, 2, 2, 3)),),
                {"axes": (1, 2), "length": (6, 5), "stride": (2, 1), "dilation": (1, 2)},
            ),
        ),
        helpers=(add_windows,),
    )
)

# -- conv ------------------------------------------------------------------------------------------------------


def _conv_rule(types: Sequence[Type], attrs: dict[str, Attribute]) -> tuple[Type, ...]:
    x, w = take_inputs("conv", types, 2)
    need_float("conv", x)
    if x.rank < 3 or w.rank != x.rank or x.dtype != w.dtype:
        raise ShapeError(
            "conv takes x (n, *lengths, channels) and w (*kernel, channels, outputs) of one dtype, "
            f"received {x} and {w}"
        )
    if x.shape[-1] != w.shape[-2]:
        raise ShapeError(f"conv: x has {x.shape[-1]} channels and w takes {w.shape[-2]}: {x} and {w}")
    if 0 in w.shape:
        raise ShapeError(f"conv needs at least one channel and one output, received {x} and {w}")
    axes = x.rank - 2
    stride, dilation = (_whole_numbers("conv", k, attrs[k], axes) for k in ("stride", "dilation"))
    kernel = _whole_numbers("conv", "the kernel", w.shape[:axes], axes)
    places = _places("conv", x.shape[1:-1], kernel, stride, dilation)
    return (x.with_shape((x.shape[0], *places, w.shape[-1])),)


def convolve(x: Any, w: Any, stride: Any, dilation: Any) -> Any:
    """y[n, p, o] = sum over k, c of x[n, p stride + k dilation, c] w[k, c, o]."""
    axes = tuple(range(1, x.ndim - 1))
    patches = take_windows(x, axes, w.shape[:-2], stride, dilation)  # (n, *places, C, *kernel)
    summed = (*range(x.ndim, patches.ndim), x.ndim - 1)
    return np.tensordot(patches, w, (summed, tuple(range(w.ndim - 1))))


def _conv_vjp(g: Tensor, ans: Tensor, x: Tensor, w: Tensor, stride: Numbers, dilation: Numbers) -> tuple[Tensor, ...]:
    return (
        conv_transpose(g, w, tuple(x.shape[1:-1]), stride, dilation),  # type: ignore[arg-type]
        _filter_cotangent(g, x, w, stride, dilation),
    )


def conv_transpose(g: Tensor, w: Tensor, lengths: Numbers, stride: Numbers, dilation: Numbers) -> Tensor:
    """The transpose of `conv` in x: from a cotangent of y, that of x.

    With stride 1 it is the convolution of the padded g with w flipped. A larger stride would convolve mostly zeros;
    what each g adds to its window is a matrix product then, and the windows overlap.

    Args:
        g: (n, *places, outputs).
        w: (*kernel, channels, outputs), as `conv` takes it.
        lengths: those of x along its axes; they must have as many places as g.
        stride: as for `conv`.
        dilation: as for `conv`.

    Returns (n, *lengths, channels).
    """
    axes = tuple(range(1, g.rank - 1))
    kernel = w.shape[:-2]
    turned = permute_dims(w, (*range(w.rank - 2), w.rank - 1, w.rank - 2))  # (*kernel, outputs, channels)
    if all(s == 1 for s in stride):
        around = (0, *(reach(k, d) - 1 for k, d in zip(kernel, dilation, strict=True)), 0)  # type: ignore[arg-type]
        return conv(pad(g, around, around), flip(turned, tuple(range(len(kernel)))), dilation=dilation)
    columns = permute_dims(turned, (w.rank - 2, *range(w.rank - 2), w.rank - 1))  # (outputs, *kernel, channels)
    added = matmul(g, reshape(columns, (w.shape[-1], -1)))
    added = reshape(added, (*g.shape[:-1], *kernel, w.shape[-2]))
    channels_first = (*range(g.rank - 1), added.rank - 1, *range(g.rank - 1, added.rank - 1))
    return overlap_add(permute_dims(added, channels_first), axes, lengths, stride, dilation)


def _filter_cotangent(g: Tensor, x: Tensor, w: Tensor, stride: Numbers, dilation: Numbers) -> Tensor:
    """The cotangent of w: batch and channels exchange their roles, and so do stride and dilation."""
    axes = tuple(range(1, g.rank - 1))
    samples_last = permute_dims(x, (g.rank - 1, *axes, 0))  # (channels, *lengths, n)
    kernels = permute_dims(g, (*axes, 0, g.rank - 1))  # (*places, n, outputs)
    sums = conv(samples_last, kernels, stride=dilation, dilation=stride)  # (channels, *at least kernel, outputs)
    kept = getitem(sums, (slice(None), *(slice(k) for k in w.shape[:-2]), slice(None)))
    return permute_dims(kept, (*axes, 0, g.rank - 1))


register(
    OpDef(
        name="conv",
        infer=_conv_rule,
        numpy="convolve(x0, x1, stride, dilation)",
        vjp=_conv_vjp,
        examples=tuple(
            Example((Operand(x, 0.5, 2.0), Operand(w, 0.5, 2.0)), {"stride": stride, "dilation": dilation})
            for x, w, stride, dilation in (
                ((N, 7, 2), (3, 2, 3), (1,), (1,)),
                ((N, 8, 2), (2, 2, 1), (2,), (2,)),
                ((N, 5, 4, 2), (3, 2, 2, 2), (1, 1), (1, 1)),
                ((N, 6, 7, 1), (2, 3, 1, 2), (3, 2), (2, 1)),
                ((2, 4, N), (3, N, 2), (1,), (1,)),
                ((2, 5, 3), (2, 3, N), (2,), (1,)),
            )
        ),
        helpers=(take_windows, convolve),
    )
)
