"""Which rows and columns of a product belong to a part, as text."""

from __future__ import annotations

from dataclasses import dataclass

from clearprop.backends.native.cuts import Cut
from clearprop.backends.native.kernels import Parts
from clearprop.backends.native.regions import Kernel

Range = tuple[str, str]
"""From the first one to the one after the last."""


@dataclass(frozen=True)
class Piece:
    """Some rows and columns, and how many columns that are where it is known."""

    rows: Range
    columns: Range
    width: int | None


def piece_of(kernel: Kernel, cut: Cut, place: str) -> Piece:
    """Return the rows and the columns of a part; neighbours share their piece of the larger factor."""
    out, down, across = kernel.out, cut.rows, cut.columns
    row, column = place, place
    if not (down.alone or across.alone):
        count = count_of(kernel, across if cut.by_rows else down)
        outer = out.divide(place, count)
        rest = out.subtract(place, out.multiply(outer, count))
        row, column = (outer, rest) if cut.by_rows else (rest, outer)
    even = across.width if across.size.coefficient % max(across.width, 1) == 0 and not cut.extra else None
    width = (cut.across.coefficient if across.alone else even) if across.size.fixed else None
    return Piece(range_of(kernel, row, down), range_of(kernel, column, across, cut.extra), width)


def count_of(kernel: Kernel, *cuts: Parts) -> str:
    """Return how many parts some cuts make together; one at least."""
    count = "1"
    for parts in cuts:
        each = kernel.out.most(parts.count(kernel.out, kernel.extent(parts.size)), "1")
        count = kernel.out.multiply(count, each)
    return count


def range_of(kernel: Kernel, place: str, parts: Parts, extra: int = 0) -> Range:
    """Return the range of one part; the last one has some more beyond its share."""
    out, stop = kernel.out, kernel.extent(parts.size)
    if parts.alone:
        return "0", out.add(stop, str(extra))
    start = out.multiply(place, str(parts.width))
    end = out.add(start, str(parts.width))
    if not extra:
        return start, out.least(end, stop)
    last = out.get(f"icmp sge i64 {end}, {stop}")
    return start, out.get(f"select i1 {last}, i64 {out.add(stop, str(extra))}, i64 {end}")
