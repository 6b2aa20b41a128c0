"""Nodes that put elements into places of their own in a larger array: what computes an element stores it there too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from clearprop.backends.native.extents import extent
from clearprop.backends.native.kernels import Index
from clearprop.backends.native.views import identity, into_windows, loop_axes, numbers
from clearprop.ir import Batch, Node, Shape, Value


def is_placing(node: Node) -> bool:
    """Whether every element of the input is stored at one place of the result, which is zero elsewhere."""
    if node.op not in ("pad", "overlap_add"):
        return False
    # each part of the work clears the rows that it writes: the same ones as it reads
    first = loop_axes(node.inputs[0].type.shape)[:1]
    if node.op == "pad":
        return first == (0,) and not any(_around_rows(node))
    return is_tiling(node) and first == loop_axes(node.outputs[0].type.shape)[:1]


def _around_rows(node: Node) -> Iterator[object]:
    """Give out how much is put before, after and between the rows; each a number, or of the batch."""
    for key in ("low", "high", "interior"):
        along = node.attrs[key]
        assert isinstance(along, tuple)
        yield along[0]


def is_tiling(node: Node) -> bool:
    """Whether a node makes windows, or adds them up, that do not overlap."""
    if node.op not in ("windows", "overlap_add"):
        return False
    apart = zip(window_sizes(node), numbers(node, "stride"), numbers(node, "dilation"), strict=True)
    return all(size == 1 or (gap == 1 and size <= step) for size, step, gap in apart)


def window_sizes(node: Node) -> tuple[int, ...]:
    """Return how long the windows are that a node makes or adds up."""
    if node.op == "windows":
        return numbers(node, "size")
    axes = numbers(node, "axes")
    return tuple(dim for dim in node.inputs[0].type.shape[-len(axes) :] if isinstance(dim, int))


def covers(node: Node) -> bool:
    """Whether every element of the result is one of the input."""
    if node.op == "pad":
        return False
    shape = node.inputs[0].type.shape
    along = zip(
        numbers(node, "axes"), numbers(node, "length"), window_sizes(node), numbers(node, "stride"), strict=True
    )
    return all(size == step and shape[axis] == length / step for axis, length, size, step in along)


def placed_shape(made: Mapping[Value, Node], node: Node) -> Shape:
    """Return the shape of what is put into place: padding goes on from windows that are added up without overlap."""
    inner = inner_of(made, node)
    return node.inputs[0].type.shape if inner is None else placed_shape(made, inner)


def placed_index(made: Mapping[Value, Node], node: Node) -> tuple[Index, ...]:
    """Return where an element of that shape goes in the result."""
    inner = inner_of(made, node)
    index = identity(node.inputs[0].type.shape) if inner is None else placed_index(made, inner)
    return pad_index(node, index) if node.op == "pad" else into_windows(node, index)


def inner_of(made: Mapping[Value, Node], node: Node) -> Node | None:
    """Return the node whose result is put into place, if padding goes on from it, place by place."""
    inner = made.get(node.inputs[0]) if node.op == "pad" else None
    return inner if inner is not None and inner.op == "overlap_add" and is_placing(inner) else None


def pad_index(node: Node, index: tuple[Index, ...]) -> tuple[Index, ...]:
    """Return where an element goes when it is padded."""
    low, interior = node.attrs["low"], numbers(node, "interior")
    assert isinstance(low, tuple)
    result = []
    for item, before, gap in zip(index, low, interior, strict=True):
        assert isinstance(before, int | Batch)
        result.append(item.times(gap + 1).plus(Index((), (extent(before),))))
    return tuple(result)
