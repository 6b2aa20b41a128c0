"""How the work of a kernel is cut into parts, and what it costs: from shapes alone, so the bits never change."""

from __future__ import annotations

from clearprop.backends.native.elementwise import EXPENSIVE
from clearprop.backends.native.extents import Extent, count, extent, product
from clearprop.backends.native.kernels import Columns, Convolution, Kernel, Nest, Parts, Product
from clearprop.backends.native.views import reduced_axes, space_of
from clearprop.ir import Node, Shape

CHUNK = 8192
"""About how many elements a part of elementwise work has; a multiple of every vector's lanes."""

PANEL = 128
"""How many columns a part of a reduction of columns has; a multiple of four vectors' lanes."""

SMALL = 10_000_000
"""The cost in picoseconds below which a kernel is not worth cutting, for a large batch."""

SHARED = 5_000_000
"""The cost in picoseconds from which the parts of a kernel are shared: several times what it takes to share them."""

_USUAL_BATCH, _LARGE_BATCH = 64, 1024
"""What the batch is taken for: for the width of a part, and to see whether a kernel is cut at all."""

_PICOSECONDS = {**dict.fromkeys(EXPENSIVE, 1000), "divide": 300, "sqrt": 300}
"""Of one element on one core; what is not named takes `_SIMPLE`."""

_MOST_LANES = 64
"""No vector has more of them."""

_SIMPLE, _MOVED = 60, 250
_FLOP = 15


def is_small(work: Kernel) -> bool:
    """Whether a kernel stays in one piece: parts of it would hardly be worth sharing even for a large batch."""
    return cost(work).at(_LARGE_BATCH) < SMALL


def chunks(rows: Extent, length: Extent) -> Parts:
    """Cut rows of a length into parts of about CHUNK elements, whole rows each; of short rows whole vectors."""
    width = max(1, CHUNK // max(1, length.at(_USUAL_BATCH)))
    return Parts(rows, width - width % _MOST_LANES if width >= _MOST_LANES else width)


def has_several(elements: int) -> bool:
    """Whether so many elements are more than one part of elementwise work."""
    return elements > CHUNK


def panels(columns: Extent) -> Parts:
    """Cut columns into parts of PANEL."""
    return Parts(columns, PANEL)


def cost(work: Kernel) -> Extent:
    """Return about how many picoseconds a kernel takes on one core."""
    if isinstance(work, Nest):
        return _nest_cost(work)
    if isinstance(work, Product):
        return _product_cost(work.node)
    if isinstance(work, Convolution):
        return _convolution_cost(work.node)
    if isinstance(work, Columns) or work.node.op == "overlap_add":
        return count(work.node.inputs[0].type.shape) * Extent(_SIMPLE)
    return count(work.node.outputs[0].type.shape) * Extent(_MOVED)


def _nest_cost(nest: Nest) -> Extent:
    whole = [node for node in nest.nodes if nest.space in map(space_of, _shapes(node))]
    return product(nest.space) * Extent(sum(_PICOSECONDS.get(node.op, _SIMPLE) for node in whole))


def _shapes(node: Node) -> list[Shape]:
    return [value.type.shape for value in (*node.inputs, *node.outputs)]


def _product_cost(node: Node) -> Extent:
    return _contraction_cost(node, extent(node.inputs[0].type.shape[-1]))


def _convolution_cost(node: Node) -> Extent:
    if node.op == "contraction":
        shape = node.inputs[0].type.shape
        return _contraction_cost(node, product(extent(shape[axis]) for axis in reduced_axes(node)))
    return _contraction_cost(node, count(node.inputs[1].type.shape[:-1]))


def _contraction_cost(node: Node, depth: Extent) -> Extent:
    size = 2 if node.outputs[0].type.dtype == "float64" else 1
    return count(node.outputs[0].type.shape) * depth * Extent(2 * size * _FLOP)
