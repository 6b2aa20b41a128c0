"""Convolutions: register tiles that stay in place while kernel rows and channels, or places, run by.

A tile holds some rows of the result by some vectors of columns. Its rows lie at fixed distances from the first, which
stand in the instructions; the loops of the depth are nested around the multiply-adds, so that a sum leaves its register
only when it is done, or when a block of images is.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from clearprop.backends.native.arithmetic import Arithmetic
from clearprop.backends.native.contractions import Axis, Contraction
from clearprop.backends.native.emitter import BYTES, Emitter, Register, constant, known
from clearprop.backends.native.extents import ONE, Extent
from clearprop.backends.native.kernels import Access, Convolution
from clearprop.backends.native.loops import span, tail_mask
from clearprop.backends.native.reductions import part_target
from clearprop.backends.native.regions import Kernel, Lanes
from clearprop.backends.native.targets import Target
from clearprop.backends.native.tiles import add_terms
from clearprop.ir import Value


@dataclass(frozen=True)
class Panel:
    """Some vectors of columns."""

    lanes: tuple[Lanes, ...]


@dataclass(frozen=True)
class Places:
    """Where a tile, or the first of several, lies: pointers into A, B and C."""

    a: str
    b: str
    c: str


@dataclass(frozen=True)
class Level:
    """One loop of the depth: how often it runs, and the steps in A and B in bytes."""

    count: str
    a: str
    b: str


class ConvolutionWriter:
    """Writes one convolution into a kernel, which computes the part %part.

    Attributes:
        partial: what each part leaves, where sums are added up afterwards.
        across: whether lanes run along A too, as in a depthwise convolution.
    """

    def __init__(self, kernel: Kernel, convolution: Convolution, plan: Contraction, target: Target) -> None:
        self.kernel, self.plan, self.target = kernel, plan, target
        self.out, self.arithmetic = kernel.out, Arithmetic(kernel.out)
        self.result = convolution.node.outputs[0]
        self.dtype = self.result.type.dtype
        self.size = BYTES[self.dtype]
        self.lanes = target.lanes(self.size)
        self.partial = Value(f"{self.result.name}.parts", self.result.type) if self._leaves_sums() else None
        self.fresh = "true"
        self.across = plan.columns.a == ONE and plan.columns.size != ONE

    def _leaves_sums(self) -> bool:
        return self.plan.partial and not self.plan.parts.alone

    def write(self) -> None:
        """Write the loops of the part %part."""
        plan, kernel = self.plan, self.kernel
        target = kernel.pointer(self.result)
        if self.partial is not None:
            target = part_target(kernel, self.partial, self.result, plan.parts)
        places = Places(self._first(plan.a), self._first(plan.b), target)
        bands = plan.bands.at(0)
        part = self.out.divide("%part", str(bands))
        cut, whole = span(kernel, plan.parts, part=part), ("0", self._count(plan.depth[0].size) if plan.depth else "1")
        if plan.partial:
            self._blocks(places, plan.rows, plan.box, cut)
        elif plan.rows and not plan.rows[0].size.fixed:
            first, rows, box = plan.rows[0], plan.rows[1:], plan.box[1:]
            place = self.out.subtract("%part", self.out.multiply(part, str(bands)))
            band = None if plan.bands.alone else span(kernel, plan.bands, part=place)
            self.out.loop(*cut, 1, lambda i: self._blocks(self._along(places, first, i), rows, box, whole, band))
        else:
            self._blocks(places, plan.rows, plan.box, whole, cut)

    # -- loops -------------------------------------------------------------------------------------------------

    def _blocks(
        self,
        places: Places,
        rows: Sequence[Axis],
        box: Sequence[int],
        terms: tuple[str, str],
        cut: tuple[str, str] | None = None,
    ) -> None:
        """Write the blocks of the depth, each over all panels and tiles; `cut` is the range of the first row loop."""
        plan, out = self.plan, self.out
        levels = [self._level(axis, self._count(axis.size)) for axis in plan.depth]
        if not plan.block:
            self._panels(places, rows, box, cut, levels)
            return
        first, stop = terms

        def block(k: str) -> None:
            self.fresh = out.get(f"icmp eq i64 {k}, {first}")
            some = out.least(str(plan.block), out.subtract(stop, k))
            there = self._along(places, plan.depth[0], k)
            self._panels(there, rows, box, cut, [self._level(plan.depth[0], some), *levels[1:]])

        # once at least, for a sum without terms is zero
        out.loop(first, out.most(stop, out.add(first, "1")), plan.block, block)

    def _panels(
        self,
        places: Places,
        rows: Sequence[Axis],
        box: Sequence[int],
        cut: tuple[str, str] | None,
        levels: Sequence[Level],
    ) -> None:
        """Write the panels of columns: as wide as a tile, then what is left."""
        size, lanes, out = self.plan.columns.size, self.lanes, self.out
        stop, wide = self._count(size), self.plan.vectors * lanes

        def panel(j: str, vectors: Sequence[Lanes]) -> None:
            at = out.multiply(j, str(self.size))
            a = out.after(places.a, at) if self.across else places.a
            there = Places(a, out.after(places.b, at), out.after(places.c, at))
            self._rows(there, rows, box, cut, lambda tile, shape: self._tile(tile, shape, vectors, levels))

        whole = [Lanes(lanes)] * self.plan.vectors
        end = str(size.coefficient // wide * wide) if size.fixed else _whole(out, stop, wide)
        _steps(out, "0", end, wide, lambda j: panel(j, whole))
        if not self.target.masks:
            middle = str(size.coefficient // lanes * lanes) if size.fixed else _whole(out, stop, lanes)
            _steps(out, end, middle, lanes, lambda j: panel(j, [Lanes(lanes)]))
            _steps(out, middle, stop, 1, lambda j: panel(j, [Lanes(1)]))
        elif size.fixed:
            left = size.coefficient - int(end)
            if left:
                vectors = [Lanes(lanes)] * (left // lanes)
                if left % lanes:
                    vectors.append(Lanes(lanes, tail_mask(out, "0", str(left % lanes), lanes)))
                panel(end, vectors)
        else:
            left_ = out.get(f"icmp slt i64 {end}, {stop}")
            out.when(left_, lambda: panel(end, [Lanes(lanes, tail_mask(out, end, stop, lanes))]))

    def _rows(
        self,
        places: Places,
        rows: Sequence[Axis],
        box: Sequence[int],
        cut: tuple[str, str] | None,
        tile: Callable[[Places, tuple[int, ...]], None],
        shape: tuple[int, ...] = (),
    ) -> None:
        """Walk over the row loops in steps of the box; what is left of a loop makes smaller tiles."""
        if len(shape) == len(rows):
            tile(places, shape)
            return
        axis, step, out = rows[len(shape)], box[len(shape)], self.out
        start, stop = cut if cut and not shape else ("0", self._count(axis.size))

        def inner(i: str, length: int) -> None:
            self._rows(self._along(places, axis, i), rows, box, cut, tile, (*shape, length))

        if known(start) and known(stop):
            rest = (int(stop) - int(start)) % step
            end = str(int(stop) - rest)
            _steps(out, start, end, step, lambda i: inner(i, step))
            if rest:
                inner(end, rest)
            return
        length = out.subtract(stop, start)
        end = out.add(start, _whole(out, length, step))
        out.loop(start, end, step, lambda i: inner(i, step))
        rest = axis.size.coefficient % step if axis.size.fixed else 0
        if rest:
            out.when(out.get(f"icmp slt i64 {end}, {stop}"), lambda: inner(end, rest))

    # -- one tile ----------------------------------------------------------------------------------------------

    def _tile(self, places: Places, shape: tuple[int, ...], vectors: Sequence[Lanes], levels: Sequence[Level]) -> None:
        """Compute one tile: its sums start from zero, or from those of the blocks before."""
        axes = self.plan.rows[len(self.plan.rows) - len(shape) :]
        steps = list(itertools.product(*(range(length) for length in shape)))
        rows = [self._sum([axis.a for axis in axes], step) for step in steps]
        lines = [self._sum([axis.c for axis in axes], step) for step in steps]
        cells = [(self._vector(line, v), lanes) for line in lines for v, lanes in enumerate(vectors)]
        if self.fresh == "true":
            sums = [constant(0, self.dtype, lanes.count) for _, lanes in cells]
        else:
            sums = [self._start(places.c, at, lanes) for at, lanes in cells]
        texts = self._terms(places.a, places.b, [(item.type, item.text) for item in sums], rows, vectors, levels)
        for text, (at, lanes) in zip(texts, cells, strict=True):
            self.kernel.put(Register(text, self.dtype, lanes.count), self.out.after(places.c, at), lanes)

    def _start(self, c: str, at: str, lanes: Lanes) -> Register:
        before = self.kernel.take(self.dtype, self.out.after(c, at), lanes)
        zero = constant(0, self.dtype, lanes.count)
        return self.out.value(f"select i1 {self.fresh}, {zero}, {before}", self.dtype, lanes.count)

    def _terms(
        self,
        a: str,
        b: str,
        sums: Sequence[tuple[str, str]],
        rows: Sequence[str],
        vectors: Sequence[Lanes],
        levels: Sequence[Level],
    ) -> list[str]:
        """Write the loops of the depth around the multiply-adds, and return the sums."""
        if not levels:
            cells = [(self.out.after(b, self._vector("0", v)), lanes) for v, lanes in enumerate(vectors)]
            rights = [self.kernel.take(self.dtype, cell, lanes) for cell, lanes in cells]
            if self.across:
                return self._products(a, rows, rights, vectors, [text for _, text in sums])
            return add_terms(self.arithmetic, a, rows, rights, [text for _, text in sums])
        level, inner = levels[0], levels[1:]
        types = [type_ for type_, _ in sums]

        def one(values: list[str]) -> list[str]:
            a, b, *texts = values
            texts = self._terms(a, b, list(zip(types, texts, strict=True)), rows, vectors, inner)
            return [self.out.after(a, level.a), self.out.after(b, level.b), *texts]

        return self.out.fold(level.count, [("ptr", a), ("ptr", b), *sums], one)[2:]

    def _products(
        self, a: str, rows: Sequence[str], rights: Sequence[Register], vectors: Sequence[Lanes], sums: list[str]
    ) -> list[str]:
        """Add the terms of a step where every lane has a factor of its own in A."""
        result = []
        for r, row in enumerate(rows):
            for v, (right, lanes) in enumerate(zip(rights, vectors, strict=True)):
                left = self.kernel.take(self.dtype, self.out.after(a, self._vector(row, v)), lanes)
                total = Register(sums[r * len(rights) + v], self.dtype, lanes.count)
                result.append(self.arithmetic.fma(left, right, total).text)
        return result

    # -- addresses ---------------------------------------------------------------------------------------------

    def _first(self, access: Access) -> str:
        return self.kernel.address(access.source, self.kernel.offset(access.offsets, (), ()))

    def _count(self, size: Extent) -> str:
        return self.kernel.extent(size)

    def _bytes(self, stride: Extent) -> str:
        return self.kernel.extent(stride * Extent(self.size))

    def _level(self, axis: Axis, count: str) -> Level:
        return Level(count, self._bytes(axis.a), self._bytes(axis.b))

    def _along(self, places: Places, axis: Axis, i: str) -> Places:
        """Return the places some steps on along a loop."""
        pointers = ((places.a, axis.a), (places.b, axis.b), (places.c, axis.c))
        return Places(*(self.out.after(start, self.out.multiply(i, self._bytes(stride))) for start, stride in pointers))

    def _sum(self, strides: Sequence[Extent], steps: Sequence[int]) -> str:
        """Return how many bytes lie between the first row of a tile and another."""
        total = "0"
        for stride, step in zip(strides, steps, strict=True):
            total = self.out.add(total, self.out.multiply(str(step), self._bytes(stride)))
        return total

    def _vector(self, line: str, v: int) -> str:
        return self.out.add(line, str(v * self.lanes * self.size))


def _whole(out: Emitter, size: str, step: int) -> str:
    """Return where the last whole step from zero ends."""
    return out.multiply(out.divide(size, str(step)), str(step))


def _steps(out: Emitter, start: str, stop: str, step: int, body: Callable[[str], None]) -> None:
    """Append a loop, or its body alone if it is known to run once, or nothing."""
    if not (known(start) and known(stop)) or int(stop) - int(start) > step:
        out.loop(start, stop, step, body)
    elif int(start) < int(stop):
        body(start)
