"""Loops over a space: axes that every access walks together become one; the innermost goes in vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from clearprop.backends.native.emitter import Emitter
from clearprop.backends.native.extents import Extent
from clearprop.backends.native.kernels import Access
from clearprop.backends.native.regions import Lanes
from clearprop.backends.native.targets import Target


@dataclass(frozen=True)
class Axes:
    """The loops that remain of a space.

    Attributes:
        extents: their lengths, outermost first.
        last: for each, the axis of the space that it walks: the innermost of those merged.
        outer: how many of them are outside of the reductions.
    """

    extents: tuple[Extent, ...]
    last: tuple[int, ...]
    outer: int

    def of(self, access: Access) -> Access:
        """Return an access of the space for these loops."""
        return replace(access, strides=tuple(access.strides[axis] for axis in self.last))


def merge(space: Sequence[Extent], split: int, accesses: Sequence[Access]) -> Axes:
    """Merge neighbouring axes on the same side of the split wherever every access allows it."""
    extents: list[Extent] = []
    last: list[int] = []
    outer = 0
    for axis, size in enumerate(space):
        joins = axis not in (0, split) and all(
            access.strides[axis - 1] == access.strides[axis] * size for access in accesses
        )
        if joins:
            extents[-1], last[-1] = extents[-1] * size, axis
        else:
            extents.append(size)
            last.append(axis)
            outer += axis < split
    return Axes(tuple(extents), tuple(last), outer)


def nested(out: Emitter, stops: Sequence[str], body: Callable[[tuple[str, ...]], None]) -> None:
    """Append serial loops, one a stop, around a body that takes their variables."""

    def level(variables: tuple[str, ...]) -> None:
        if len(variables) == len(stops):
            body(variables)
        else:
            out.loop("0", stops[len(variables)], 1, lambda i: level((*variables, i)))

    level(())


def vectors(
    out: Emitter, target: Target, extent: Extent, stop: str, lanes: int, body: Callable[[str, Lanes], None]
) -> None:
    """Append a loop in whole vectors, and what is left over: one masked vector, or a scalar loop."""
    known = extent.coefficient if extent.fixed else None
    start = "0"
    if known is None or known >= lanes:
        end = str(known // lanes * lanes) if known is not None else out.get(f"and i64 {stop}, {-lanes}")
        out.loop("0", end, lanes, lambda i: body(i, Lanes(lanes)))
        start = end
    if known is not None and known % lanes == 0:
        return
    if not target.masks:
        out.loop(start, stop, 1, lambda i: body(i, Lanes(1)))
    elif known is not None:
        body(start, Lanes(lanes, tail_mask(out, start, stop, lanes)))
    else:
        left = out.get(f"icmp slt i64 {start}, {stop}")
        out.when(left, lambda: body(start, Lanes(lanes, tail_mask(out, start, stop, lanes))))


def tail_mask(out: Emitter, start: str, stop: str, lanes: int) -> str:
    """Return the mask of the lanes from start on that lie before stop; written so that it is one comparison."""
    left = out.get(f"sub i64 {stop}, {start}")
    short = out.get(f"trunc i64 {left} to i32")
    one = out.get(f"insertelement <{lanes} x i32> poison, i32 {short}, i64 0")
    spread = out.get(f"shufflevector <{lanes} x i32> {one}, <{lanes} x i32> poison, <{lanes} x i32> zeroinitializer")
    items = ", ".join(f"i32 {lane}" for lane in range(lanes))
    return out.get(f"icmp slt <{lanes} x i32> <{items}>, {spread}")
