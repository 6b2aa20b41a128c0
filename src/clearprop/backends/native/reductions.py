"""Accumulators: a vector of running results, folded into one number in a fixed order; and column reductions."""

from __future__ import annotations

import math

from clearprop.backends.native.arithmetic import Arithmetic, maximum
from clearprop.backends.native.emitter import BYTES, Register, constant
from clearprop.backends.native.kernels import Columns, Index
from clearprop.backends.native.loops import nested, vectors
from clearprop.backends.native.regions import Kernel, Lanes
from clearprop.backends.native.targets import Target
from clearprop.backends.native.views import access, identity, loop_axes, space_of
from clearprop.ir import Node, Value

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
    """The running result of one reduction: a vector for whole vectors, and a scalar where the tail is scalar."""

    def __init__(self, arithmetic: Arithmetic, node: Node, lanes: int) -> None:
        # no flags: the order of a reduction is fixed, and its terms are not fused into it
        self.arithmetic, self.operation = Arithmetic(arithmetic.out), node.op
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


def write_columns(kernel: Kernel, columns: Columns, source: tuple[Value, tuple[Index, ...]], target: Target) -> None:
    """Write a reduction whose last axis is kept: each vector of results runs down the reduced axes."""
    node = columns.node
    value, index = source
    shape = node.inputs[0].type.shape
    loops, space = loop_axes(shape), space_of(shape)
    axes = node.attrs["axis"]
    assert isinstance(axes, tuple)
    reads = access(value, index, len(loops))
    kept = [place for place, axis in enumerate(loops) if axis not in axes]
    reduced = [place for place, axis in enumerate(loops) if axis in axes]
    sizes = [kernel.extent(size) for size in space]
    result = node.outputs[0]
    writes = access(result, identity(result.type.shape), len(kept))
    lanes = target.lanes(BYTES[result.type.dtype])
    out, arithmetic = kernel.out, Arithmetic(kernel.out)
    last = space[kept[-1]]

    def column(outer: tuple[str, ...], i: str, width: Lanes) -> None:
        first = constant(neutral(node.op, result.type.dtype), result.type.dtype, width.count)
        slot = out.slot(first.type, first.text)

        def step(down: tuple[str, ...]) -> None:
            variables = dict(zip([*kept, *reduced], [*outer, i, *down], strict=True))
            # the lanes run along the last axis of the space, which is kept
            item = kernel.load(reads, [variables[place] for place in range(len(loops))], width)
            total = out.value(f"load {first.type}, ptr {slot}", first.dtype, first.lanes)
            out.do(f"store {combine(arithmetic, node.op, total, item)}, ptr {slot}")

        nested(out, [sizes[place] for place in reduced], step)
        total = out.value(f"load {first.type}, ptr {slot}", first.dtype, first.lanes)
        kernel.store(total, writes, [*outer, i], width)

    nested(
        out,
        [sizes[place] for place in kept[:-1]],
        lambda outer: vectors(out, target, last, sizes[kept[-1]], lanes, lambda i, width: column(outer, i, width)),
    )
