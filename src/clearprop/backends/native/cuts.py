"""How a matrix product is cut into parts and blocks, and which factors are packed: decided by shapes and strides alone.

Nothing here depends on how many threads there are, so neither does the order in which any element adds its terms.
"""

from __future__ import annotations

from dataclasses import dataclass

from clearprop.backends.native.emitter import BYTES
from clearprop.backends.native.extents import ONE, Extent, extent, product
from clearprop.backends.native.kernels import WHOLE, Access, Index, Parts
from clearprop.backends.native.targets import Target
from clearprop.backends.native.views import access
from clearprop.ir import Node, Value

View = tuple[Value, tuple[Index, ...]]

_BATCH = 128
"""What an extent that holds the batch is taken for."""

_SMALL = 1_000_000
"""Products of fewer operations stay in one part."""

_PARTS = 4
"""How many parts a larger one has at least, where its rows and columns allow it."""

_SHARE = 2_000_000
"""About how many operations a part of a stack of small products has."""

_MANY_ROWS = 512
"""About how many rows a part has at most, where their number grows with the batch."""

_SHARES = 8
"""About how many parts of columns a product has whose first factor is read in place; of two panels at least."""

_PANELS = 16
"""The most panels of columns in a part whose first factor is packed, for it is packed again in each."""

_TERMS, _TERMS_PACKED = 512, 256
"""About how many terms a block has; fewer where both factors are packed and share the second cache."""

_ROWS = 528
"""The most rows in a part whose first factor is packed: a multiple of every tile's height."""

_LED_ROWS = 264
"""The most rows in a part that leads a nest: few enough for the caches, and enough to be worth the second factor's
packing, which each part does again; a multiple of every tile's height."""

_WHOLE_LINES = 3
"""The most vectors of a tile whose rows lie next to each other in float64: it is eight high then, which is a line."""

_NARROW, _LONG, _LITTLE = 512, 1024, 1 << 18
"""Bytes: the second factor is read in place if its lines are as short as the first, and aligned, or shorter than the
second, and all of it no larger than the third."""

_OFTEN, _WIDE = 2, 64
"""Of a product with more rows than the first times its depth, panels are packed that are parts of longer lines; if they
have as many columns as the second: narrower ones lose about as often as they gain."""

_FEW = 4
"""Times the columns of a product, if no more than the lanes of a vector: vectors hold rows instead."""

_MANY = 8
"""Lanes that a vector has at least for that: with four of them nothing is gained."""

_WIDEST = 8
"""How many vectors wide a tile of one row is: two multiply-adds a cycle, each of which takes four."""


@dataclass(frozen=True)
class Cut:
    """The plan of one product.

    Attributes:
        factors: where an element of each factor lies, for the loops over the stack, its rows and its columns.
        lead: the extents of the stack.
        stack: how it is cut, along the first of them.
        depth: how many terms an element has.
        block: how many of them are added in one go.
        rows, columns: the parts.
        extra: how many columns the last part has beyond its share: where panels as wide as a tile leave a single
            vector, it and the panel before make two panels of more even width.
        packs: whether the first and the second factor are packed.
        height, width: of a register tile, in elements; of slender products the rows of a vector, and no less than all
            columns.
        slender: whether there are so few columns that vectors hold rows (see `slender`).
    """

    factors: tuple[Access, Access]
    lead: tuple[Extent, ...]
    stack: Parts
    depth: Extent
    block: int
    rows: Parts
    columns: Parts
    extra: int
    packs: tuple[bool, bool]
    height: int
    width: int
    slender: bool = False

    @property
    def panel(self) -> int:
        """How many elements the packed panels of the second factor take: two where one is copied while one is read."""
        return self.block * self.width * (self.packs[1] + self.copies)

    @property
    def across(self) -> Extent:
        """How many columns there are."""
        return Extent(self.columns.size.coefficient + self.extra) if self.extra else self.columns.size

    @property
    def rest(self) -> int | None:
        """How many columns come after the panels as wide as a tile, where that is known."""
        if not self.across.fixed:
            return None
        return self.across.coefficient % self.width + self.width * (self.extra > 0)

    @property
    def by_rows(self) -> bool:
        """Whether parts next to each other are neighbours: the first factor is the larger one."""
        return self.rows.size.at(_BATCH) > self.columns.size.at(_BATCH)

    @property
    def copies(self) -> bool:
        """Whether the second factor is packed and its columns lie next to each other."""
        return self.packs[1] and self.factors[1].strides[-1] == ONE

    @property
    def scratch(self) -> int:
        """How many elements of memory a worker packs into."""
        tiles = self.rows.width // self.height * self.packs[0]
        return _up(self.panel + (self.block * self.height + self.span) * tiles, 16)

    @property
    def span(self) -> int:
        """How many lanes pack the rows of a tile; where they are more, a packed tile has room for the last ones."""
        return 1 << (self.height - 1).bit_length()


def cut_product(node: Node, views: tuple[View, View], target: Target, led: bool = False) -> Cut:
    """Choose the plan of a product of two views; if it leads a nest, each part has whole rows."""
    type_ = node.outputs[0].type
    size = BYTES[type_.dtype]
    first, second = (access(*view, type_.rank) for view in views)
    rows, columns = extent(type_.shape[-2]), extent(type_.shape[-1])
    depth = extent(node.inputs[0].type.shape[-1])
    lanes = target.lanes(size)
    in_lines = size == 8 and first.strides[-2] == ONE != first.strides[-1]
    heights = target.tile_rows[: _WHOLE_LINES if in_lines else None]
    slender = target.masks and _is_slender(first, rows, columns, lanes)
    height, vectors = (lanes, 1) if slender else _tile(rows, columns, lanes, heights)
    width = vectors * lanes
    packs = (
        not slender and _packs_first(first, rows, columns, height, width, target.masks),
        not slender and _packs_second(second, (rows, columns, depth), width, size, lanes),
    )
    extra = _extra(columns, vectors, lanes) if target.masks else 0
    shared = Extent(columns.coefficient - extra) if extra else columns
    sizes = (rows, shared, depth)
    down, across = (_led_rows(sizes, height), 0) if led else _parts(sizes, packs[0], height, width)
    block = _block(depth, _TERMS_PACKED if packs[0] else _TERMS)
    lead = tuple(extent(dim) for dim in type_.shape[:-2])
    parts = _stack(lead, (rows, columns, depth)), Parts(rows, down), Parts(shared, across)
    return Cut((first, second), lead, parts[0], depth, block, *parts[1:], extra, packs, height, width, slender)


def _is_slender(first: Access, rows: Extent, columns: Extent, lanes: int) -> bool:
    """Whether columns would fill a small part of a vector, and rows fill one that can be loaded."""
    known = rows.fixed and first.strides[-2] == ONE
    few = columns.fixed and 0 < columns.coefficient * _FEW <= lanes >= _MANY
    enough = not rows.fixed or rows.coefficient >= lanes
    return few and enough and (known or (first.strides[-1] == ONE and first.strides[-2].fixed))


def _extra(columns: Extent, vectors: int, lanes: int) -> int:
    """Return how many columns a single vector holds that is left over by panels of three or more."""
    rest = columns.coefficient % (vectors * lanes)
    return rest if columns.fixed and vectors > 2 and rest <= lanes and columns.coefficient > rest else 0


def _tile(rows: Extent, columns: Extent, lanes: int, heights: tuple[int, ...]) -> tuple[int, int]:
    """Return the height of a register tile and its vectors: as wide as C, as far as the registers go.

    Args:
        rows, columns: of C.
        lanes: of a vector.
        heights: of a tile of one, two ... vectors.
    """
    one = rows.fixed and rows.coefficient == 1
    vectors = _WIDEST if one else len(heights)
    if columns.fixed:
        vectors = max(min(vectors, -(-columns.coefficient // lanes)), 1)
    height = 1 if one else heights[vectors - 1]
    return (min(height, max(rows.coefficient, 1)) if rows.fixed else height), vectors


def _block(depth: Extent, most: int) -> int:
    """Cut a known depth into even blocks of this many terms, or up to twice as many."""
    if not depth.fixed:
        return most
    blocks = max(depth.coefficient // most, 1)
    return max(_up(-(-depth.coefficient // blocks), 4), 4)


def _stack(lead: tuple[Extent, ...], sizes: tuple[Extent, Extent, Extent]) -> Parts:
    """Cut a stack of small products, each of which stays in one part."""
    each = 2 * product(sizes).at(_BATCH)
    inner = each * product(lead[1:]).at(_BATCH)
    if not lead or each >= _SMALL or inner * lead[0].at(_BATCH) < _SMALL:
        return WHOLE
    return Parts(lead[0], max(1, _SHARE // max(inner, 1)))


def _parts(sizes: tuple[Extent, Extent, Extent], packs_first: bool, height: int, width: int) -> tuple[int, int]:
    """Return how many rows and columns a part has; zero where they are not cut.

    Columns are cut first: no two parts then pack the same columns. A packed first factor asks for wide parts instead.
    """
    rows, columns, depth = (item.at(_BATCH) for item in sizes)
    small = 2 * rows * columns * depth < _SMALL
    if small and not packs_first:
        return 0, 0
    panels = max(-(-columns // width), 1)
    across = _PANELS if packs_first else max(panels // _SHARES, min(panels // _PARTS, 2), 1)
    wanted = -(-_PARTS // -(-panels // across))
    if packs_first:
        wanted = max(wanted, -(-rows // _ROWS))
    elif not sizes[0].fixed:
        wanted = max(wanted, rows // _MANY_ROWS)
    down = _up(-(-rows // wanted), height) if wanted > 1 else _ROWS * packs_first
    return down, (across * width if panels > across or not sizes[1].fixed else 0)


def _led_rows(sizes: tuple[Extent, Extent, Extent], height: int) -> int:
    """Return how many rows a part has whose result is used while it is in a cache; zero where they are not cut."""
    rows, columns, depth = (item.at(_BATCH) for item in sizes)
    if 2 * rows * columns * depth < _SMALL:
        return 0
    return _up(-(-rows // max(_PARTS, -(-rows // _LED_ROWS))), height)


def _packs_first(first: Access, rows: Extent, columns: Extent, height: int, width: int, masks: bool) -> bool:
    """Whether its rows lie next to each other instead of its columns, and are read by several panels."""
    if first.strides[-2] != ONE or first.strides[-1] == ONE:
        return False
    whole = masks or (rows.fixed and rows.coefficient % height == 0)
    return whole and rows.at(_BATCH) >= 128 and columns.at(_BATCH) >= 4 * width


def _packs_second(second: Access, sizes: tuple[Extent, Extent, Extent], width: int, size: int, lanes: int) -> bool:
    """Whether its columns do not lie next to each other, or its lines are long or not aligned and are read often."""
    rows, columns, depth = (item.at(_BATCH) for item in sizes)
    if second.strides[-1] != ONE:
        return columns > 1
    line = second.strides[-2].at(_BATCH) * size
    in_place = (line <= _NARROW and line % 64 == 0) or (line < _LONG and line * depth <= _LITTLE)
    return (rows >= 16 and columns > lanes and not in_place) or _displaced(second, sizes, width)


def _displaced(second: Access, sizes: tuple[Extent, Extent, Extent], width: int) -> bool:
    """Whether many rows read panels that are parts of longer lines, each of which may lie across two of the cache's.

    Such a panel fits into a part of the first cache's sets alone, is displaced there, and comes again from where
    another core wrote it. Rows that are the batch are few.
    """
    rows, columns, depth = (item.at(_BATCH) for item in sizes)
    often = sizes[0].fixed and rows > _OFTEN * depth
    return often and columns > width >= _WIDE and second.strides[-1] == ONE


def _up(number: int, step: int) -> int:
    return -(-number // step) * step
