"""The arena: one block of memory for every intermediate value, planned by when each is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clearprop.backends.native.extents import Extent
from clearprop.backends.native.kernels import WHOLE, Parts

ALIGNMENT = 64


@dataclass(frozen=True)
class Interval:
    """A value's size in bytes, the first and the last kernel that touches it, and how many there are of it.

    There is one for each part of a kernel, or one for each thread of a team.
    """

    size: Extent
    first: int
    last: int
    parts: Parts = WHOLE
    each_worker: bool = False

    def at(self, n: int, threads: int) -> int:
        """Return how many bytes it takes for batches of n."""
        return self.size.at(n) * self.parts.at(n) * (threads if self.each_worker else 1)


def plan(intervals: Sequence[Interval], n: int, threads: int = 1) -> tuple[list[int], int]:
    """Return where each value starts, and how large the arena is, for batches of n and a number of threads.

    Largest first, each at the lowest place that nothing alive at the same time holds.
    """
    sizes = [-(-item.at(n, threads) // ALIGNMENT) * ALIGNMENT for item in intervals]
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
