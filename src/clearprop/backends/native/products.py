"""Matrix products, C = A B: cut into parts by their shapes alone, each part into panels and tiles.

A part computes some rows and columns of C for all k and shares nothing with the others, so that parts may run in any
order and on any thread. In a part k runs in blocks; within a block, the columns go in panels as wide as a register
tile, and the micro-kernels of `tiles` walk down a panel. A factor whose strides would waste the caches is packed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from clearprop.backends.native.cuts import Cut
from clearprop.backends.native.emitter import BYTES, known
from clearprop.backends.native.extents import Extent, contiguous
from clearprop.backends.native.kernels import Access, Parts, Product
from clearprop.backends.native.loops import nested
from clearprop.backends.native.packing import define_packing, square
from clearprop.backends.native.regions import Kernel
from clearprop.backends.native.targets import Target
from clearprop.backends.native.tiles import Tile, define_tile

_ZEROS = "@zeros = private constant [256 x i8] zeroinitializer, align 64\n"
"""Where the sums of a panel start: as many zeros as the widest tile is wide."""


_LINES = 8
"""How many columns of the first factor are packed tile after tile: as many as one set of the first cache holds."""


@dataclass(frozen=True)
class Matrix:
    """A matrix in memory: its first element, and the strides of its rows, columns and tiles of rows in bytes."""

    start: str
    row: str
    column: str
    tile: str


@dataclass(frozen=True)
class Block:
    """Some terms of a part: the first k and how many, and both factors from there on."""

    k: str
    depth: str
    first: Matrix
    second: Matrix


@dataclass(frozen=True)
class Panel:
    """Columns from one on: how many vectors of how many lanes, and how many columns the last of them has."""

    start: str
    vectors: int
    lanes: int
    left: str


@dataclass(frozen=True)
class Following:
    """The panel of the second factor that is packed next: its rows and columns, and where they are packed."""

    start: str
    row: str
    rows: str
    columns: str
    to: str


NOTHING = Following("null", "0", "0", "0", "null")


class ProductWriter:
    """Writes one matrix product into a kernel, which computes the part %part as the worker %worker."""

    def __init__(self, kernel: Kernel, product: Product, cut: Cut, target: Target) -> None:
        self.kernel, self.product, self.cut, self.target = kernel, product, cut, target
        self.out = kernel.out
        result = product.node.outputs[0]
        self.result = Access(result, (), contiguous(result.type.shape))
        self.dtype, self.size = result.type.dtype, BYTES[result.type.dtype]
        self.lanes = target.lanes(self.size)
        self.out.helpers["zeros"] = _ZEROS

    def write(self) -> None:
        """Write the part, for each matrix of the stack."""
        rows, columns = self._ranges()
        stops = [self.kernel.extent(size) for size in self.cut.lead]
        nested(self.out, stops, lambda lead: self._part(lead, rows, columns))

    # -- parts -------------------------------------------------------------------------------------------------

    def _ranges(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """Return the rows and the columns of this part; parts below each other are neighbours."""
        out, down, across = self.out, self.cut.rows, self.cut.columns
        row, column = "%part", "%part"
        if not (down.alone or across.alone):
            count = out.most(down.count(out, self.kernel.extent(down.size)), "1")
            column = out.divide("%part", count)
            row = out.subtract("%part", out.multiply(column, count))
        return self._range(row, down), self._range(column, across)

    def _range(self, place: str, parts: Parts) -> tuple[str, str]:
        stop = self.kernel.extent(parts.size)
        if parts.alone:
            return "0", stop
        start = self.out.multiply(place, str(parts.width))
        return start, self.out.least(self.out.add(start, str(parts.width)), stop)

    def _part(self, lead: Sequence[str], rows: tuple[str, str], columns: tuple[str, str]) -> None:
        """Compute a part of one matrix. What works on it while it is in the cache can follow its blocks."""
        first, second = (self._matrix(place, lead) for place in self.cut.factors)
        result = self._at(self._matrix(self.result, lead), rows[0], "0")
        count = self.out.subtract(rows[1], rows[0])

        def block(k: str, depth: str) -> None:
            a, b = self._at(first, rows[0], k), self._at(second, k, "0")
            terms = Block(k, depth, self._pack_rows(a, count, depth) if self.cut.packs[0] else a, b)

            self._in_panels(columns, lambda panel: self._panel(terms, panel, result, count, (columns, second)))

        if self.cut.copies:
            self._first_panel(second, columns)
        self._in_blocks(block)

    def _first_panel(self, second: Matrix, columns: tuple[str, str]) -> None:
        """Pack the first panel of a part; each of the others is packed while the one before is used."""
        out, width = self.out, self.cut.width
        self.buffers = tuple(out.slot("ptr", self._scratch(place)) for place in (0, self.cut.block * width))
        depth = out.least(self.kernel.extent(self.cut.depth), str(self.cut.block))
        packed = Matrix(self._scratch(0), str(width * self.size), str(self.size), "0")
        vectors, wide = width // self.lanes, out.subtract(columns[1], columns[0])
        if self.target.masks:
            for v in range(vectors):
                place = str(v * self.lanes)
                self._pack("copy", self._at(second, "0", out.add(columns[0], place)), self._at(packed, "0", place), depth, out.subtract(wide, place), (1, self.lanes))
        else:
            enough = out.get(f"icmp sge i64 {wide}, {width}")
            out.when(enough, lambda: self._pack("copy", self._at(second, "0", columns[0]), packed, depth, str(self.lanes), (vectors, self.lanes)))

    def _matrix(self, place: Access, lead: Sequence[str]) -> Matrix:
        start = self.kernel.offset(place.offsets, place.strides[: len(lead)], lead)
        row, column = (self.kernel.extent(stride * Extent(self.size)) for stride in place.strides[len(lead) :])
        tile = self.out.multiply(row, str(self.cut.height))
        return Matrix(self.kernel.address(place.source, start), row, column, tile)

    def _at(self, matrix: Matrix, row: str, column: str) -> Matrix:
        """Return a matrix from an element on."""
        offset = self.out.add(self.out.multiply(row, matrix.row), self.out.multiply(column, matrix.column))
        return replace(matrix, start=self.out.after(matrix.start, offset))

    # -- blocks and panels -------------------------------------------------------------------------------------

    def _in_blocks(self, body: Callable[[str, str], None]) -> None:
        """Walk over k; once at least, for a sum without terms is zero."""
        depth, block = self.kernel.extent(self.cut.depth), self.cut.block
        if known(depth) and int(depth) <= block:
            body("0", depth)
            return
        stop = self.out.most(depth, "1")
        self.out.loop("0", stop, block, lambda k: body(k, self.out.least(str(block), self.out.subtract(depth, k))))

    def _in_panels(self, columns: tuple[str, str], body: Callable[[Panel], None]) -> None:
        """Walk over columns: panels as wide as a tile, then what is left."""
        (start, stop), width, lanes = columns, self.cut.width, self.lanes
        size = self.cut.columns.size
        rest = size.coefficient % width if size.fixed else None
        end = self._whole(start, stop, width)
        if not size.fixed or size.coefficient >= width:
            self._loop(start, end, width, lambda j: body(Panel(j, width // lanes, lanes, str(lanes))))
        if rest == 0:
            return
        if self.target.masks:
            self._masked_rest(end, stop, rest, body)
            return
        middle = self._whole(end, stop, lanes)
        self._loop(end, middle, lanes, lambda j: body(Panel(j, 1, lanes, str(lanes))))
        self._loop(middle, stop, 1, lambda j: body(Panel(j, 1, 1, "1")))

    def _masked_rest(self, start: str, stop: str, rest: int | None, body: Callable[[Panel], None]) -> None:
        """Write one panel of as many vectors as are left, the last of them in part."""
        left, lanes = self.out.subtract(stop, start), self.lanes
        if rest is not None:
            vectors = -(-rest // lanes)
            panel = Panel(start, vectors, lanes, str(rest - (vectors - 1) * lanes))
            self._when(left, "0", lambda: body(panel))
            return

        def some(vectors: int) -> None:
            body(Panel(start, vectors, lanes, self.out.subtract(left, str((vectors - 1) * lanes))))

        wanted = self.out.divide(self.out.add(left, str(lanes - 1)), str(lanes))
        for vectors in range(1, self.cut.width // lanes + 1):
            self.out.when(self.out.get(f"icmp eq i64 {wanted}, {vectors}"), functools.partial(some, vectors))

    def _whole(self, start: str, stop: str, step: int) -> str:
        """Return where the last whole step ends."""
        steps = self.out.divide(self.out.subtract(stop, start), str(step))
        return self.out.add(start, self.out.multiply(steps, str(step)))

    def _loop(self, start: str, stop: str, step: int, body: Callable[[str], None]) -> None:
        """Append a loop, or its body alone if it is known to run once, or nothing."""
        if not (known(start) and known(stop)) or int(stop) - int(start) > step:
            self.out.loop(start, stop, step, body)
        elif int(start) < int(stop):
            body(start)

    def _when(self, a: str, b: str, body: Callable[[], None]) -> None:
        """Append `if a > b: body()`, without the condition where it is known."""
        if not (known(a) and known(b)):
            self.out.when(self.out.get(f"icmp sgt i64 {a}, {b}"), body)
        elif int(a) > int(b):
            body()

    def _panel(
        self, block: Block, panel: Panel, result: Matrix, count: str, whole: tuple[tuple[str, str], Matrix]
    ) -> None:
        """Add the terms of a block to a panel of the result, tile below tile."""
        second, result = self._at(block.second, "0", panel.start), self._at(result, "0", panel.start)
        masked, following = self.target.masks and panel.left != str(panel.lanes), NOTHING
        tile = Tile(self.cut.height, panel.vectors, panel.lanes, self.dtype, masked, announces=self.cut.packs[0])
        full = panel.vectors * panel.lanes == self.cut.width
        if self.cut.packs[1] and panel.lanes > 1 and (full or self.target.masks or not self.cut.copies):
            packed = Matrix(self._scratch(0), str(self.cut.width * self.size), str(self.size), "0")
            if self.cut.copies:
                tile = replace(tile, copies=self.cut.width // self.lanes, masks=self.target.masks)
                packed, following = self._switch(packed, block, panel, *whole)
            else:
                self._turn_columns(second, packed, panel, block.depth)
            second = packed
        self._tiles(tile, count, block.depth, (block.first, second, self._sums(block, result), result), panel.left, following)

    def _switch(
        self, packed: Matrix, block: Block, panel: Panel, columns: tuple[str, str], second: Matrix
    ) -> tuple[Matrix, Following]:
        """Return where this panel is packed, and what is packed meanwhile: the next one of this block or the next."""
        out = self.out
        here, there = self.buffers
        current, other = out.get(f"load ptr, ptr {here}"), out.get(f"load ptr, ptr {there}")
        out.do(f"store ptr {other}, ptr {here}")
        out.do(f"store ptr {current}, ptr {there}")
        start, k = out.add(panel.start, str(self.cut.width)), out.add(block.k, block.depth)
        if not self.target.masks:
            columns = columns[0], self._whole(*columns, self.cut.width)
        ends = out.get(f"icmp sge i64 {start}, {columns[1]}")
        k, start = (
            out.get(f"select i1 {ends}, i64 {after}, i64 {here}") for after, here in ((k, block.k), (columns[0], start))
        )
        left = out.subtract(self.kernel.extent(self.cut.depth), k)
        rows, wide = out.most(out.least(left, str(self.cut.block)), "0"), out.subtract(columns[1], start)
        source = self._at(second, k, start)
        return replace(packed, start=current), Following(source.start, source.row, rows, wide, other)

    def _sums(self, block: Block, result: Matrix) -> Matrix:
        """Return what the sums of a block start from: zeros, or those of the blocks before."""
        zeros = Matrix("@zeros", "0", "0", "0")
        if block.k == "0":
            return zeros
        fresh = self.out.get(f"icmp eq i64 {block.k}, 0")
        start = self.out.get(f"select i1 {fresh}, ptr {zeros.start}, ptr {result.start}")
        row, tile = (self.out.get(f"select i1 {fresh}, i64 0, i64 {step}") for step in (result.row, result.tile))
        return Matrix(start, row, "0", tile)

    def _tiles(
        self, tile: Tile, count: str, depth: str, matrices: Sequence[Matrix], left: str, following: Following
    ) -> None:
        """Call a micro-kernel for so many rows of A, B, the sums to start from, and C."""
        first, second, start, result = matrices
        factors = (f"ptr {first.start}", first.tile, first.row, first.column, f"ptr {second.start}", second.row)
        sums = (f"ptr {start.start}", start.row, f"ptr {result.start}", result.row)
        others = (f"ptr {following.start}", following.row, following.rows, following.columns, f"ptr {following.to}")
        self._call(tile.name, *define_tile(tile), (count, depth, *factors, *sums, left, *others))

    def _call(self, name: str, text: str, declares: frozenset[str], *arguments: tuple[str, ...]) -> None:
        self.out.helpers[name] = text
        self.out.declares |= declares
        typed = (item if item.startswith("ptr ") else f"i64 {item}" for group in arguments for item in group)
        self.out.do(f"call void @{name}({', '.join(typed)})")

    # -- packing -----------------------------------------------------------------------------------------------

    def _scratch(self, elements: int) -> str:
        """Return the address of this worker's memory, from an element on."""
        assert self.product.scratch is not None
        own = self.out.multiply("%worker", str(self.cut.scratch * self.size))
        return self.out.after(self.kernel.pointer(self.product.scratch), self.out.add(own, str(elements * self.size)))

    def _turn_columns(self, matrix: Matrix, packed: Matrix, panel: Panel, depth: str) -> None:
        """Pack a panel whose columns do not lie next to each other."""
        for v in range(panel.vectors):
            left = panel.left if v == panel.vectors - 1 else str(self.lanes)
            place = str(v * self.lanes)
            self._turn(self._at(matrix, "0", place), self._at(packed, "0", place), depth, left, self.lanes)

    def _pack_rows(self, matrix: Matrix, count: str, depth: str) -> Matrix:
        """Copy the first factor, tile after tile, each with its columns one after another.

        A few columns of every tile at a time: neighbouring tiles share their lines in the cache.
        """
        out, height, item = self.out, self.cut.height, str(self.size)
        target, line = self._scratch(self.cut.panel), str(height * self.size)
        tile = out.add(out.multiply(depth, line), str(self.cut.span * self.size))
        tiles = out.divide(out.add(count, str(height - 1)), str(height))

        def columns(k: str) -> None:
            some = out.least(out.subtract(depth, k), str(_LINES))

            def one(values: list[str]) -> list[str]:
                left, start, to = values
                source, packed = Matrix(start, matrix.column, matrix.row, "0"), Matrix(to, line, item, "0")
                self._pack("copy", source, packed, some, out.least(left, str(height)), (1, self.cut.span))
                return [out.subtract(left, str(height)), out.after(start, matrix.tile), out.after(to, tile)]

            start, to = self._at(matrix, "0", k).start, out.after(target, out.multiply(k, line))
            out.fold(tiles, [("i64", count), ("ptr", start), ("ptr", to)], one)

        out.loop("0", depth, _LINES, columns)
        return Matrix(target, item, line, tile)

    def _turn(self, matrix: Matrix, packed: Matrix, depth: str, left: str, lanes: int) -> None:
        """Pack one vector of columns that do not lie next to each other."""
        shape = (1, lanes)
        if matrix.row != str(self.size) or left != str(lanes):
            self._pack("gather", matrix, packed, depth, left, shape)
            return
        self._pack("turn", matrix, packed, depth, left, shape)
        rest = self.out.remainder(depth, square(self.dtype))
        done = self.out.subtract(depth, rest)
        if rest != "0":
            self._pack("gather", self._at(matrix, done, "0"), self._at(packed, done, "0"), rest, left, shape)

    def _pack(self, how: str, matrix: Matrix, packed: Matrix, depth: str, left: str, shape: tuple[int, int]) -> None:
        name, text, declares = define_packing(how, *shape, self.dtype, self.target.masks)
        arguments = (depth, f"ptr {matrix.start}", matrix.row, matrix.column, f"ptr {packed.start}", packed.row, left)
        self._call(name, text, declares, arguments)
