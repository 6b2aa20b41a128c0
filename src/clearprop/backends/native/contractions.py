"""How a convolution is cut: its loops, the register tile, and its parts; decided by shapes and strides alone.

A convolution, its two derivatives included, is one contraction C[rows, columns] = sum over depth of A[rows, depth]
B[depth, columns], where each element lies at an affine function of the loops: the rows are images and places, the depth
is the kernel and the channels, or, for the filters' derivative, the rows are channels and the kernel, and the depth is
places and images. Nothing here depends on how many threads there are, so neither does the order of any sum.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from clearprop.backends.native.emitter import BYTES
from clearprop.backends.native.extents import ONE, ZERO, Extent, contiguous, extent, product
from clearprop.backends.native.kernels import WHOLE, Access, Index, Parts
from clearprop.backends.native.targets import Target
from clearprop.backends.native.views import access, full_index, numbers
from clearprop.ir import Node, Value

View = tuple[Value, tuple[Index, ...]]

_BATCH = 64
"""What an extent that holds the batch is taken for."""

_SMALL, _SHARE = 1_000_000, 1_500_000
"""A convolution of fewer operations stays in one part; about how many a part has."""

_BIG_IMAGE, _BAND = 24_000_000, 12_000_000
"""An image of more operations is cut into bands of rows of about so many: one image is work for several threads."""

_TERMS = 1024
"""A part that leaves partial sums adds at least so many terms to each, so that adding these up costs little."""

_BLOCK = 256
"""About how many terms are added in registers where there are very many."""

_LARGE = 1 << 16
"""Results of more elements are cut into parts of their rows, and not summed in parts."""

_TILE, _VARIANT = 24.0, 200.0
"""Cycles: what a register tile costs besides its terms, and a charge for each shape of tile, which is code."""


@dataclass(frozen=True)
class Axis:
    """One loop: its length, and the strides of A, B and C along it in elements."""

    size: Extent
    a: Extent = ZERO
    b: Extent = ZERO
    c: Extent = ZERO


@dataclass(frozen=True)
class Contraction:
    """The plan of one convolution.

    Attributes:
        a, b: where an element of each factor lies; only their offsets and sources count.
        rows, depth: the loops, those with the longest strides in A first.
        columns: the loop along which the lanes run.
        box: how many steps of each row loop one register tile takes.
        vectors: how many vectors of columns it is wide.
        block: how many steps of the first depth loop are added in registers, before the sums go to memory; 0 for all.
        parts: how the work is cut: along the first row loop, or with `partial` along the first depth loop.
        bands: how each image is cut besides, along the second row loop.
        partial: whether the parts leave sums that are added up afterwards.
    """

    a: Access
    b: Access
    rows: tuple[Axis, ...]
    depth: tuple[Axis, ...]
    columns: Axis
    box: tuple[int, ...]
    vectors: int
    block: int = 0
    parts: Parts = WHOLE
    bands: Parts = WHOLE
    partial: bool = False


def contraction_of(node: Node, views: tuple[View, View], target: Target) -> Contraction:
    """Choose the plan of a convolution; `views` are its factors at `loop_indices`."""
    rank = node.inputs[0].type.rank if node.op == "contraction" else 2 * node.outputs[0].type.rank - 1
    a, b = (access(*view, rank) for view in views)
    every, summed, columns = (_product_loops if node.op == "contraction" else _loops)(node, a, b)
    rows, depth = _merged(every), _merged(summed)
    block = _block(depth)
    terms = block * product(axis.size for axis in depth[1:]).at(_BATCH) if block else _terms(depth)
    box, vectors = _tile(rows, columns.size, terms, target, target.lanes(BYTES[node.outputs[0].type.dtype]))
    plan = Contraction(a, b, rows, depth, columns, box, vectors, block)
    return _in_parts(plan)


def loop_indices(node: Node) -> tuple[tuple[Index, ...], tuple[Index, ...]]:
    """Return the indices into both factors: of a convolution for image, places, kernel, channel and output.

    Those of a contraction are one for each axis.
    """
    if node.op == "contraction":
        return full_index(node.inputs[0]), full_index(node.inputs[1])
    spatial = node.outputs[0].type.rank - 2
    loops = [Index(((loop, 1),)) for loop in range(2 * spatial + 3)]
    places, kernel = loops[1 : 1 + spatial], loops[1 + spatial : 1 + 2 * spatial]
    strides, gaps = numbers(node, "stride"), numbers(node, "dilation")
    along = [p.times(s).plus(k.times(d)) for p, k, s, d in zip(places, kernel, strides, gaps, strict=True)]
    return (loops[0], *along, loops[-2]), (*kernel, loops[-2], loops[-1])


def _loops(node: Node, a: Access, b: Access) -> tuple[list[Axis], list[Axis], Axis]:
    """Return the row loops, the depth loops and the loop of columns."""
    result, kernels = node.outputs[0].type.shape, node.inputs[1].type.shape
    spatial = len(result) - 2
    sizes = [*map(extent, result[:-1]), *map(extent, kernels)]
    steps = contiguous(result)
    c = [*steps[:-1], *[ZERO] * (spatial + 1), steps[-1]]
    axes = [Axis(*each) for each in zip(sizes, a.strides, b.strides, c, strict=True)]
    return axes[: spatial + 1], axes[spatial + 1 : -1], axes[-1]


def _product_loops(node: Node, a: Access, b: Access) -> tuple[list[Axis], list[Axis], Axis]:
    """Return the same of the sum of a product."""
    sizes, kept = [extent(dim) for dim in node.inputs[0].type.shape], numbers(node, "kept")
    steps = dict(zip(kept, contiguous(node.outputs[0].type.shape), strict=True))
    axes = [Axis(size, a.strides[i], b.strides[i], steps.get(i, ZERO)) for i, size in enumerate(sizes)]
    columns = axes[kept[-1]]
    assert columns.a == columns.b == ONE, "the lanes of a contraction run along elements that lie next to each other"
    return [axes[i] for i in kept[:-1]], [axes[i] for i in numbers(node, "axis")], columns


def _merged(axes: Sequence[Axis]) -> tuple[Axis, ...]:
    """Order loops by their strides in A and make one of neighbours that every matrix allows to be one."""
    kept = [axis for axis in axes if axis.size != ONE]
    kept.sort(key=lambda axis: -abs(axis.a.at(_BATCH)))
    merged: list[Axis] = []
    for axis in kept:
        if merged and all(getattr(merged[-1], name) == getattr(axis, name) * axis.size for name in ("a", "b", "c")):
            merged[-1] = replace(axis, size=merged[-1].size * axis.size)
        else:
            merged.append(axis)
    return tuple(merged)


def _terms(depth: Sequence[Axis]) -> int:
    return product(axis.size for axis in depth).at(_BATCH)


def _block(depth: Sequence[Axis]) -> int:
    """Return how many steps of the first depth loop make a block; 0 where one block is all."""
    if not depth:
        return 0
    first, inner = depth[0].size, _terms(depth[1:])
    if first.fixed and first.coefficient * inner <= 2 * _BLOCK:
        return 0
    return max(1, -(-_BLOCK // max(inner, 1)))


def _in_parts(plan: Contraction) -> Contraction:
    """Cut the images, or the sums over images, or else the rows."""
    each = 2 * plan.columns.size.at(_BATCH)
    rows, terms = product(axis.size for axis in plan.rows).at(_BATCH), _terms(plan.depth)
    if not plan.rows:
        return plan
    first = plan.rows[0]
    if each * rows * terms < _SMALL:
        return replace(plan, parts=Parts(first.size))
    if not first.size.fixed:
        width = max(1, round(_SHARE / (each * rows * terms / first.size.at(_BATCH))))
        return _in_bands(replace(plan, parts=Parts(first.size, _up(width, plan.box[0]))), each * rows * terms)
    big_image = bool(plan.depth) and not plan.depth[0].size.fixed and each * rows * _terms(plan.depth[1:]) > _BIG_IMAGE
    if plan.block and not big_image and rows * plan.columns.size.at(_BATCH) <= _LARGE:
        inner = _terms(plan.depth[1:])
        width = max(-(-_TERMS // inner), -(-_SHARE // (each * rows * inner)))
        return replace(plan, parts=Parts(plan.depth[0].size, _up(width, plan.block)), partial=True)
    place = max(range(len(plan.rows)), key=lambda i: plan.rows[i].size.coefficient)
    order = [place, *(i for i in range(len(plan.rows)) if i != place)]
    rows_, box = tuple(plan.rows[i] for i in order), tuple(plan.box[i] for i in order)
    share = max(1, round(4 * _SHARE / (each * rows * terms / rows_[0].size.coefficient)))
    return replace(plan, rows=rows_, box=box, parts=Parts(rows_[0].size, _up(share, box[0])))


def _in_bands(plan: Contraction, operations: int) -> Contraction:
    """Cut large images along the longest of their row loops, which becomes the second."""
    image, inner = operations / _BATCH, range(1, len(plan.rows))
    if image <= _BIG_IMAGE or not inner or not all(plan.rows[i].size.fixed for i in inner):
        return plan
    place = max(inner, key=lambda i: plan.rows[i].size.coefficient)
    order = [0, place, *(i for i in inner if i != place)]
    rows, box = tuple(plan.rows[i] for i in order), tuple(plan.box[i] for i in order)
    width = max(1, round(_BAND / (image / rows[1].size.coefficient)))
    return replace(plan, rows=rows, box=box, bands=Parts(rows[1].size, _up(width, box[1])))


# -- the register tile -----------------------------------------------------------------------------------------


def _tile(rows: Sequence[Axis], columns: Extent, terms: int, target: Target, lanes: int) -> tuple[tuple[int, ...], int]:
    """Return the steps of each row loop and the vectors of the tile that takes the fewest cycles."""
    wide = -(-columns.coefficient // lanes) if columns.fixed else 1
    best: tuple[float, tuple[int, ...], int] = (math.inf, (1,) * len(rows), 1)
    for vectors in range(1, min(wide, len(target.tile_rows)) + 1):
        most = max(1, (target.registers - vectors - 1) // vectors)
        panels = [vectors] * (wide // vectors) + [wide % vectors] * (wide % vectors > 0)
        for box in _boxes([axis.size for axis in rows], most):
            cycles = sum(_cycles(rows, box, panel, terms) for panel in panels)
            cycles += _VARIANT * len(set(panels)) * _variants(rows, box)
            best = min(best, (cycles, box, vectors))
    return best[1], best[2]


def _boxes(sizes: Sequence[Extent], most: int) -> Iterator[tuple[int, ...]]:
    """Yield every box of no more than so many rows; loops that hold the batch go in single steps."""
    if not sizes:
        yield ()
        return
    longest = min(sizes[0].coefficient, most) if sizes[0].fixed else 1
    for steps in range(1, max(longest, 1) + 1):
        for rest in _boxes(sizes[1:], most // steps):
            yield (steps, *rest)


def _pieces(axis: Axis, steps: int) -> list[tuple[int, int]]:
    """Return the lengths of the pieces that a loop goes in, and how often each comes."""
    whole, rest = divmod(axis.size.at(_BATCH), steps)
    return [piece for piece in ((steps, whole), (rest, 1)) if piece[0] and piece[1]]


def _variants(rows: Sequence[Axis], box: Sequence[int]) -> int:
    return math.prod(len(_pieces(axis, steps)) for axis, steps in zip(rows, box, strict=True))


def _cycles(rows: Sequence[Axis], box: Sequence[int], vectors: int, terms: int) -> float:
    """Return about how many cycles all tiles of a panel take."""
    total = 0.0
    for pieces in itertools.product(*(_pieces(axis, steps) for axis, steps in zip(rows, box, strict=True))):
        height = math.prod(length for length, _ in pieces)
        often = math.prod(count for _, count in pieces)
        total += often * (terms * _step(height, vectors) + _TILE + height * vectors)
    return total


def _step(rows: int, vectors: int) -> float:
    """Return about how many cycles one term of a tile takes: two multiply-adds, two loads, four instructions a cycle.

    A sum waits four cycles for itself.
    """
    sums = rows * vectors
    instructions = sums + vectors + (rows if vectors > 1 else 0) + 6
    return max(sums / 2, (rows + vectors) / 2, instructions / 4, 4.0)


def _up(number: int, step: int) -> int:
    return -(-number // step) * step
