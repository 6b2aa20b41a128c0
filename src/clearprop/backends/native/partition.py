"""How the work of a kernel is cut into parts, and what it costs: from shapes alone, so the bits never change."""

from __future__ import annotations

from clearprop.backends.native.elementwise import EXPENSIVE
from clearprop.backends.native.extents import Extent, count, extent, product
from clearprop.backends.native.kernels import Columns, Kernel, Nest, Parts, Product
from clearprop.ir import Node

CHUNK = 8192
"""About how many elements a part of elementwise work has; a multiple of every vector's lanes."""

_USUAL_BATCH = 64
"""What the batch is taken for where a plain number is asked for."""

_PICOSECONDS = {**dict.fromkeys(EXPENSIVE, 1000), "divide": 300, "sqrt": 300}
"""Of one element on one core; what is not named takes `_SIMPLE`."""

_SIMPLE = 60
_FLOP = 15


def usual(size: Extent) -> int:
    """Return a size at the usual batch."""
    return size.at(_USUAL_BATCH)


def chunk_rows(rows: Extent, length: Extent) -> Parts:
    """Cut rows of a length into parts of about CHUNK elements, whole rows each."""
    return Parts(rows, max(1, CHUNK // max(1, usual(length))))


def cost(work: Kernel) -> Extent:
    """Return about how many picoseconds a kernel takes on one core."""
    if isinstance(work, Nest):
        return product(work.space) * Extent(sum(_PICOSECONDS.get(node.op, _SIMPLE) for node in work.nodes))
    if isinstance(work, Product):
        return _product_cost(work.node)
    read = work.node.inputs[0] if isinstance(work, Columns) else work.node.outputs[0]
    return count(read.type.shape) * Extent(2 * _SIMPLE)


def _product_cost(node: Node) -> Extent:
    depth = extent(node.inputs[0].type.shape[-1])
    size = 2 if node.outputs[0].type.dtype == "float64" else 1
    return count(node.outputs[0].type.shape) * depth * Extent(2 * size * _FLOP)
