"""The arena: one block of memory for every intermediate value, planned by when each is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clearprop.backends.native.extents import Extent

ALIGNMENT = 64


@dataclass(frozen=True)
class Interval:
    """A value's size in bytes, and the first and the last kernel that touches it."""

    size: Extent
    first: int
    last: int


def plan(intervals: Sequence[Interval], n: int) -> tuple[list[int], int]:
    """Return where each value starts, and how large the arena is, for batches of n.

    Largest first, each at the lowest place that nothing alive at the same time holds.
    """
    sizes = [-(-item.size.at(n) // ALIGNMENT) * ALIGNMENT for item in intervals]
    starts = [0] * len(intervals)
    placed: list[int] = []
    for i in sorted(range(len(intervals)), key=lambda i: (-sizes[i], i)):
        start = 0
        for other in sorted(placed, key=starts.__getitem__):
            overlaps = intervals[other].first <= intervals[i].last and intervals[i].first <= intervals[other].last
            if overlaps and start + sizes[i] > starts[other] and starts[other] + sizes[other] > start:
                start = starts[other] + sizes[other]
        starts[i] = start
        placed.append(i)
    return starts, max((start + size for start, size in zip(starts, sizes, strict=True)), default=0)
