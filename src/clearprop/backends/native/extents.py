"""Sizes and strides that may hold the batch: coefficient times a power of n."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass

from clearprop.ir import Batch, Dim, Shape


@dataclass(frozen=True, slots=True)
class Extent:
    """coefficient n^power; a plain number has the power 0."""

    coefficient: int
    power: int = 0

    def __mul__(self, other: Extent) -> Extent:
        coefficient = self.coefficient * other.coefficient
        return Extent(coefficient, self.power + other.power if coefficient else 0)

    def at(self, n: int) -> int:
        """Put in the batch size."""
        return self.coefficient * int(n**self.power)

    @property
    def fixed(self) -> bool:
        """Whether it does not depend on n."""
        return self.power == 0


ZERO, ONE = Extent(0), Extent(1)


def extent(dim: Dim) -> Extent:
    """Return a dimension as an extent."""
    return Extent(dim.scale, 1) if isinstance(dim, Batch) else Extent(dim)


def product(extents: Iterable[Extent]) -> Extent:
    """Multiply extents; of none, one."""
    result = ONE
    for item in extents:
        result = result * item
    return result


def count(shape: Shape) -> Extent:
    """Return the number of elements of a shape."""
    return product(map(extent, shape))


@functools.lru_cache(maxsize=4096)
def contiguous(shape: Shape) -> tuple[Extent, ...]:
    """Return the row-major strides of a shape, in elements."""
    strides: list[Extent] = []
    step = ONE
    for dim in reversed(shape):
        strides.append(step)
        # a dimension of length zero has no elements to step over; 1 keeps the strides of the others sensible
        step = step * extent(dim if dim != 0 else 1)
    return tuple(reversed(strides))
