"""Products of few columns, as those of a network with one or two outputs: a vector holds an element of several rows.

A tile of one vector of columns would use two of its sixteen lanes. Here every vector takes the element k of several
rows of A, times B[k,j] for each column j; the columns of C are woven into its rows in the end. Where k runs along the
lines of A, small squares of A are transposed in registers. Every element adds its terms in the order of k, one fused
multiply-add each, as the tiles do: the bits are the same. The CPU can load and store a part of a vector.
"""

from __future__ import annotations

from collections.abc import Sequence

from clearprop.backends.native.arithmetic import Arithmetic
from clearprop.backends.native.emitter import BYTES, SCALARS, Register, constant, vector
from clearprop.backends.native.extents import Extent
from clearprop.backends.native.loops import grouped, tail_mask
from clearprop.backends.native.packing import square, turned
from clearprop.backends.native.regions import Kernel, Lanes
from clearprop.backends.native.targets import Target
from clearprop.backends.native.tiles import Matrix, add_terms

Place = tuple[str, Lanes]
"""The first row of a vector, and its lanes."""


class SlenderWriter:
    """Writes some terms of some rows of C into a kernel."""

    def __init__(self, kernel: Kernel, target: Target, dtype: str, columns: int) -> None:
        self.kernel, self.out, self.target = kernel, kernel.out, target
        self.dtype, self.columns = dtype, columns
        self.size, self.lanes = BYTES[dtype], target.lanes(BYTES[dtype])
        self.arithmetic = Arithmetic(self.out)

    def write(
        self, rows: Extent, count: str, depth: str, factors: tuple[Matrix, Matrix], sums: Matrix, result: Matrix
    ) -> None:
        """Add so many terms to so many rows.

        Args:
            rows: their number where it is known, else any that is not.
            count: their number.
            depth: how many terms.
            factors: A and B.
            sums: what the sums start from; its row is zero bytes where that are zeros.
            result: C.
        """
        self.first, self.second = factors
        self.count, self.depth, self.sums, self.result = count, depth, sums, result
        if self.first.row == str(self.size):
            grouped(self.out, self.target, rows, count, self.lanes, self._rows)
        else:
            self.out.loop("0", count, self.lanes, lambda i: self._rows([(i, self._some(i))]))

    def _some(self, first: str) -> Lanes:
        """Return a vector of rows from one on: all that are left, if they are fewer than the lanes."""
        return Lanes(self.lanes, tail_mask(self.out, first, self.count, self.lanes))

    def _rows(self, group: Sequence[Place]) -> None:
        """Compute some vectors of rows next to each other."""
        start = [self._unwoven(*place) for place in group]
        sums = [one[j] for j in range(self.columns) for one in start]
        place = self.out.after(self.first.start, self.out.multiply(group[0][0], self.first.row))
        pointers = [("ptr", place), ("ptr", self.second.start)]
        if self.first.row == str(self.size):
            found = self._along(group, pointers, sums)
        else:
            found = self._across(group[0], pointers, sums)
        for v, (first, lanes) in enumerate(group):
            items = [Register(text, self.dtype, lanes.count) for text in found[v :: len(group)]]
            self._weave(items, first, lanes)

    def _along(self, group: Sequence[Place], pointers: list[tuple[str, str]], sums: list[Register]) -> list[str]:
        """Walk over k where the rows lie next to each other."""
        step = group[0][1].count * self.size

        def one(values: list[str]) -> list[str]:
            a, b, *texts = values
            cells = [self.out.after(a, str(v * step)) for v in range(len(group))]
            rights = [self.kernel.take(self.dtype, cell, lanes) for cell, (_, lanes) in zip(cells, group, strict=True)]
            return [*self._next(a, b, 1), *add_terms(self.arithmetic, b, self._offsets(), rights, texts)]

        return self.out.fold(self.depth, [*pointers, *_typed(sums)], one)[2:]

    def _across(self, place: Place, pointers: list[tuple[str, str]], sums: list[Register]) -> list[str]:
        """Walk over k where its terms lie next to each other: some at once, then those that are left over."""
        side, last = square(self.dtype), self.out.subtract(self.out.subtract(self.count, place[0]), "1")
        numbers = [self.out.least(str(r), last) for r in range(self.lanes)]
        lines = [self.out.multiply(number, self.first.row) for number in numbers]

        def some(values: list[str]) -> list[str]:
            a, b, *texts = values
            for t, item in enumerate(turned(self.out, [self.out.after(a, line) for line in lines], self.dtype)):
                term = self.out.after(b, self.out.multiply(str(t), self.second.row))
                texts = add_terms(self.arithmetic, term, self._offsets(), [item], texts)
            return [*self._next(a, b, side), *texts]

        def one(values: list[str]) -> list[str]:
            a, b, *texts = values
            item = self._column([self.out.after(a, line) for line in lines])
            return [*self._next(a, b, 1), *add_terms(self.arithmetic, b, self._offsets(), [item], texts)]

        values = [*pointers, *_typed(sums)]
        found = self.out.fold(self.out.divide(self.depth, str(side)), values, some)
        rest = self.out.remainder(self.depth, side)
        if rest != "0":
            types = [type_ for type_, _ in values]
            found = self.out.fold(rest, list(zip(types, found, strict=True)), one)
        return found[2:]

    def _column(self, places: Sequence[str]) -> Register:
        """Return the elements at these places."""
        type_, text = vector(SCALARS[self.dtype], self.lanes), "poison"
        for lane, place in enumerate(places):
            item = self.out.get(f"load {SCALARS[self.dtype]}, ptr {place}")
            text = self.out.get(f"insertelement {type_} {text}, {SCALARS[self.dtype]} {item}, i64 {lane}")
        return Register(text, self.dtype, self.lanes)

    def _next(self, a: str, b: str, terms: int) -> list[str]:
        return [
            self.out.after(a, self.out.multiply(self.first.column, str(terms))),
            self.out.after(b, self.out.multiply(self.second.row, str(terms))),
        ]

    def _offsets(self) -> list[str]:
        return [self.out.multiply(self.second.column, str(j)) for j in range(self.columns)]

    # -- rows of C ---------------------------------------------------------------------------------------------

    def _unwoven(self, first: str, lanes: Lanes) -> list[Register]:
        """Return what the sums of a vector of rows start from, one register a column."""
        if self.sums.row == "0":
            return [constant(0.0, self.dtype, lanes.count)] * self.columns
        start = self.out.after(self.sums.start, self.out.multiply(first, self.sums.row))
        items = [self.kernel.take(self.dtype, cell, some) for cell, some in self._cells(start, first, lanes)]
        places = [
            [divmod(lane * self.columns + j, lanes.count) for lane in range(lanes.count)] for j in range(self.columns)
        ]
        return [self._picked(items, each) for each in places]

    def _weave(self, items: Sequence[Register], first: str, lanes: Lanes) -> None:
        """Store a vector of rows, given as one register a column."""
        start = self.out.after(self.result.start, self.out.multiply(first, self.result.row))
        for i, (cell, some) in enumerate(self._cells(start, first, lanes)):
            places = [divmod(i * lanes.count + lane, self.columns)[::-1] for lane in range(lanes.count)]
            self.kernel.put(self._picked(items, places), cell, some)

    def _cells(self, start: str, first: str, lanes: Lanes) -> list[tuple[str, Lanes]]:
        """Return the vectors that a vector of rows takes in memory: where they are, and their lanes."""
        cells = []
        left = self.out.multiply(self.out.subtract(self.count, first), str(self.columns))
        for i in range(self.columns):
            mask = tail_mask(self.out, str(i * lanes.count), left, lanes.count) if lanes.mask else ""
            cells.append((self.out.after(start, str(i * lanes.count * self.size)), Lanes(lanes.count, mask)))
        return cells

    def _picked(self, items: Sequence[Register], places: Sequence[tuple[int, int]]) -> Register:
        """Return one lane of one of the registers for each lane."""
        result, count = items[0], items[0].lanes
        wanted = [lane for _, lane in places]
        for number, item in enumerate(items[1:], 1):
            order = [count + lane if place == number else at for (place, lane), at in zip(places, wanted, strict=True)]
            result = self.out.shuffle(result, item, order)
            wanted = list(range(count))
        return result


def _typed(registers: Sequence[Register]) -> list[tuple[str, str]]:
    return [(item.type, item.text) for item in registers]
