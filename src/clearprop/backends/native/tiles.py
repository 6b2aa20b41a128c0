"""Micro-kernels: columns of register tiles, C[i,j] (+)= sum_k A[i,k] B[k,j], each one function shared by all products.

A tile of C (rows by one to three vectors of columns) stays in registers while k runs. Every element adds its terms in
the order of k, one fused multiply-add each, whatever the tile: the bits of a product do not depend on how it is cut.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from clearprop.backends.native.arithmetic import Arithmetic
from clearprop.backends.native.emitter import BYTES, SCALARS, Register
from clearprop.backends.native.loops import tail_mask
from clearprop.backends.native.regions import Kernel, Lanes


@dataclass(frozen=True)
class Tile:
    """The shape of a register tile: rows, vectors of columns and their lanes, and whether the last one is masked."""

    rows: int
    vectors: int
    lanes: int
    dtype: str
    masked: bool

    @property
    def name(self) -> str:
        """The name of its micro-kernel."""
        return f"tile{self.rows}x{self.vectors}x{self.lanes}.{self.dtype}"


PARAMETERS = (
    "i64 %rows, i64 %depth, ptr %a, i64 %a_tile, i64 %a_row, i64 %a_column, ptr %b, i64 %b_row, "
    "ptr %start, i64 %start_row, ptr %c, i64 %c_row, i64 %left"
)
"""Of a micro-kernel: how many rows of C (any number) and how many k; the first elements and the strides in bytes of
A (from tile to tile, from row to row, from k to k), of B (from k to k), of what the sums start from and of C (from row
to row); and how many columns the last vector has."""


@functools.cache
def define_tile(tile: Tile) -> tuple[str, frozenset[str]]:
    """Return the text of a micro-kernel and the intrinsics that it calls."""
    writer = _TileWriter(tile)
    return f"define internal void @{tile.name}{writer.text()}", frozenset(writer.out.declares)


class _TileWriter:
    def __init__(self, tile: Tile) -> None:
        self.tile, self.kernel = tile, Kernel({})
        self.out = self.kernel.out
        self.arithmetic = Arithmetic(self.out)
        whole = Lanes(tile.lanes)
        mask = tail_mask(self.out, "0", "%left", tile.lanes) if tile.masked else ""
        self.lanes = [*[whole] * (tile.vectors - 1), Lanes(tile.lanes, mask)]

    def text(self) -> str:
        out, rows = self.out, str(self.tile.rows)
        steps = ["%a_tile", out.multiply("%start_row", rows), out.multiply("%c_row", rows)]

        def one(values: list[str]) -> list[str]:
            left, *pointers = values
            self._tile(left, *pointers)
            return [out.subtract(left, rows), *map(out.after, pointers, steps)]

        count = out.divide(out.add("%rows", str(self.tile.rows - 1)), rows)
        out.fold(count, [("i64", "%rows"), ("ptr", "%a"), ("ptr", "%start"), ("ptr", "%c")], one)
        out.do("ret void")
        return out.function(f"({PARAMETERS}) noinline nounwind")

    def _tile(self, rows: str, a: str, start: str, c: str) -> None:
        """Compute one tile. Where fewer rows are left, the last one is computed again in the place of each missing."""
        out = self.out
        last = out.subtract(rows, "1")
        places = [str(r) if r == 0 else out.least(str(r), last) for r in range(self.tile.rows)]
        sums = [
            self.kernel.take(self.tile.dtype, cell, lanes)
            for place in places
            for cell, lanes in self._cells(out.after(start, out.multiply(place, "%start_row")))
        ]
        offsets = [out.multiply(place, "%a_row") for place in places]
        first = [("ptr", a), ("ptr", "%b"), *((item.type, item.text) for item in sums)]
        _, _, *texts = out.fold("%depth", first, lambda values: self._step(values, offsets))
        lines = [out.after(c, out.multiply(place, "%c_row")) for place in places]
        for text, (cell, lanes) in zip(texts, (cell for line in lines for cell in self._cells(line)), strict=True):
            self.kernel.put(self._register(text), cell, lanes)

    def _step(self, values: list[str], offsets: list[str]) -> list[str]:
        """Add the terms of one k to the sums."""
        a, b, *texts = values
        dtype, vectors = self.tile.dtype, self.tile.vectors
        hidden = self.out.call("ptr", "llvm.launder.invariant.group.p0", [f"ptr {a}"])
        rights = [self.kernel.take(dtype, cell, lanes) for cell, lanes in self._cells(b)]
        sums = []
        for r, offset in enumerate(offsets):
            item = self.out.value(f"load {SCALARS[dtype]}, ptr {self.out.after(hidden, offset)}", dtype, 1)
            left = self.out.splat(item, self.tile.lanes)
            for right, text in zip(rights, texts[r * vectors : (r + 1) * vectors], strict=True):
                sums.append(self.arithmetic.fma(left, right, self._register(text)).text)
        return [self.out.after(a, "%a_column"), self.out.after(b, "%b_row"), *sums]

    def _cells(self, line: str) -> list[tuple[str, Lanes]]:
        """Return where each vector of a row is, and its lanes."""
        step = self.tile.lanes * BYTES[self.tile.dtype]
        return [(self.out.after(line, str(v * step)), lanes) for v, lanes in enumerate(self.lanes)]

    def _register(self, text: str) -> Register:
        return Register(text, self.tile.dtype, self.tile.lanes)
