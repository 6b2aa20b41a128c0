"""Loops over a space: axes that every access walks together become one; the innermost goes in vectors."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from clearprop.backends.native.emitter import Emitter, known
from clearprop.backends.native.extents import Extent
from clearprop.backends.native.kernels import Access, Parts
from clearprop.backends.native.regions import Kernel, Lanes
from clearprop.backends.native.targets import Target

_FEW = 9
"""Turns of a loop that are written out: as many as a window of three by three has."""
GROUP = 4
"""How many vectors a loop works on together."""


@dataclass(frozen=True)
class Axes:
    """The loops that remain of a space.

    Attributes:
        extents: their lengths, outermost first.
        last: for each, the axis of the space that it walks: the innermost of those merged.
        outer: how many of them are outside of the reductions.
        across: whether the lanes run along the last outer loop, so that each works on a row of its own.
    """

    extents: tuple[Extent, ...]
    last: tuple[int, ...]
    outer: int
    across: bool = False

    def of(self, access: Access) -> Access:
        """Return an access of the space for these loops; the stride of the lanes comes last."""
        order = (*self.last[self.outer :], *self.last[: self.outer]) if self.across else self.last
        return replace(access, strides=tuple(access.strides[axis] for axis in order))


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


def span(kernel: Kernel, parts: Parts, size: str = "", part: str = "%part") -> tuple[str, str]:
    """Return the range of a loop that belongs to a part; `size` is the loop's length if it is a parameter."""
    stop = size or kernel.extent(parts.size)
    if not parts.width or (parts.alone and not size):
        return "0", stop
    out = kernel.out
    start = out.get(f"mul i64 {part}, {parts.width}")
    end = out.add(start, str(parts.width))
    inside = out.get(f"icmp slt i64 {end}, {stop}")
    return start, out.get(f"select i1 {inside}, i64 {end}, i64 {stop}")


def nested(out: Emitter, stops: Sequence[str], body: Callable[[tuple[str, ...]], None], first: str = "0") -> None:
    """Append serial loops, one a stop, around a body that takes their variables; the outermost runs from `first`."""

    def level(variables: tuple[str, ...]) -> None:
        if len(variables) == len(stops):
            body(variables)
        else:
            start = "0" if variables else first
            out.loop(start, stops[len(variables)], 1, lambda i: level((*variables, i)))

    level(())


def unrolled(out: Emitter, stops: Sequence[str], body: Callable[[tuple[str, ...]], None]) -> None:
    """Append serial loops, or, where they are few turns in all, the body once for each."""
    if all(map(known, stops)) and math.prod(map(int, stops)) <= _FEW:
        for place in itertools.product(*(range(int(stop)) for stop in stops)):
            body(tuple(map(str, place)))
    else:
        nested(out, stops, body)


def vectors(
    out: Emitter,
    target: Target,
    extent: Extent,
    stop: str,
    lanes: int,
    body: Callable[[str, Lanes], None],
    start: str = "0",
) -> None:
    """Append a loop in whole vectors, and what is left over: one masked vector, or a scalar loop.

    It runs from `start` to `stop`, which is `extent` where that is a number.
    """
    known = extent.coefficient if extent.fixed else None
    # where the extent is a number, so is the start
    if known is None or known // lanes * lanes > int(start):
        end = str(known // lanes * lanes) if known is not None else whole_steps(out, start, stop, lanes)
        out.loop(start, end, lanes, lambda i: body(i, Lanes(lanes)))
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


def grouped(
    out: Emitter,
    target: Target,
    extent: Extent,
    stop: str,
    lanes: int,
    body: Callable[[Sequence[tuple[str, Lanes]]], None],
    start: str = "0",
    always: bool = False,
) -> None:
    """Like `vectors`, but with up to `GROUP` whole vectors together where the length is known.

    With `always` also where it is not, on a target with masks; each vector that is left over has one then.
    """

    def several(i: str, count: int = GROUP) -> None:
        body([(out.add(i, str(v * lanes)), Lanes(lanes)) for v in range(count)])

    if extent.fixed:
        turns, rest = divmod(extent.coefficient // lanes, GROUP)
        done = turns * GROUP * lanes
        if turns > 1:
            out.loop(start, str(done), GROUP * lanes, several)
        elif turns:
            several(start)
        if rest:
            several(str(done), rest)
        start = str(done + rest * lanes)
    elif always:
        end = whole_steps(out, start, stop, GROUP * lanes)
        out.loop(start, end, GROUP * lanes, several)
        out.loop(end, stop, lanes, lambda i: body([(i, Lanes(lanes, tail_mask(out, i, stop, lanes)))]))
        return
    vectors(out, target, extent, stop, lanes, lambda i, lanes: body([(i, lanes)]), start)


def whole_steps(out: Emitter, start: str, stop: str, step: int) -> str:
    """Return where the last whole step from `start` on ends, a step being a power of two."""
    if start == "0":
        return out.get(f"and i64 {stop}, {-step}")
    length = out.get(f"sub i64 {stop}, {start}")
    return out.add(start, out.get(f"and i64 {length}, {-step}"))


def tail_mask(out: Emitter, start: str, stop: str, lanes: int) -> str:
    """Return the mask of the lanes from start on that lie before stop; written so that it is one comparison."""
    left = out.get(f"sub i64 {stop}, {start}")
    short = out.get(f"trunc i64 {left} to i32")
    one = out.get(f"insertelement <{lanes} x i32> poison, i32 {short}, i64 0")
    spread = out.get(f"shufflevector <{lanes} x i32> {one}, <{lanes} x i32> poison, <{lanes} x i32> zeroinitializer")
    items = ", ".join(f"i32 {lane}" for lane in range(lanes))
    return out.get(f"icmp slt <{lanes} x i32> <{items}>, {spread}")
