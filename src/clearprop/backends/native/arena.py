"""Blocks of memory, and the arena: one block for every intermediate value, planned by when each is needed."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from clearprop.backends.native.extents import Extent
from clearprop.backends.native.kernels import WHOLE, Parts
from clearprop.backends.protocol import Array
from clearprop.ir import Type, resolve_shape

ALIGNMENT = 64

_APART = 5 * ALIGNMENT
"""Bytes between two arrays of a block: those of whole pages would lie in the same sets of a cache."""


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


def aligned(size: int) -> Array:
    """Return a block of so many bytes, all zero, at an aligned address."""
    block = np.zeros(size + ALIGNMENT, np.uint8)
    first = -address(block) % ALIGNMENT
    return block[first : first + size]


def lay_out(types: Sequence[Type], n: int) -> tuple[Array, list[Array]]:
    """Return one block, and in it an array for each type, aligned, for batches of n."""
    shapes = [resolve_shape(type_.shape, n) for type_ in types]
    sizes = [math.prod(shape) * np.dtype(type_.dtype).itemsize for shape, type_ in zip(shapes, types, strict=True)]
    starts = [0, *accumulate(-(-size // ALIGNMENT) * ALIGNMENT + _APART for size in sizes)]
    block = aligned(starts[-1])
    pieces = zip(starts, sizes, shapes, types, strict=False)
    return block, [block[at : at + size].view(type_.dtype).reshape(shape) for at, size, shape, type_ in pieces]


def address(array: Array) -> int:
    """Return where the elements of a contiguous array lie."""
    if array.size and array.flags.writeable:  # a third of the time of the other way
        return ctypes.addressof(ctypes.c_char.from_buffer(array.data))
    return int(array.ctypes.data)
