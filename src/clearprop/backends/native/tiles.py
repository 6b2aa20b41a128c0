"""Micro-kernels: columns of register tiles, C[i,j] (+)= sum_k A[i,k] B[k,j], each one function shared by all products.

A tile of C (rows by one to three vectors of columns) stays in registers while k runs. Every element adds its terms in
the order of k, one fused multiply-add each, whatever the tile: the bits of a product do not depend on how it is cut.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from clearprop.backends.native.arithmetic import Arithmetic
from clearprop.backends.native.emitter import BYTES, SCALARS, Emitter, Register
from clearprop.backends.native.loops import tail_mask
from clearprop.backends.native.regions import READ, WRITTEN, Kernel, Lanes


@dataclass(frozen=True)
class Matrix:
    """A matrix in memory: its first element, and the strides of its rows, columns and tiles of rows in bytes."""

    start: str
    row: str
    column: str
    tile: str


@dataclass(frozen=True)
class Tile:
    """A register tile and what its micro-kernel does besides.

    Attributes:
        rows, vectors, lanes, dtype: the shape: rows, and vectors of columns and their lanes.
        masked: whether the last vector has columns beyond C; a masked load takes the place of a multiply-add.
        copies: how many vectors B's next panel has that is packed meanwhile, line by line; zero for none.
        masks: whether that may be a part of a vector.
        packed: whether A's rows were packed tile by tile. All tiles have one height then, and the lines of C of the
            next one, which come from memory or another core, are asked for.
    """

    rows: int
    vectors: int
    lanes: int
    dtype: str
    masked: bool = False
    copies: int = 0
    masks: bool = True
    packed: bool = False

    @property
    def name(self) -> str:
        """The name of its micro-kernel."""
        copies = f"c{self.copies}" + "m" * self.masks if self.copies else ""
        kind = "m" * self.masked + copies + "a" * self.packed
        return f"tile{self.rows}x{self.vectors}x{self.lanes}{kind}.{self.dtype}"


PARAMETERS = (
    "i64 %rows, i64 %depth, ptr %a, i64 %a_tile, i64 %a_row, i64 %a_column, ptr %b, i64 %b_row, "
    "ptr %start, i64 %start_row, ptr %c, i64 %c_row, i64 %left, "
    "ptr %next, i64 %next_row, i64 %next_rows, i64 %next_columns, ptr %to"
)
"""Of a micro-kernel: how many rows of C (any number) and how many k; the first elements and the strides in bytes of
A (from tile to tile, from row to row, from k to k), of B (from k to k), of what the sums start from and of C (from row
to row); how many columns the last vector has; and of B's next panel the first element, the stride in bytes from row
to row, how many rows and columns, and where its lines are packed."""

_LINE = 64
"""Bytes: what a cache brings at once."""

_LOWER = 4
"""How many rows a lower tile has, where that divides more batches than the height of the others."""

_AHEAD = 4
"""How many rows before a row is copied it is asked for."""


@functools.cache
def define_tile(tile: Tile) -> tuple[str, frozenset[str]]:
    """Return the text of a micro-kernel and the intrinsics that it calls."""
    writer = _TileWriter(tile)
    return f"define internal void @{tile.name}{writer.text()}", frozenset(writer.out.declares)


def count_tiles(out: Emitter, rows: str, height: int, lower: int) -> tuple[str, str]:
    """Return how many tiles of two heights make so many rows, or a few more; lower ones only where they save rows."""
    tiles = out.divide(out.add(rows, str(height - 1)), str(height))
    if lower == height:
        return tiles, "0"
    missing = out.subtract(out.multiply(tiles, str(height)), rows)
    less = out.least(out.divide(missing, str(height - lower)), tiles)
    return out.subtract(tiles, less), less


def add_terms(a: Arithmetic, start: str, rows: Sequence[str], rights: Sequence[Register], sums: list[str]) -> list[str]:
    """Add to the sums of a tile, row by row, the element at each of these bytes from `start` times each vector."""
    out, like = a.out, rights[0]
    hidden = out.call("ptr", "llvm.launder.invariant.group.p0", [f"ptr {start}"])
    result = []
    for r, offset in enumerate(rows):
        item = out.value(f"load {SCALARS[like.dtype]}, ptr {out.after(hidden, offset)}", like.dtype, 1)
        left = out.splat(item, like.lanes)
        for right, text in zip(rights, sums[r * len(rights) : (r + 1) * len(rights)], strict=True):
            result.append(a.fma(left, right, Register(text, like.dtype, like.lanes)).text)
    return result


class _TileWriter:
    def __init__(self, tile: Tile) -> None:
        self.tile, self.kernel = tile, Kernel({})
        self.out = self.kernel.out
        self.arithmetic = Arithmetic(self.out)
        whole = Lanes(tile.lanes)
        mask = tail_mask(self.out, "0", "%left", tile.lanes) if tile.masked else ""
        self.others = [self._mask(v) for v in range(tile.copies)]
        self.lanes = [*[whole] * (tile.vectors - 1), Lanes(tile.lanes, mask)]

    def _mask(self, vector: int) -> Lanes:
        """Return the lanes of a vector of B's next panel."""
        left = self.out.subtract("%next_columns", str(vector * self.tile.lanes))
        return Lanes(self.tile.lanes, tail_mask(self.out, "0", left, self.tile.lanes) if self.tile.masks else "")

    def text(self) -> str:
        out, tile = self.out, self.tile
        lower = tile.rows if tile.packed or tile.rows % _LOWER == 0 else min(tile.rows, _LOWER)
        tiles, less = count_tiles(out, "%rows", tile.rows, lower)
        count = out.add(tiles, less)

        def some(rows: int, many: str, first: Sequence[tuple[str, str]]) -> list[str]:
            down = "%a_tile" if rows == tile.rows else out.multiply("%a_row", str(rows))
            steps = [down, out.multiply("%start_row", str(rows)), out.multiply("%c_row", str(rows))]

            def one(values: list[str]) -> list[str]:
                left, copied, *pointers = values
                copied = self._tile(rows, left, pointers, count, copied)
                return [out.subtract(left, str(rows)), copied, *map(out.after, pointers, steps)]

            return out.fold(many, first, one)

        first = [("i64", "%rows"), ("i64", "0"), ("ptr", "%a"), ("ptr", "%start"), ("ptr", "%c")]
        values = some(tile.rows, tiles, first)
        if less != "0":
            some(lower, less, [(type_, value) for (type_, _), value in zip(first, values, strict=True)])
        out.do("ret void")
        return out.function(f"({PARAMETERS}) noinline nounwind")

    def _tile(self, rows: int, left: str, pointers: Sequence[str], tiles: str, copied: str) -> str:
        """Compute one tile. Where fewer rows are left, the last one is computed again in the place of each missing.

        Return how many rows of B's next panel have been copied.
        """
        out, (a, start, c) = self.out, pointers
        last = out.subtract(left, "1")
        places = [str(r) if r == 0 else out.least(str(r), last) for r in range(rows)]
        lines = [out.after(c, out.multiply(place, "%c_row")) for place in places]
        if self.tile.packed:
            self._announce(lines)
        sums = [
            self.kernel.take(self.tile.dtype, cell, lanes)
            for place in places
            for cell, lanes in self._cells(out.after(start, out.multiply(place, "%start_row")))
        ]
        offsets = [out.multiply(place, "%a_row") for place in places]
        first = [("ptr", a), ("ptr", "%b"), *((item.type, item.text) for item in sums)]
        if self.tile.copies:
            copied, texts = self._pieces(first, offsets, tiles, copied)
        else:
            texts = out.fold("%depth", first, lambda values: self._step(values, offsets))
        for text, (cell, lanes) in zip(texts[2:], (cell for line in lines for cell in self._cells(line)), strict=True):
            self.kernel.put(self._register(text), cell, lanes)
        return copied

    def _pieces(
        self, first: list[tuple[str, str]], offsets: list[str], tiles: str, copied: str
    ) -> tuple[str, list[str]]:
        """Walk over k in pieces, before each of which one row is copied: evenly, and all of them by the last tile."""
        out = self.out

        def piece(values: list[str]) -> list[str]:
            left, row, *rest = values
            self._copy(row)
            some = out.least(left, tiles)
            typed = [(type_, text) for (type_, _), text in zip(first, rest, strict=True)]
            texts = out.fold(some, typed, lambda values: self._step(values, offsets))
            return [out.subtract(left, some), out.add(row, "1"), *texts]

        pieces = out.divide(out.subtract(out.add("%depth", tiles), "1"), tiles)
        _, copied, *texts = out.fold(pieces, [("i64", "%depth"), ("i64", copied), *first], piece)
        return copied, texts

    def _copy(self, row: str) -> None:
        """Copy a row of B's next panel, if it has so many, and ask for one that is copied later."""
        out, size = self.out, self.tile.lanes * BYTES[self.tile.dtype]
        line = self.tile.copies * size
        source = out.after("%next", out.multiply(row, "%next_row"))
        target = out.after("%to", out.multiply(row, str(line)))

        ahead = out.after(source, out.multiply("%next_row", str(_AHEAD)))
        for offset in range(0, line, _LINE):
            self._prefetch(out.after(ahead, str(offset)), READ)

        def copy() -> None:
            for v, lanes in enumerate(self.others):
                item = self.kernel.take(self.tile.dtype, out.after(source, str(v * size)), lanes)
                self.kernel.put(item, out.after(target, str(v * size)), Lanes(self.tile.lanes))

        out.when(out.get(f"icmp slt i64 {row}, %next_rows"), copy)

    def _announce(self, lines: list[str]) -> None:
        """Ask for the lines of C that the tile below writes."""
        for line in lines:
            below = self.out.after(line, self.out.multiply("%c_row", str(self.tile.rows)))
            for offset in range(0, self.tile.vectors * self.tile.lanes * BYTES[self.tile.dtype], _LINE):
                self._prefetch(self.out.after(below, str(offset)), WRITTEN)

    def _prefetch(self, line: str, how: tuple[str, ...]) -> None:
        self.out.call("void", "llvm.prefetch.p0", [f"ptr {line}", *how])

    def _step(self, values: list[str], offsets: list[str]) -> list[str]:
        """Add the terms of one k to the sums."""
        a, b, *texts = values
        rights = [self.kernel.take(self.tile.dtype, cell, lanes) for cell, lanes in self._cells(b)]
        sums = add_terms(self.arithmetic, a, offsets, rights, texts)
        return [self.out.after(a, "%a_column"), self.out.after(b, "%b_row"), *sums]

    def _cells(self, line: str) -> list[tuple[str, Lanes]]:
        """Return where each vector of a row is, and its lanes."""
        step = self.tile.lanes * BYTES[self.tile.dtype]
        return [(self.out.after(line, str(v * step)), lanes) for v, lanes in enumerate(self.lanes)]

    def _register(self, text: str) -> Register:
        return Register(text, self.tile.dtype, self.tile.lanes)
