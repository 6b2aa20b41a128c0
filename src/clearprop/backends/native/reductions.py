"""Accumulators: a vector of running results, folded into one number in a fixed order; and column reductions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set

from clearprop.backends.native.arithmetic import Arithmetic, maximum
from clearprop.backends.native.elementwise import compute, is_number, number
from clearprop.backends.native.emitter import BYTES, Emitter, Register, constant
from clearprop.backends.native.extents import Extent, count, product
from clearprop.backends.native.kernels import Columns, Parts
from clearprop.backends.native.loops import nested, span, vectors, whole_steps
from clearprop.backends.native.partition import chunks, is_small, panels
from clearprop.backends.native.regions import Kernel, Lanes, memory_type
from clearprop.backends.native.targets import Target
from clearprop.backends.native.views import access, element_of, identity, loop_axes, origin, reduced_axes, space_of
from clearprop.ir import Node, Value

_VECTORS = 4
"""How many vectors of columns run down the rows together: their additions do not wait for each other. A part of
columns is a multiple of them."""

_SMALLEST = {"int32": -(2**31), "int64": -(2**63), "uint32": 0}


def neutral(operation: str, dtype: str) -> float:
    """Return what a reduction starts from."""
    if operation == "sum":
        return 0
    return _SMALLEST.get(dtype, -math.inf)


def combine(a: Arithmetic, operation: str, x: Register, y: Register) -> Register:
    """Add, or take the larger (NaN wins)."""
    return a.add(x, y) if operation == "sum" else maximum(a, x, y)


class Accumulator:
    """The running result of one reduction: a vector for whole vectors, and a scalar where the tail is scalar.

    The order of a reduction is fixed; its terms are fused into it only where that changes nothing.
    """

    def __init__(self, arithmetic: Arithmetic, node: Node, lanes: int, fuses: bool = False) -> None:
        self.arithmetic, self.operation = Arithmetic(arithmetic.out, contract=fuses), node.op
        self.dtype, self.lanes = node.outputs[0].type.dtype, lanes
        self.slots: dict[int, str] = {}
        for width in {1, lanes}:
            first = constant(neutral(node.op, self.dtype), self.dtype, width)
            self.slots[width] = arithmetic.out.slot(first.type, first.text)

    def add(self, value: Register, lanes: Lanes) -> None:
        """Take in the elements of these lanes."""
        a = self.arithmetic
        if lanes.mask:
            nothing = constant(neutral(self.operation, self.dtype), self.dtype, lanes.count)
            value = a.select(Register(lanes.mask, "bool", lanes.count), value, nothing)
        total = self._load(lanes.count)
        a.out.do(f"store {combine(a, self.operation, total, value)}, ptr {self.slots[lanes.count]}")

    def result(self) -> Register:
        """Fold the halves of the vector onto each other, and add the scalar tail."""
        a = self.arithmetic
        tail = self._load(1)
        if self.lanes == 1:
            return tail
        total = self._load(self.lanes)
        width = self.lanes
        while width > 1:
            width //= 2
            low, high = (self._half(total, start, width) for start in (0, width))
            total = combine(a, self.operation, low, high)
        return combine(a, self.operation, total, tail)

    def _half(self, x: Register, start: int, width: int) -> Register:
        out = self.arithmetic.out
        if width == 1:
            return out.value(f"extractelement {x}, i64 {start}", x.dtype, 1)
        places = ", ".join(f"i32 {start + lane}" for lane in range(width))
        return out.value(f"shufflevector {x}, {x.type} poison, <{width} x i32> <{places}>", x.dtype, width)

    def _load(self, width: int) -> Register:
        zero = constant(0, self.dtype, width)
        return self.arithmetic.out.value(f"load {zero.type}, ptr {self.slots[width]}", self.dtype, width)


def sums_nothing(made: Mapping[Value, Node], node: Node) -> bool:
    """Whether a sum adds products with zero, to see whether all is finite: none is rounded, nor changed by an FMA."""
    term = made.get(node.inputs[0])
    factors = [origin(made, value) for value in term.inputs] if term is not None and term.op == "multiply" else []
    return node.op == "sum" and any(is_number(made, each) and made[each].attrs["value"] == 0 for each in factors)


class LaneTotals:
    """The running results of as many reductions as there are lanes, one a lane."""

    def __init__(self, arithmetic: Arithmetic, node: Node, lanes: int) -> None:
        self.arithmetic, self.operation = Arithmetic(arithmetic.out), node.op
        dtype = node.outputs[0].type.dtype
        self.first = constant(neutral(node.op, dtype), dtype, lanes)
        self.slot = arithmetic.out.slot(self.first.type, self.first.text)

    def add(self, value: Register, lanes: Lanes) -> None:
        """Take in one element for each lane; what is outside of a mask does not matter."""
        total = combine(self.arithmetic, self.operation, self.result(), value)
        self.arithmetic.out.do(f"store {total}, ptr {self.slot}")

    def result(self) -> Register:
        """Return the results."""
        return self.arithmetic.out.value(f"load {self.first.type}, ptr {self.slot}", self.first.dtype, self.first.lanes)


class ColumnsWriter:
    """Writes a reduction whose last axis is kept: vectors of results, each running down the reduced axes.

    Many columns are cut into panels. Of few columns with many rows, the rows are cut: every part leaves a partial
    result, and `finish` puts these together in the order of the parts.

    Attributes:
        parts: how the work is cut.
        partial: what each part leaves, where the rows are cut.
    """

    def __init__(
        self, kernel: Kernel, columns: Columns, made: Mapping[Value, Node], compared: Set[Value], target: Target
    ) -> None:
        node = columns.node
        self.node, self.chain, self.made, self.compared = node, columns.chain, made, compared
        shape = node.inputs[0].type.shape
        axes = reduced_axes(node)
        loops = loop_axes(shape)
        self.kernel, self.out, self.target, self.operation = kernel, kernel.out, target, node.op
        self.result = node.outputs[0]
        self.space = space_of(shape)
        self.kept = [place for place, axis in enumerate(loops) if axis not in axes]
        self.reduced = [place for place, axis in enumerate(loops) if axis in axes]
        self.writes = access(self.result, identity(self.result.type.shape), len(self.kept))
        self.lanes = target.lanes(BYTES[self.result.type.dtype])
        self.cut, self.parts = self._parts(is_small(columns))
        self.partial = None if self.cut in self.kept or self.parts.alone else self._partial()

    def _parts(self, small: bool) -> tuple[int, Parts]:
        """Return the axis that is cut, and how."""
        last, columns = self.space[self.kept[-1]], product(self.space[place] for place in self.kept)
        if small:
            return self.kept[-1], Parts(last)
        if len(self.kept) == 1 and not panels(last).alone:
            return self.kept[-1], panels(last)
        cut = self.reduced[0] if panels(columns).alone else self.kept[0]
        row = product(size for place, size in enumerate(self.space) if place != cut)
        return cut, chunks(self.space[cut], row)

    def _partial(self) -> Value:
        return Value(f"{self.result.name}.parts", self.result.type)

    def write(self) -> None:
        """Write the loops of the part %part."""
        first, stop = span(self.kernel, self.parts)
        ranges = [("0", self.kernel.extent(size)) for size in self.space]
        ranges[self.cut] = (first, stop)
        target = self.kernel.pointer(self.result)
        if self.partial is not None:
            target = part_target(self.kernel, self.partial, self.result, self.parts)

        def level(outer: tuple[str, ...]) -> None:
            if len(outer) == len(self.kept) - 1:
                self._line(ranges, outer, target)
            else:
                start, end = ranges[self.kept[len(outer)]]
                self.out.loop(start, end, 1, lambda i: level((*outer, i)))

        level(())

    def _line(self, ranges: list[tuple[str, str]], outer: tuple[str, ...], target: str) -> None:
        """Write the loop along the last axis: several vectors at a time, then one at a time."""
        last, (start, stop) = self.kept[-1], ranges[self.kept[-1]]
        extent = self.space[last] if self.cut != last or self.parts.alone else Extent(1, 1)
        group = [(v * self.lanes, Lanes(self.lanes)) for v in range(_VECTORS)]
        step = _VECTORS * self.lanes
        if not extent.fixed or extent.coefficient >= step:
            end = str(extent.coefficient // step * step) if extent.fixed else whole_steps(self.out, start, stop, step)
            self.out.loop(start, end, step, lambda i: self._columns(ranges, (*outer, i), group, target))
            start = end
        if extent.fixed and extent.coefficient % step == 0:
            return
        vectors(
            self.out,
            self.target,
            extent,
            stop,
            self.lanes,
            lambda i, lanes: self._columns(ranges, (*outer, i), [(0, lanes)], target),
            start,
        )

    def _columns(
        self, ranges: list[tuple[str, str]], kept: tuple[str, ...], group: list[tuple[int, Lanes]], target: str
    ) -> None:
        """Reduce some vectors of columns."""
        arithmetic = Arithmetic(self.out)
        dtype = self.result.type.dtype
        first = [constant(neutral(self.operation, dtype), dtype, lanes.count) for _, lanes in group]
        slots = [self.out.slot(item.type, item.text) for item in first]

        def total(v: int) -> Register:
            return self.out.value(f"load {first[v].type}, ptr {slots[v]}", dtype, first[v].lanes)

        def step(down: tuple[str, ...]) -> None:
            for v, (shift, lanes) in enumerate(group):
                places = (*kept[:-1], self.out.add(kept[-1], str(shift)), *down)
                variables = dict(zip([*self.kept, *self.reduced], places, strict=True))
                item = self._element([variables[place] for place in range(len(self.space))], lanes)
                self.out.do(f"store {combine(arithmetic, self.operation, total(v), item)}, ptr {slots[v]}")

        nested(self.out, [ranges[place][1] for place in self.reduced], step, ranges[self.reduced[0]][0])
        for v, (shift, lanes) in enumerate(group):
            place = self.out.add(self.kernel.offset((), self.writes.strides, kept), str(shift))
            self.kernel.put(total(v), _at(self.out, memory_type(dtype), target, place), lanes)

    def _element(self, variables: Sequence[str], lanes: Lanes) -> Register:
        """Load what is reduced, or compute it."""
        values: dict[Value, Register] = {}

        def operand(value: Value) -> Register:
            if value in values:
                return values[value]
            source, index = element_of(self.made, value)
            if is_number(self.made, source):
                return self.out.splat(number(self.kernel, self.made[source]), lanes.count)
            return self.kernel.load(access(source, index, len(self.space)), variables, lanes)

        for node in self.chain:
            fused = node.outputs[0] not in self.compared
            arithmetic = Arithmetic(self.out, contract=fused, target=self.target.name)
            values[node.outputs[0]] = compute(arithmetic, node, [operand(value) for value in node.inputs])
        return operand(self.node.inputs[0])

    def finish(self, kernel: Kernel) -> Extent:
        """Write the kernel that puts %part partial results of %count columns together; return what %count is."""
        assert self.partial is not None
        return put_together(kernel, self.operation, self.partial, self.result, self.target)


def put_together(kernel: Kernel, operation: str, partial: Value, result: Value, target: Target) -> Extent:
    """Write a kernel that sums %part partial results of %count elements in order, or takes the largest.

    Return what %count is.
    """
    out, lanes = kernel.out, target.lanes(BYTES[result.type.dtype])
    first, whole = kernel.pointer(partial), kernel.pointer(result)
    item = memory_type(result.type.dtype)

    def column(i: str, lanes: Lanes) -> None:
        total = constant(neutral(operation, result.type.dtype), result.type.dtype, lanes.count)
        slot = out.slot(total.type, total.text)

        def step(part: str) -> None:
            place = out.add(out.multiply(part, "%count"), i)
            added = kernel.take(total.dtype, _at(out, item, first, place), lanes)
            before = out.value(f"load {total.type}, ptr {slot}", total.dtype, lanes.count)
            out.do(f"store {combine(Arithmetic(out), operation, before, added)}, ptr {slot}")

        out.loop("0", "%part", 1, step)
        kernel.put(
            out.value(f"load {total.type}, ptr {slot}", total.dtype, lanes.count), _at(out, item, whole, i), lanes
        )

    vectors(out, target, Extent(1, 1), "%count", lanes, column)
    return count(partial.type.shape)


def part_target(kernel: Kernel, partial: Value, result: Value, parts: Parts) -> str:
    """Return the memory that a part writes to: the result where it is the only one, else a partial one of its own."""
    whole = kernel.pointer(result)
    own = kernel.out.multiply("%part", kernel.extent(count(partial.type.shape)))
    address = kernel.address(partial, own)
    many = kernel.out.get(f"icmp sgt i64 {kernel.extent(parts.size)}, {parts.width}")
    return kernel.out.get(f"select i1 {many}, ptr {address}, ptr {whole}")


def _at(out: Emitter, item: str, pointer: str, place: str) -> str:
    return out.get(f"getelementptr inbounds {item}, ptr {pointer}, i64 {place}")
