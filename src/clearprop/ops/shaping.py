"""Primitives that move elements without changing them: reshape, transpose, flip, broadcast, slice, pad, join."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.errors import ShapeError
from clearprop.ir import Attribute, Batch, Dim, Shape, Type, dims_product
from clearprop.ops.record import Example, OpDef, Operand, register
from clearprop.ops.rules import N, add_dims, attribute_axes, attribute_dims, subtract_dims, take_inputs
from clearprop.ops.tensor import Tensor, broadcast_shapes, broadcast_to, emit, emit_all, reshape, show


def permute_dims(x: Tensor, axes: tuple[int, ...] | None = None) -> Tensor:
    """Transpose: dimension i of the result is dimension axes[i] of x; None reverses them."""
    axes = tuple(reversed(range(x.rank))) if axes is None else tuple(axes)
    return x if axes == tuple(range(x.rank)) else emit("permute_dims", x, axes=axes)


def flip(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Reverse the order of the elements along axes."""
    return emit("flip", x, axes=tuple(axes)) if axes else x


def concat(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Join tensors along one axis."""
    if not tensors:
        raise ShapeError("concat needs at least one tensor")
    axis = axis + tensors[0].rank if axis < 0 else axis
    return tensors[0] if len(tensors) == 1 else emit("concat", *tensors, axis=axis)


def split(x: Tensor, parts: int, axis: int = 0) -> tuple[Tensor, ...]:
    """Cut a tensor into equal parts along one axis; the derivative joins theirs."""
    axis = axis + x.rank if axis < 0 else axis
    return (x,) if parts == 1 else emit_all("split", [x], {"parts": parts, "axis": axis})


def stack(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Join tensors of one shape along a new axis."""
    if not tensors:
        raise ShapeError("stack needs at least one tensor")
    axis = axis + tensors[0].rank + 1 if axis < 0 else axis
    return concat([reshape(x, (*x.shape[:axis], 1, *x.shape[axis:])) for x in tensors], axis)


def pad(x: Tensor, low: Shape, high: Shape, interior: tuple[int, ...] | None = None) -> Tensor:
    """Put zeros before (low), after (high) and between (interior) the elements of each dimension."""
    interior = interior or (0,) * x.rank
    if not any((*low, *high, *interior)):
        return x
    return emit("pad", x, low=tuple(low), high=tuple(high), interior=tuple(interior))


# -- reshape ---------------------------------------------------------------------------------------------------


def _reshape_rule(types: Sequence[Type], attrs: dict[str, Attribute]) -> tuple[Type, ...]:
    (x,) = take_inputs("reshape", types, 1)
    shape = attribute_dims("reshape", attrs["shape"])
    if dims_product(x.shape) != dims_product(shape):
        raise ShapeError(f"cannot reshape {show(x.shape)} to {show(shape)}: the numbers of elements differ")
    return (x.with_shape(shape),)


register(
    OpDef(
        name="reshape",
        infer=_reshape_rule,
        numpy="np.reshape(x0, shape)",
        vjp=lambda g, ans, x, shape: (reshape(g, x.shape),),
        examples=(
            Example((Operand((N, 2, 3)),), {"shape": (N, 6)}),
            Example((Operand((N, 2, 3)),), {"shape": (Batch(2), 3)}),
            Example((Operand(()),), {"shape": (1, 1)}),
        ),
    )
)

# -- permute_dims ----------------------------------------------------------------------------------------------


def _permute_rule(types: Sequence[Type], attrs: dict[str, Attribute]) -> tuple[Type, ...]:
    (x,) = take_inputs("permute_dims", types, 1)
    axes = attribute_axes("permute_dims", attrs["axes"], x.rank)
    if len(axes) != x.rank:
        raise ShapeError(f"permute_dims of {x} needs all of its {x.rank} axes, received {axes}")
    return (x.with_shape(x.shape[axis] for axis in axes),)


register(
    OpDef(
        name="permute_dims",
        infer=_permute_rule,
        numpy="np.transpose(x0, axes)",
        vjp=lambda g, ans, x, axes: (permute_dims(g, tuple(axes.index(i) for i in range(len(axes)))),),
        examples=(
            Example((Operand((N, 2, 3)),), {"axes": (2, 0, 1)}),
            Example((Operand((2, 3)),), {"axes": (1, 0)}),
        ),
    )
)

# -- flip ------------------------------------------------------------------------------------------------------


def _flip_rule(types: Sequence[Type], attrs: dict[str, Attribute]) -> tuple[Type, ...]:
    (x,) = take_inputs("flip", types, 1)
    attribute_axes("flip", attrs["axes"], x.rank)
    return (x,)


register(
    OpDef(
        name="flip",
        infer=_flip_rule,
        numpy="np.flip(x0, axes)",
        vjp=lambda g, ans, x, axes: (flip(g, axes),),
        examples=(
            Example((Operand((N, 3)),), {"axes": (1,)}),
            Example((Operand((2, 3, N)),), {"axes": (0, 2)}),
        ),
    )
)

# -- broadcast_to ----------------------------------------------------------------------------------------------


def _broadcast_rule(types: Sequence[Type], attrs: dict[str, Attribute]) -> tuple[Type, ...]:
    (x,) = take_inputs("broadcast_to", types, 1)
    shape = attribute_dims("broadcast_to", attrs["shape"])
    if broadcast_shapes(x.shape, shape) != shape:
        raise ShapeError(f"cannot broadcast {show(x.shape)} to {show(shape)}")
    return (x.with_shape(shape),)


def _broadcast_vjp(g: Tensor, ans: Tensor, x: Tensor, shape: Shape) -> tuple[Tensor]:
    new = len(shape) - x.rank
    axes = tuple(i for i, dim in enumerate(shape) if i < new or x.shape[i - new] != dim)
    return (reshape(emit("sum", g, axis=axes) if axes else g, x.shape),)


register(
    OpDef(
        name="broadcast_to",
        infer=_broadcast_rule,
        numpy="np.broadcast_to(x0, shape)",
        vjp=_broadcast_vjp,
        examples=(
            Example((Operand((3,)),), {"shape": (N, 3)}),
            Example((Operand((2, 1, 3)),), {"shape": (N, 2, 4, 3)}),
            Example((Operand(()),), {"shape": (2, 2)}),
        ),
    )
)

# -- concat ----------------------------------------------------------------------------------------------------


def _concat_rule(types: Sequence[Type], attrs: dict[str, Attribute]) -> tuple[Type, ...]:
    if not types:
        raise ShapeError("concat needs at least one tensor")
    first, *rest = types
    (axis,) = attribute_axes("concat", attrs["axis"], first.rank)
    total: Dim | None = first.shape[axis]
    for other in rest:
        same = other.dtype == first.dtype and other.rank == first.rank
        if not same or any(a != b for i, (a, b) in enumerate(zip(first.shape, other.shape, strict=True)) if i != axis):
            raise ShapeError(f"concat along axis {axis}: {first} and {other} differ elsewhere")
        total = None if total is None else add_dims(total, other.shape[axis])
    if total is None:
        raise ShapeError(f"concat along axis {axis} would mix the batch n with a fixed length")
    return (first.with_shape((*first.shape[:axis], total, *first.shape[axis + 1 :])),)


def _concat_vjp(g: Tensor, ans: Tensor, *inputs: Tensor, axis: int) -> tuple[Tensor, ...]:
    parts: list[Tensor] = []
    start: Dim = 0
    for x in inputs:
        stop = add_dims(start, x.shape[axis])
        assert stop is not None  # the type rule has added the same lengths up
        parts.append(_take_range(g, axis, start, stop))
        start = stop
    return tuple(parts)


def _take_range(x: Tensor, axis: int, start: Dim, stop: Dim) -> Tensor:
    starts: tuple[Any, ...] = tuple(start if i == axis else 0 for i in range(x.rank))
    stops: tuple[Any, ...] = tuple(stop if i == axis else dim for i, dim in enumerate(x.shape))
    return emit("slice", x, start=starts, stop=stops, step=(1,) * x.rank)


register(
    OpDef(
        name="concat",
        infer=_concat_rule,
        numpy="np.concatenate(inputs, axis=axis)",
        vjp=_concat_vjp,
        examples=(
            Example((Operand((N, 2)), Operand((N, 3)), Operand((N, 1))), {"axis": 1}),
            Example((Operand((N, 2)), Operand((N, 2))), {"axis": 0}),
        ),
    )
)

# -- split -----------------------------------------------------------------------------------------------------


def _split_rule(types: Sequence[Type], attrs: dict[str, Attribute]) -> tuple[Type, ...]:
    (x,) = take_inputs("split", types, 1)
    (axis,), parts = attribute_axes("split", attrs["axis"], x.rank), attrs["parts"]
    size = x.shape[axis]
    if not isinstance(parts, int) or parts < 1 or not isinstance(size, int) or size % parts:
        raise ShapeError(f"split: dimension {axis} of {x} cannot be cut into {parts!r} equal parts")
    return (x.with_shape((*x.shape[:axis], size // parts, *x.shape[axis + 1 :])),) * parts


def _augment_split(
    linearise: Any, inputs: Sequence[Tensor], active: Sequence[bool], parts: int, axis: int
) -> tuple[tuple[Tensor, ...], Any]:
    results = split(inputs[0], parts, axis)

    def pull(cotangents: Sequence[Tensor | None]) -> list[Tensor]:
        zero = emit("constant", value=0.0, dtype=results[0].dtype, shape=())
        return [concat([broadcast_to(zero, results[0].shape) if g is None else g for g in cotangents], axis)]

    return results, pull


register(
    OpDef(
        name="split",
        infer=_split_rule,
        numpy="tuple(np.split(x0, parts, axis=axis))",
        vjp=None,
        augment=_augment_split,
        examples=(
            Example((Operand((N, 6)),), {"parts": 3, "axis": 1}),
            Example((Operand((4, N, 2)),), {"parts": 2, "axis": 0}),
        ),
    )
)

# -- slice -----------------------------------------------------------------------------------------------------


def _length(start: Dim, stop: Dim, step: int, size: Dim) -> Dim | None:
    """The number of elements of start:stop:step, or None where that is no part of the dimension."""
    length = subtract_dims(stop, start)
    if length is None or subtract_dims(size, stop) is None or step < 1:
        return None
    if isinstance(length, Batch):
        return length if step == 1 else None
    return -(-length // step)


def _slice_rule(types: Sequence[Type], attrs: dict[str, Attribute]) -> tuple[Type, ...]:
    (x,) = take_inputs("slice", types, 1)
    start, stop = attribute_dims("slice", attrs["start"]), attribute_dims("slice", attrs["stop"])
    step = attribute_dims("slice", attrs["step"])
    if not len(start) == len(stop) == len(step) == x.rank:
        raise ShapeError(f"slice of {x} needs {x.rank} starts, stops and steps")
    shape = []
    for a, b, s, size in zip(start, stop, step, x.shape, strict=True):
        length = _length(a, b, s, size) if isinstance(s, int) else None
        if length is None:
            raise ShapeError(f"slice {a}:{b}:{s} does not lie in a dimension of length {size} of {x}")
        shape.append(length)
    return (x.with_shape(shape),)


def take_slice(x: Any, start: Any, stop: Any, step: Any) -> Any:
    """x[start[0]:stop[0]:step[0], ...]."""
    return x[tuple(slice(*bounds) for bounds in zip(start, stop, step, strict=True))]


def _slice_vjp(g: Tensor, ans: Tensor, x: Tensor, start: Any, stop: Any, step: Any) -> tuple[Tensor]:
    high: list[Any] = []
    for a, s, size, kept in zip(start, step, x.shape, ans.shape, strict=True):
        reach = kept if isinstance(kept, Batch) or kept == 0 else (kept - 1) * s + 1
        end = add_dims(a, reach)
        assert end is not None  # the type rule has checked that the slice lies in the dimension
        high.append(subtract_dims(size, end))
    return (pad(g, start, tuple(high), tuple(s - 1 for s in step)),)


register(
    OpDef(
        name="slice",
        infer=_slice_rule,
        numpy="take_slice(x0, start, stop, step)",
        vjp=_slice_vjp,
        examples=(
            Example((Operand((N, 7)),), {"start": (0, 1), "stop": (N, 6), "step": (1, 2)}),
            Example((Operand((4, 5)),), {"start": (1, 0), "stop": (4, 5), "step": (1, 3)}),
        ),
        helpers=(take_slice,),
    )
)

# -- pad -------------------------------------------------------------------------------------------------------


def _pad_rule(types: Sequence[Type], attrs: dict[str, Attribute]) -> tuple[Type, ...]:
    (x,) = take_inputs("pad", types, 1)
    low, high = attribute_dims("pad", attrs["low"]), attribute_dims("pad", attrs["high"])
    interior = attribute_dims("pad", attrs["interior"])
    if not len(low) == len(high) == len(interior) == x.rank:
        raise ShapeError(f"pad of {x} needs {x.rank} numbers for each of low, high and interior")
    shape = []
    for before, after, between, size in zip(low, high, interior, x.shape, strict=True):
        inner: Dim | None = size
        if isinstance(size, int) and isinstance(between, int):
            inner = size + max(size - 1, 0) * between
        elif between != 0:
            inner = None
        total = None if inner is None else add_dims(before, inner)
        total = None if total is None else add_dims(total, after)
        if total is None:
            raise ShapeError(f"pad of {x} by {show(low)} and {show(high)} mixes the batch n with numbers")
        shape.append(total)
    return (x.with_shape(shape),)


def pad_zeros(x: Any, low: Any, high: Any, interior: Any) -> Any:
    """Zeros before, after and between the elements of each dimension."""
    inner = [size + max(size - 1, 0) * gap for size, gap in zip(x.shape, interior, strict=True)]
    result = np.zeros([a + size + b for a, size, b in zip(low, inner, high, strict=True)], x.dtype)
    place = zip(low, inner, interior, strict=True)
    result[tuple(slice(a, a + size, gap + 1) for a, size, gap in place)] = x
    return result


def _pad_vjp(g: Tensor, ans: Tensor, x: Tensor, low: Any, high: Any, interior: Any) -> tuple[Tensor]:
    stops = tuple(subtract_dims(size, after) for size, after in zip(g.shape, high, strict=True))
    steps = tuple(gap + 1 for gap in interior)
    return (emit("slice", g, start=low, stop=stops, step=steps),)  # type: ignore[arg-type]


register(
    OpDef(
        name="pad",
        infer=_pad_rule,
        numpy="pad_zeros(x0, low, high, interior)",
        vjp=_pad_vjp,
        examples=(
            Example((Operand((N, 3)),), {"low": (0, 1), "high": (0, 2), "interior": (0, 1)}),
            Example((Operand((N, 2)),), {"low": (N, 0), "high": (0, 0), "interior": (0, 0)}),
        ),
        helpers=(pad_zeros,),
    )
)
