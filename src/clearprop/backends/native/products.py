"""Matrix products, C = A B: cut into parts by their shapes alone, each part into panels and tiles.

A part computes some rows and columns of C for all k and shares nothing with the others, so that parts may run in any
order and on any thread. In a part k runs in blocks; within a block, the columns go in panels as wide as a register
tile, and the micro-kernels of `tiles` walk down a panel. A factor whose strides would waste the caches is packed: a
panel of the second one line by line while the panel before is used, which hides where it comes from.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from clearprop.backends.native.cuts import Cut
from clearprop.backends.native.emitter import BYTES, known
from clearprop.backends.native.extents import Extent, contiguous
from clearprop.backends.native.kernels import Access, Product
from clearprop.backends.native.loops import nested
from clearprop.backends.native.packing import define_packing, square
from clearprop.backends.native.ranges import count_of, piece_of, range_of
from clearprop.backends.native.regions import Kernel
from clearprop.backends.native.slender import SlenderWriter
from clearprop.backends.native.targets import Target
from clearprop.backends.native.tiles import Matrix, Tile, define_tile

_ZEROS = "@zeros = private constant [512 x i8] zeroinitializer, align 64\n"
"""Where the sums of a panel start: as many zeros as the widest tile is wide."""


_LINES = 8
"""How many columns of the first factor are packed tile after tile: as many as one set of the first cache holds."""


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
class Part:
    """A part of C: how many rows, its columns, the second factor, and C from the first row on."""

    count: str
    columns: tuple[str, str]
    second: Matrix
    result: Matrix


@dataclass(frozen=True)
class Following:
    """The panel of the second factor that is packed next: its rows and columns, and where they are packed."""

    start: str
    row: str
    rows: str
    columns: str
    to: str


_NOTHING = Following("null", "0", "0", "0", "null")


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
        first, place = "0", "%part"
        stops = [self.kernel.extent(size) for size in self.cut.lead]
        if not self.cut.stack.alone:
            count = count_of(self.kernel, self.cut.rows, self.cut.columns)
            one = self.out.divide("%part", count)
            place = self.out.subtract("%part", self.out.multiply(one, count))
            first, stops[0] = range_of(self.kernel, one, self.cut.stack)
        piece = piece_of(self.kernel, self.cut, place)
        nested(self.out, stops, lambda lead: self._part(lead, piece.rows, piece.columns), first)

    # -- parts -------------------------------------------------------------------------------------------------

    def _part(self, lead: Sequence[str], rows: tuple[str, str], columns: tuple[str, str]) -> None:
        """Compute a part of one matrix. What works on it while it is in the cache can follow its blocks."""
        first, second = (self._matrix(place, lead) for place in self.cut.factors)
        result = self._at(self._matrix(self.result, lead), rows[0], "0")
        count = self.out.subtract(rows[1], rows[0])
        part = Part(count, columns, second, result)

        def block(k: str, depth: str) -> None:
            a, b = self._at(first, rows[0], k), self._at(second, k, "0")
            terms = Block(k, depth, self._pack_rows(a, count, depth) if self.cut.packs[0] else a, b)
            if self.cut.slender:
                self._slender(terms, part)
                return
            self._in_panels(columns, lambda panel: self._panel(terms, panel, part))

        if self.cut.copies:
            self.buffers = self._first_panel(part)
        self._in_blocks(block)

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
        size, rest = self.cut.across, self.cut.rest
        end = self._whole(start, stop, width) if rest is None else self.out.least(stop, str(size.coefficient - rest))
        if rest is None or size.coefficient > rest:
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
        """Write one panel of as many vectors as are left, or two even ones, the last vector in part."""
        left, lanes = self.out.subtract(stop, start), self.lanes
        if rest is not None:
            self._when(left, "0", lambda: self._known_rest(start, rest, body))
            return

        def some(vectors: int) -> None:
            body(Panel(start, vectors, lanes, self.out.subtract(left, str((vectors - 1) * lanes))))

        wanted = self.out.divide(self.out.add(left, str(lanes - 1)), str(lanes))
        for vectors in range(1, self.cut.width // lanes + 1):
            self.out.when(self.out.get(f"icmp eq i64 {wanted}, {vectors}"), functools.partial(some, vectors))

    def _known_rest(self, start: str, rest: int, body: Callable[[Panel], None]) -> None:
        lanes, vectors = self.lanes, -(-rest // self.lanes)
        if self.cut.extra:
            first = -(-vectors // 2)
            body(Panel(start, first, lanes, str(lanes)))
            start, vectors, rest = self.out.add(start, str(first * lanes)), vectors - first, rest - first * lanes
        body(Panel(start, vectors, lanes, str(rest - (vectors - 1) * lanes)))

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

    def _panel(self, block: Block, panel: Panel, part: Part) -> None:
        """Add the terms of a block to a panel of the result, tile below tile."""
        second, result = self._at(block.second, "0", panel.start), self._at(part.result, "0", panel.start)
        masked, following = self.target.masks and panel.left != str(panel.lanes), _NOTHING
        tile = Tile(self.cut.height, panel.vectors, panel.lanes, self.dtype, masked, packed=self.cut.packs[0])
        whole = panel.vectors * panel.lanes == self.cut.width
        if self.cut.copies and (whole or self.target.masks):
            tile = replace(tile, copies=self.cut.width // self.lanes, masks=self._partial)
            second, following = self._switch(second, block, panel, part)
        elif self.cut.packs[1] and not self.cut.copies and panel.lanes > 1:
            second = self._turn_columns(second, panel, block.depth)
        matrices = (block.first, second, self._sums(block, result), result)
        self._tiles(tile, part.count, block.depth, matrices, panel.left, following)

    def _slender(self, block: Block, part: Part) -> None:
        """Add the terms of a block to all columns of the result."""
        rows = self.cut.rows.size if self.cut.rows.alone else Extent(1, 1)
        writer = SlenderWriter(self.kernel, self.target, self.dtype, self.cut.across.coefficient)
        sums = self._sums(block, part.result)
        writer.write(rows, part.count, block.depth, (block.first, block.second), sums, part.result)

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

    def _packed(self) -> Matrix:
        """Return the place of a packed panel of the second factor."""
        return Matrix(self._scratch(0), str(self.cut.width * self.size), str(self.size), "0")

    @property
    def _partial(self) -> bool:
        """Whether a panel may be packed that is narrower than the others."""
        return self.target.masks and self.cut.rest != 0

    def _first_panel(self, part: Part) -> tuple[str, str]:
        """Pack the first panel of a part, and return where the places of this panel and of the next are kept.

        Each of the others is packed while the one before is used. Where there is one tile, nothing is packed.
        """
        out, width, lanes = self.out, self.cut.width, self.lanes
        here, there = (out.slot("ptr", self._scratch(place)) for place in (0, self.cut.block * width))
        depth = out.least(self.kernel.extent(self.cut.depth), str(self.cut.block))
        wide = out.subtract(part.columns[1], part.columns[0])
        first, packed = self._at(part.second, "0", part.columns[0]), self._packed()

        def full() -> None:
            self._pack("copy", first, packed, depth, str(lanes), (width // lanes, lanes))

        def some() -> None:
            for v in range(width // lanes):
                source, target = (self._at(matrix, "0", str(v * lanes)) for matrix in (first, packed))
                self._pack("copy", source, target, depth, out.subtract(wide, str(v * lanes)), (1, lanes))

        def either() -> None:
            self._when(wide, str(width - 1), full)
            if self._partial:
                self._when(str(width), wide, some)

        self._when(part.count, str(self.cut.height), either)
        return here, there

    def _switch(self, second: Matrix, block: Block, panel: Panel, part: Part) -> tuple[Matrix, Following]:
        """Return this panel as it was packed, and what is packed meanwhile: the next of this block, or of the next."""
        out, (here, there), columns = self.out, self.buffers, part.columns
        current, other = out.get(f"load ptr, ptr {here}"), out.get(f"load ptr, ptr {there}")
        out.do(f"store ptr {other}, ptr {here}")
        out.do(f"store ptr {current}, ptr {there}")
        start, k = out.add(panel.start, str(panel.vectors * self.lanes)), out.add(block.k, block.depth)
        stop = columns[1] if self.target.masks else self._whole(*columns, self.cut.width)
        ends = out.get(f"icmp sge i64 {start}, {stop}")
        k, start = self._choose(ends, (k, columns[0]), (block.k, start))
        left = out.subtract(self.kernel.extent(self.cut.depth), k)
        several = out.get(f"icmp sgt i64 {part.count}, {self.cut.height}")
        rows, wide = out.most(out.least(left, str(self.cut.block)), "0"), out.subtract(stop, start)
        (rows,) = self._choose(several, (rows,), ("0",))
        # after the last panel, the first one of the next part is asked for
        k, start = self._choose(out.get(f"icmp sle i64 {left}, 0"), ("0", columns[1]), (k, start))
        source, packed = self._at(part.second, k, start), self._packed()
        (row,) = self._choose(several, (packed.row,), (second.row,))
        current = out.get(f"select i1 {several}, ptr {current}, ptr {second.start}")
        return replace(packed, start=current, row=row), Following(source.start, source.row, rows, wide, other)

    def _choose(self, condition: str, yes: Sequence[str], no: Sequence[str]) -> list[str]:
        """Return some i64 or others."""
        return [self.out.get(f"select i1 {condition}, i64 {a}, i64 {b}") for a, b in zip(yes, no, strict=True)]

    def _turn_columns(self, matrix: Matrix, panel: Panel, depth: str) -> Matrix:
        """Pack a panel whose columns do not lie next to each other."""
        packed = self._packed()
        for v in range(panel.vectors):
            left = panel.left if v == panel.vectors - 1 else str(self.lanes)
            place = str(v * self.lanes)
            self._turn(self._at(matrix, "0", place), self._at(packed, "0", place), depth, left, self.lanes)
        return packed

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
