"""Products of few columns, as those of a network with one or two outputs: a vector holds an element of several rows.

A tile of one vector of columns would use two of its sixteen lanes. Here every vector takes the element k of several
rows of A, times B[k,j] for each column j; the columns of C are woven into its rows in the end. Where k runs along the
lines of A, small squares of A are transposed in registers. Every element adds its terms in the order of k, one fused
multiply-add each, as the tiles do: the bits are the same. The CPU can load and store a part of a vector.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

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

Typed = Sequence[tuple[str, str]]
"""The places in A and B and the sums from which a walk over k starts, with their types."""


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
            grouped(self.out, self.target, rows, count, self.lanes, lambda group: self._rows(group, self._along))
            return

        def one(first: str) -> None:
            left = tail_mask(self.out, first, count, self.lanes)
            self._rows([(first, Lanes(self.lanes, left))], self._across)

        self.out.loop("0", count, self.lanes, one)

    def _rows(self, group: Sequence[Place], add: Callable[[Sequence[Place], Typed], list[str]]) -> None:
        """Compute some vectors of rows next to each other."""
        start = [self._unwoven(*place) for place in group]
        sums = [one[j] for j in range(self.columns) for one in start]
        place = self.out.after(self.first.start, self.out.multiply(group[0][0], self.first.row))
        values = [("ptr", place), ("ptr", self.second.start), *((item.type, item.text) for item in sums)]
        found = add(group, values)[2:]
        for v, (first, lanes) in enumerate(group):
            items = [Register(text, self.dtype, lanes.count) for text in found[v :: len(group)]]
            self._weave(items, first, lanes)

    def _along(self, group: Sequence[Place], first: Typed) -> list[str]:
        """Walk over k where the rows lie next to each other."""
        step = self.lanes * self.size

        def one(values: list[str]) -> list[str]:
            a, b, *texts = values
            cells = [self.out.after(a, str(v * step)) for v in range(len(group))]
            rights = [self.kernel.take(self.dtype, cell, lanes) for cell, (_, lanes) in zip(cells, group, strict=True)]
            return [*self._next(a, b, 1), *add_terms(self.arithmetic, b, self._offsets(), rights, texts)]

        return self.out.fold(self.depth, first, one)

    def _across(self, group: Sequence[Place], first: Typed) -> list[str]:
        """Walk over k where its terms lie next to each other: some at once, then those that are left over."""
        ((start, _),) = group
        side, last = square(self.dtype), self.out.subtract(self.out.subtract(self.count, start), "1")
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

        found = self.out.fold(self.out.divide(self.depth, str(side)), first, some)
        rest = self.out.remainder(self.depth, side)
        if rest != "0":
            found = self.out.fold(rest, [(type_, text) for (type_, _), text in zip(first, found, strict=True)], one)
        return found

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
