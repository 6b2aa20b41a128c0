"""What a program is lowered to: kernels that run one after another over buffers. Data only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from clearprop.backends.native.emitter import Emitter
from clearprop.backends.native.extents import ONE, Extent
from clearprop.ir import Node, Value

REDUCTIONS = ("sum", "max")


@dataclass(frozen=True)
class Index:
    """The index along one axis of an array: a sum of loop variables times numbers, plus an offset.

    Attributes:
        terms: the number of each loop that it moves with, in order, and what its variable is multiplied by.
        offset: extents of different powers of n, whose sum is added.
    """

    terms: tuple[tuple[int, int], ...] = ()
    offset: tuple[Extent, ...] = ()

    def times(self, factor: int) -> Index:
        """Return this index multiplied by a number."""
        return _index([(axis, scale * factor) for axis, scale in self.terms], [x * Extent(factor) for x in self.offset])

    def plus(self, other: Index) -> Index:
        """Return the sum of two indices."""
        return _index([*self.terms, *other.terms], [*self.offset, *other.offset])


def _index(terms: Iterable[tuple[int, int]], offset: Iterable[Extent]) -> Index:
    """Add up terms of one loop and extents of one power, and leave zeros out: equal indices compare equal."""
    scales: dict[int, int] = {}
    powers: dict[int, int] = {}
    for axis, scale in terms:
        scales[axis] = scales.get(axis, 0) + scale
    for item in offset:
        powers[item.power] = powers.get(item.power, 0) + item.coefficient
    return Index(
        tuple((axis, scale) for axis, scale in sorted(scales.items()) if scale),
        tuple(Extent(coefficient, power) for power, coefficient in sorted(powers.items()) if coefficient),
    )


@dataclass(frozen=True)
class Access:
    """An element of a buffer for each point of a loop nest: offset + sum of loop variable times stride.

    `strides` has one entry an axis of the nest's space, in elements.
    """

    source: Value
    offsets: tuple[Extent, ...]
    strides: tuple[Extent, ...]


@dataclass(frozen=True)
class Parts:
    """Into how many parts the work of a kernel is cut: ceil(size / width), but at least one; one for the width 0.

    The number follows from shapes and n alone, never from the number of threads, and so do the bits of the results.
    """

    size: Extent = ONE
    width: int = 0

    def at(self, n: int) -> int:
        """Put in the batch size."""
        return max(1, -(-self.size.at(n) // self.width)) if self.width else 1

    @property
    def alone(self) -> bool:
        """Whether there is one part whatever n is."""
        return not self.width or (self.size.fixed and self.size.coefficient <= self.width)

    def count(self, out: Emitter, size: str) -> str:
        """Return the number of parts, for the size as an i64; zero for none of it."""
        if self.size.fixed or not self.width:
            return str(self.at(0))
        return out.divide(out.add(size, str(self.width - 1)), str(self.width))


WHOLE = Parts()
"""One part."""


@dataclass
class Product:
    """One matrix product; `scratch` is the memory that workers pack factors into, if they do."""

    node: Node
    scratch: Value | None = None


@dataclass
class Nest:
    """Elementwise nodes, and reductions over the trailing axes, in loops over one space.

    Attributes:
        space: the extents of the loops, outermost first; none is the number one.
        split: how many of them are outer; the reductions run over the rest. None while nothing has fixed it.
        nodes: in the order of the program.
        leader: a product whose parts it goes on with, one by one (see `following`).
    """

    space: tuple[Extent, ...]
    split: int | None = None
    nodes: list[Node] = field(default_factory=list)
    leader: Product | None = None


@dataclass
class Columns:
    """One reduction whose last axis is kept: vectors of results, each a serial loop over the reduced axes.

    `chain` are cheap elementwise nodes whose result nothing else reads: they are computed as the reduction goes along.
    """

    node: Node
    chain: list[Node] = field(default_factory=list)


@dataclass
class Convolution:
    """One convolution; `scratch` is the memory of each worker, if it needs any."""

    node: Node
    scratch: Value | None = None


@dataclass
class Move:
    """One node that moves whole rows or scatters them: take, scatter_add, concat, pad, overlap_add."""

    node: Node
    target: Value


@dataclass
class Loop:
    """One `scan`: the kernels of its body, again for every time step."""

    node: Node


Kernel = Nest | Columns | Product | Convolution | Move | Loop


def nodes_of(work: Kernel) -> list[Node]:
    """Return the nodes that a kernel computes."""
    if isinstance(work, Nest):
        return [work.leader.node, *work.nodes] if work.leader else work.nodes
    return [*work.chain, work.node] if isinstance(work, Columns) else [work.node]
