"""Views: nodes that move no data. An element of a view is an element of its source at another index."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from clearprop.backends.native.extents import ZERO, Extent, contiguous, extent
from clearprop.backends.native.kernels import Access, Index
from clearprop.ir import Batch, Node, Program, Shape, Value

GENERATORS = ("constant", "arange")
"""Nodes whose elements follow from their index; an array constant is memory instead."""


@functools.lru_cache(maxsize=4096)
def loop_axes(shape: Shape) -> tuple[int, ...]:
    """Return the axes of a shape that need a loop: those that are not of length one."""
    return tuple(axis for axis, dim in enumerate(shape) if dim != 1)


def reduced_axes(node: Node) -> tuple[int, ...]:
    """Return the axes that a reduction runs over, in order."""
    axes = node.attrs["axis"]
    assert isinstance(axes, tuple)
    return tuple(sorted(axis for axis in axes if isinstance(axis, int)))


def space_of(shape: Shape) -> tuple[Extent, ...]:
    """Return the extents of the loops over a shape."""
    return tuple(extent(shape[axis]) for axis in loop_axes(shape))


@functools.lru_cache(maxsize=4096)
def identity(shape: Shape, first: int = 0) -> tuple[Index, ...]:
    """Return the index of an element of a shape in the loops over it; `first` is the number of the first loop."""
    axes = loop_axes(shape)
    return tuple(Index(((first + axes.index(axis), 1),)) if axis in axes else Index() for axis in range(len(shape)))


def full_index(value: Value) -> tuple[Index, ...]:
    """Return an index with a loop for every axis, those of length one included."""
    return tuple(Index(((axis, 1),)) for axis in range(value.type.rank))


def is_unit_reshape(node: Node) -> bool:
    """Whether a reshape only adds or removes axes of length one."""
    before, after = node.inputs[0].type.shape, node.outputs[0].type.shape
    return [dim for dim in before if dim != 1] == [dim for dim in after if dim != 1]


def is_view(node: Node) -> bool:
    """Whether a node moves no data and its elements are found by an index into its input."""
    return node.op in _STEPS and (node.op != "reshape" or is_unit_reshape(node))


def seen_by_contractions(program: Program) -> set[Value]:
    """Return the values that contractions see through views: they are written for how these lie in memory."""
    seen: set[Value] = set()
    for node in reversed(program.nodes):
        if node.op == "contraction" or (is_view(node) and not seen.isdisjoint(node.outputs)):
            seen.update(node.inputs)
    return seen


def resolve(made: Mapping[Value, Node], value: Value, index: tuple[Index, ...]) -> tuple[Value, tuple[Index, ...]]:
    """Follow views down to the value that they look at."""
    node = made.get(value)
    while node is not None and is_view(node):
        index = _STEPS[node.op](node, index)
        value = node.inputs[0]
        node = made.get(value)
    return value, index


def element_of(made: Mapping[Value, Node], value: Value) -> tuple[Value, tuple[Index, ...]]:
    """Return the value that an element of a value lies in, and at which index, in the loops over its shape."""
    return resolve(made, value, identity(value.type.shape))


def source_of(made: Mapping[Value, Node], value: Value) -> Value:
    """Return the value that the elements of a value lie in."""
    node = made.get(value)
    while node is not None and is_view(node):
        value = node.inputs[0]
        node = made.get(value)
    return value


def _broadcast(node: Node, index: tuple[Index, ...]) -> tuple[Index, ...]:
    before, after = node.inputs[0].type.shape, node.outputs[0].type.shape
    index = index[len(after) - len(before) :]
    kept = after[len(after) - len(before) :]
    return tuple(Index() if old != new else item for old, new, item in zip(before, kept, index, strict=True))


def _permute(node: Node, index: tuple[Index, ...]) -> tuple[Index, ...]:
    axes = node.attrs["axes"]
    assert isinstance(axes, tuple)
    return tuple(index[axes.index(axis)] for axis in range(len(axes)))


def _slice(node: Node, index: tuple[Index, ...]) -> tuple[Index, ...]:
    starts, steps = node.attrs["start"], node.attrs["step"]
    assert isinstance(starts, tuple)
    assert isinstance(steps, tuple)
    result = []
    for item, start, step in zip(index, starts, steps, strict=True):
        assert isinstance(step, int)
        assert isinstance(start, int | Batch)
        result.append(item.times(step).plus(Index((), (extent(start),))))
    return tuple(result)


def _flip(node: Node, index: tuple[Index, ...]) -> tuple[Index, ...]:
    axes, shape = node.attrs["axes"], node.inputs[0].type.shape
    assert isinstance(axes, tuple)
    last = [Index((), (extent(dim), Extent(-1))) for dim in shape]
    return tuple(last[axis].plus(item.times(-1)) if axis in axes else item for axis, item in enumerate(index))


def into_windows(node: Node, index: tuple[Index, ...]) -> tuple[Index, ...]:
    """Return which element of the array an element of its windows is, for `windows` and for `overlap_add`."""
    axes, stride, dilation = (numbers(node, key) for key in ("axes", "stride", "dilation"))
    rank = len(index) - len(axes)
    result = list(index[:rank])
    for axis, step, gap, inside in zip(axes, stride, dilation, index[rank:], strict=True):
        result[axis] = result[axis].times(step).plus(inside.times(gap))
    return tuple(result)


def numbers(node: Node, key: str) -> tuple[int, ...]:
    """Return an attribute that is a tuple of integers; one that holds the batch is none."""
    found = node.attrs[key]
    assert isinstance(found, tuple)
    integers = tuple(item for item in found if isinstance(item, int))
    assert len(integers) == len(found), f"{key} of {node.op} holds the batch: {found}"
    return integers


def add_extents(a: Extent, b: Extent) -> Extent:
    """Add two extents of one power; dimensions of a program never mix them."""
    if ZERO in (a, b):
        return b if a == ZERO else a
    assert a.power == b.power, "a dimension mixes the batch with a number"
    return Extent(a.coefficient + b.coefficient, a.power)


def _reshape(node: Node, index: tuple[Index, ...]) -> tuple[Index, ...]:
    before, after = node.inputs[0].type.shape, node.outputs[0].type.shape
    kept = iter(item for dim, item in zip(after, index, strict=True) if dim != 1)
    return tuple(Index() if dim == 1 else next(kept) for dim in before)


_STEPS = {
    "broadcast_to": _broadcast,
    "permute_dims": _permute,
    "slice": _slice,
    "reshape": _reshape,
    "flip": _flip,
    "windows": into_windows,
}
"""The views, and how an index into the result becomes one into the input."""


def origin(made: Mapping[Value, Node], value: Value) -> Value:
    """Follow views, and reshapes that share memory, down to the value whose elements these are."""
    node = made.get(value)
    while node is not None and (node.op == "reshape" or is_view(node)):
        value = node.inputs[0]
        node = made.get(value)
    return value


def access(source: Value, index: tuple[Index, ...], rank: int) -> Access:
    """Return where an indexed element of a source in memory lies, for loops over `rank` axes."""
    strides = [ZERO] * rank
    offsets = []
    for item, step in zip(index, contiguous(source.type.shape), strict=True):
        for axis, scale in item.terms:
            moved = Extent(step.coefficient * scale, step.power)
            strides[axis] = add_extents(strides[axis], moved)
        offsets += [part * step for part in item.offset]
    return Access(source, tuple(offsets), tuple(strides))


def is_trailing(node: Node) -> bool:
    """Whether the loops of a reduction are the innermost ones."""
    loops = loop_axes(node.inputs[0].type.shape)
    axes = reduced_axes(node)
    kept = [axis for axis in loops if axis not in axes]
    return kept == list(loops[: len(kept)])
