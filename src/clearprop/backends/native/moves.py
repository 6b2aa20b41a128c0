"""Kernels that move rows: take, scatter_add, concat, pad, overlap_add.

An index out of range sets the status and moves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from clearprop.backends.native.arithmetic import Arithmetic
from clearprop.backends.native.elementwise import convert
from clearprop.backends.native.emitter import BYTES
from clearprop.backends.native.extents import ONE, ZERO, Extent, count, extent
from clearprop.backends.native.kernels import WHOLE, Access, Move, Parts
from clearprop.backends.native.loops import nested, span, vectors
from clearprop.backends.native.partition import chunks, is_small
from clearprop.backends.native.placing import pad_index
from clearprop.backends.native.regions import Kernel, Lanes
from clearprop.backends.native.targets import Target
from clearprop.backends.native.views import access as access_of
from clearprop.backends.native.views import add_extents, identity, into_windows, loop_axes, numbers, resolve, space_of
from clearprop.ir import Batch, Node, Type, Value

STATUS = Value("status", Type("int64"))
"""One number that the program sets to 1 where an index was out of range."""


class MoveWriter:
    """Writes one such node into a kernel."""

    def __init__(self, kernel: Kernel, move: Move, made: Mapping[Value, Node], target: Target) -> None:
        self.kernel, self.move, self.node, self.target = kernel, move, move.node, target
        self.made = made
        self.out = kernel.out
        self.result = move.target
        self.dtype = self.result.type.dtype
        self.lanes = target.lanes(BYTES[self.dtype])

    def write(self) -> Parts:
        """Write the kernel for the part %part; return how its work is cut."""
        ways = {
            "take": self._take,
            "scatter_add": self._scatter,
            "concat": self._concat,
            "pad": self._pad,
            "overlap_add": self._overlap,
        }
        return ways[self.node.op]()

    def _take(self) -> Parts:
        rows, indices = self.node.inputs
        length = count(rows.type.shape[1:])
        parts = self._chunks(count(indices.type.shape), length)

        def one(place: str, row: str) -> None:
            self._copy(rows, self._times(row, length), self._times(place, length), length)

        self._each(indices, extent(rows.type.shape[0]), one, span(self.kernel, parts))
        return parts

    def _scatter(self) -> Parts:
        """Add rows to where their indices say; serial, because two of them may be the same."""
        indices, rows = self.node.inputs
        length = count(rows.type.shape[indices.type.rank :])
        self._clear()

        def one(place: str, row: str) -> None:
            reads, writes = (Access(value, (), (length, ONE)) for value in (rows, self.result))

            def part(i: str, lanes: Lanes) -> None:
                added = self.kernel.load(reads, (place, i), lanes)
                total = Arithmetic(self.out).add(self.kernel.load(writes, (row, i), lanes), added)
                self.kernel.store(total, writes, (row, i), lanes)

            vectors(self.out, self.target, length, self.kernel.extent(length), self.lanes, part)

        size = self.node.attrs["size"]
        assert isinstance(size, int | Batch)
        self._each(indices, extent(size), one, ("0", self.kernel.extent(count(indices.type.shape))))
        return WHOLE

    def _each(self, indices: Value, size: Extent, one: Callable[[str, str], None], places: tuple[str, str]) -> None:
        """Go through a range of the indices, counting negative ones from the end, and check each."""
        limit = self.kernel.extent(size)

        def step(place: str) -> None:
            given = self.kernel.load(Access(indices, (), (ONE,)), (place,), Lanes(1))
            index = convert(Arithmetic(self.out), given, "int64").text
            behind = self.out.get(f"add i64 {index}, {limit}")
            negative = self.out.get(f"icmp slt i64 {index}, 0")
            row = self.out.get(f"select i1 {negative}, i64 {behind}, i64 {index}")
            inside = self.out.get(f"icmp ult i64 {row}, {limit}")
            self.out.when(inside, lambda: one(place, row))
            outside = self.out.get(f"xor i1 {inside}, true")
            self.out.when(outside, self._fail)

        self.out.loop(*places, 1, step)

    def _fail(self) -> None:
        # atomic, because several parts may say so at once
        self.out.do(f"store atomic i64 1, ptr {self.kernel.pointer(STATUS)} monotonic, align 8")

    def _concat(self) -> Parts:
        axis = self.node.attrs["axis"]
        assert isinstance(axis, int)
        outer = count(self.result.type.shape[:axis])
        whole = count(self.result.type.shape[axis:])
        starts, start = [], ZERO
        for value in self.node.inputs:
            starts.append(start)
            start = add_extents(start, count(value.type.shape[axis:]))

        def step(place: str) -> None:
            for value, begin in zip(self.node.inputs, starts, strict=True):
                length = count(value.type.shape[axis:])
                to = self.out.add(self._times(place, whole), self.kernel.extent(begin))
                self._copy(value, self._times(place, length), to, length)

        parts = self._chunks(outer, whole)
        self.out.loop(*span(self.kernel, parts), 1, step)
        return parts

    def _pad(self) -> Parts:
        (value,) = self.node.inputs
        shape, rank = value.type.shape, len(loop_axes(value.type.shape))
        writes = access_of(self.result, pad_index(self.node, identity(shape)), rank)
        reads = access_of(value, identity(shape), rank)
        self._clear()

        def part(variables: tuple[str, ...], lanes: Lanes) -> None:
            self.kernel.store(self.kernel.load(reads, variables, lanes), writes, variables, lanes)

        self._loops(space_of(shape), part)
        return WHOLE

    def _overlap(self) -> Parts:
        """Add up windows: every element takes the terms of the windows that cover it in the order of the windows."""
        (value,) = self.node.inputs
        shape, kept = value.type.shape, self.result.type.rank
        index = identity(shape)
        loops = loop_axes(shape)
        inner = [place for place, axis in enumerate(loops) if axis < kept]
        order = [*inner[:-1], *range(len(inner), len(loops)), *inner[-1:]]
        if inner[:1] == [0] and len(inner) > 1:
            order = [0, *range(len(inner), len(loops)), *inner[1:]]
        reads = access_of(*resolve(self.made, value, index), len(loops))
        writes = access_of(self.result, into_windows(self.node, index), len(loops))
        reads, writes = (
            replace(item, strides=tuple(item.strides[place] for place in order)) for item in (reads, writes)
        )
        sizes = [extent(shape[loops[place]]) for place in order]
        # images do not overlap: a part takes some of them
        images = order[:1] == [0] and len(order) > 1 and loops[0] == 0 and 0 not in numbers(self.node, "axes")
        parts = self._chunks(sizes[0], count(shape[1:])) if images else WHOLE
        cut = span(self.kernel, parts) if images else None
        self._clear(cut)

        def part(variables: tuple[str, ...], lanes: Lanes) -> None:
            added = self.kernel.load(reads, variables, lanes)
            total = Arithmetic(self.out).add(self.kernel.load(writes, variables, lanes), added)
            self.kernel.store(total, writes, variables, lanes)

        self._loops(sizes, part, cut)
        return parts

    def _loops(
        self,
        sizes: Sequence[Extent],
        part: Callable[[tuple[str, ...], Lanes], None],
        cut: tuple[str, str] | None = None,
    ) -> None:
        """Write loops of these sizes, the last one in vectors; `cut` is the range of the first one."""
        if not sizes:
            part((), Lanes(1))
            return
        out, target = self.out, self.target
        stops = [self.kernel.extent(size) for size in sizes]
        first, stops[0] = cut or ("0", stops[0])

        def line(outer: tuple[str, ...]) -> None:
            vectors(out, target, sizes[-1], stops[-1], self.lanes, lambda i, lanes: part((*outer, i), lanes))

        nested(out, stops[:-1], line, first)

    def _chunks(self, rows: Extent, length: Extent) -> Parts:
        return Parts(rows) if is_small(self.move) else chunks(rows, length)

    def _times(self, index: str, length: Extent) -> str:
        return self.out.multiply(index, self.kernel.extent(length))

    def _copy(self, value: Value, start: str, to: str, length: Extent) -> None:
        source, target = self.kernel.address(value, start), self.kernel.address(self.result, to)
        size = self._times(str(BYTES[self.dtype]), length)
        arguments = [f"ptr {target}", f"ptr {source}", f"i64 {size}", "i1 false"]
        self.out.call("void", "llvm.memcpy.p0.p0.i64", arguments)

    def _clear(self, cut: tuple[str, str] | None = None) -> None:
        """Put zeros into the result, or into a range of its first axis."""
        shape, start = self.result.type.shape, "0"
        length = self.kernel.extent(count(shape))
        if cut is not None:
            start, stop = (self._times(end, count(shape[1:])) for end in cut)
            length = self.out.subtract(stop, start)
        size = self.out.multiply(length, str(BYTES[self.dtype]))
        arguments = [f"ptr {self.kernel.address(self.result, start)}", "i8 0", f"i64 {size}", "i1 false"]
        self.out.call("void", "llvm.memset.p0.i64", arguments)
