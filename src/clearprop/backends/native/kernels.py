"""What a program is lowered to: kernels that run one after another over buffers. Data only."""

from __future__ import annotations

from dataclasses import dataclass, field

from clearprop.backends.native.emitter import Emitter
from clearprop.backends.native.extents import ONE, ZERO, Extent
from clearprop.ir import Node, Value


@dataclass(frozen=True)
class Index:
    """The index along one axis of an array: a loop's variable times `scale`, plus `offset`; no loop for None."""

    axis: int | None = None
    scale: int = 1
    offset: Extent = ZERO


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
        return out.get(f"udiv i64 {out.add(size, str(self.width - 1))}, {self.width}")


WHOLE = Parts()
"""One part."""


@dataclass
class Nest:
    """Elementwise nodes, and reductions over the trailing axes, in loops over one space.

    Attributes:
        space: the extents of the loops, outermost first; none is the number one.
        split: how many of them are outer; the reductions run over the rest. None while nothing has fixed it.
        nodes: in the order of the program.
    """

    space: tuple[Extent, ...]
    split: int | None = None
    nodes: list[Node] = field(default_factory=list)


@dataclass
class Columns:
    """One reduction whose last axis is kept: vectors of results, each a serial loop over the reduced axes."""

    node: Node


@dataclass
class Product:
    """One matrix product; `packed` is where panels of the second factor are copied to, if they are."""

    node: Node
    packed: Value | None = None


@dataclass
class Move:
    """One node that moves whole rows or scatters them: take, scatter_add, concat, pad, or a copy of a view."""

    node: Node
    target: Value


Kernel = Nest | Columns | Product | Move
