"""Emission of a nest: elementwise work and reductions over the trailing axes, in one pass over the rows."""

from __future__ import annotations

from collections.abc import Mapping

from clearprop.backends.native.arithmetic import Arithmetic
from clearprop.backends.native.elementwise import OPERATIONS, convert
from clearprop.backends.native.emitter import BYTES, Register, constant
from clearprop.backends.native.extents import ZERO, Extent
from clearprop.backends.native.kernels import Access
from clearprop.backends.native.loops import Axes, merge, nested, vectors
from clearprop.backends.native.phases import REDUCTIONS, Phases
from clearprop.backends.native.random_bits import philox_word
from clearprop.backends.native.reductions import Accumulator
from clearprop.backends.native.regions import Kernel, Lanes
from clearprop.backends.native.targets import Target
from clearprop.backends.native.views import access, identity, resolve
from clearprop.ir import Batch, Node, Value


class NestWriter:
    """Writes one nest into a kernel."""

    def __init__(self, kernel: Kernel, phases: Phases, target: Target) -> None:
        self.kernel, self.phases, self.target = kernel, phases, target
        self.out = kernel.out
        self.arithmetic = Arithmetic(kernel.out, contract=True, avx512=target.name == "avx512")
        self.made: Mapping[Value, Node] = phases.made
        self.space = phases.nest.space
        self.row_values: dict[Value, Register] = {}
        self.rows: tuple[str, ...] = ()
        self.axes = self._axes()
        self.lanes = self._lanes()

    def write(self) -> bool:
        """Write the loops; whether the length of the only one is the parameter %count, so that nests can share it."""
        shared = self._is_flat()
        stops = ["%count"] if shared else [self.kernel.extent(size) for size in self.axes.extents]
        outer = self.axes.outer if self.phases.nest.split is not None else max(len(stops) - 1, 0)

        def row(rows: tuple[str, ...]) -> None:
            self.rows, self.row_values = rows, {}
            self._row_nodes(0)
            for phase in range(self.phases.last + 1):
                self._loop(phase, outer, stops)
                self._row_nodes(phase + 1)

        nested(self.out, stops[:outer], row)
        return shared

    def _is_flat(self) -> bool:
        return len(self.axes.extents) == 1 and not (self.phases.nest.split or 0)

    def _axes(self) -> Axes:
        nest = self.phases.nest
        split = len(self.space) if nest.split is None else nest.split
        return merge(self.space, split, self._accesses())

    def _accesses(self) -> list[Access]:
        """Every way in which this nest walks over memory or counts."""
        found = []
        for node in self.phases.nest.nodes:
            target = node.outputs[0]
            if node.op == "random_bits" or target in self.phases.kept:
                found.append(self._own(target))
            for value in node.inputs if node.op != "random_bits" else ():
                source, index = resolve(self.made, value, identity(value.type.shape))
                if source not in self.phases.level and not self._is_number(source):
                    found.append(access(source, index, len(self.space)))
        return found

    def _is_number(self, value: Value) -> bool:
        node = self.made.get(value)
        return node is not None and node.op == "constant" and not isinstance(node.attrs["value"], tuple)

    def _own(self, value: Value) -> Access:
        """Where a value of this nest is stored."""
        return access(value, identity(value.type.shape), len(self.space))

    def _lanes(self) -> int:
        sizes = [
            BYTES[value.type.dtype]
            for value, level in self.phases.level.items()
            if level == 1 and value.type.dtype != "bool"
        ]
        return self.target.lanes(4 if 4 in sizes or not sizes else 8)

    # -- values of rows ----------------------------------------------------------------------------------------

    def _row_nodes(self, phase: int) -> None:
        """Compute the elementwise values of a row that are due after this many loops, and store what is kept."""
        for node in self.phases.nest.nodes:
            target = node.outputs[0]
            if self.phases.level[target] != 0 or self.phases.phase[target] != phase:
                continue
            if target not in self.row_values:
                self.row_values[target] = self._compute(node, {}, self._row_variables(), Lanes(1))
            if target in self.phases.kept:
                place = self.axes.of(self._own(target))
                self.kernel.store(self.row_values[target], place, self._row_variables(), Lanes(1))

    def _row_variables(self) -> tuple[str, ...]:
        return (*self.rows, *("0" for _ in range(len(self.axes.extents) - len(self.rows))))

    # -- loops over a row --------------------------------------------------------------------------------------

    def _loop(self, phase: int, outer: int, stops: list[str]) -> None:
        nodes = self.phases.needed(phase)
        reductions = [
            node
            for node in self.phases.nest.nodes
            if node.op in REDUCTIONS
            and self.phases.level[node.outputs[0]] == 0
            and self.phases.phase[node.outputs[0]] == phase + 1
        ]
        totals = {node.outputs[0]: Accumulator(self.arithmetic, node, self.lanes) for node in reductions}

        def body(variables: tuple[str, ...], lanes: Lanes) -> None:
            values: dict[Value, Register] = {}
            for node in nodes:
                self._element(node, values, variables, lanes, phase)
            for node in reductions:
                totals[node.outputs[0]].add(self._operand(node.inputs[0], values, variables, lanes), lanes)

        inner = stops[outer:]
        if not inner:
            body(self.rows, Lanes(1))
        else:
            size = self.axes.extents[-1]
            nested(
                self.out,
                inner[:-1],
                lambda serial: vectors(
                    self.out,
                    self.target,
                    size if inner[-1] != "%count" else Extent(1, 1),
                    inner[-1],
                    self.lanes,
                    lambda i, lanes: body((*self.rows, *serial, i), lanes),
                ),
            )
        for value, total in totals.items():
            self.row_values[value] = total.result()

    def _element(
        self, node: Node, values: dict[Value, Register], variables: tuple[str, ...], lanes: Lanes, phase: int
    ) -> None:
        target = node.outputs[0]
        if target not in self.phases.kept:
            values[target] = self._compute(node, values, variables, lanes)
            return
        place = self.axes.of(self._own(target))
        if self.phases.reloads(target, phase):
            values[target] = self.kernel.load(place, variables, lanes)
        else:
            values[target] = self._compute(node, values, variables, lanes)
            self.kernel.store(values[target], place, variables, lanes)

    # -- one value ---------------------------------------------------------------------------------------------

    def _compute(
        self, node: Node, values: Mapping[Value, Register], variables: tuple[str, ...], lanes: Lanes
    ) -> Register:
        if node.op == "random_bits":
            place = self.axes.of(self._own(node.outputs[0]))
            position = self.kernel.offset((), place.strides, variables)
            return philox_word(self.kernel, node, position, lanes.count)
        inputs = [self._operand(value, values, variables, lanes) for value in node.inputs]
        if node.op == "astype":
            return convert(self.arithmetic, inputs[0], node.outputs[0].type.dtype)
        return OPERATIONS[node.op](self.arithmetic, *inputs)

    def _operand(
        self, value: Value, values: Mapping[Value, Register], variables: tuple[str, ...], lanes: Lanes
    ) -> Register:
        source, index = resolve(self.made, value, identity(value.type.shape))
        if source in values:
            return values[source]
        if source in self.row_values:
            return self.out.splat(self.row_values[source], lanes.count)
        if self._is_number(source):
            return self.out.splat(number(self.kernel, self.made[source]), lanes.count)
        place = self.axes.of(access(source, index, len(self.space)))
        node = self.made.get(source)
        if node is not None and node.op == "arange":
            return self._count(place, variables, lanes)
        return self.kernel.load(place, variables, lanes)

    def _count(self, place: Access, variables: tuple[str, ...], lanes: Lanes) -> Register:
        """Return elements of an arange: its index is the number."""
        first = Register(self.kernel.offset(place.offsets, place.strides, variables), "int64")
        spread = self.out.splat(first, lanes.count)
        step = place.strides[-1] if place.strides else ZERO
        if lanes.count > 1 and step != ZERO:
            steps = Register(self.kernel.scaled_iota(step, lanes.count), "int64", lanes.count)
            spread = Arithmetic(self.out).add(spread, steps)
        return convert(self.arithmetic, spread, place.source.type.dtype)


def number(kernel: Kernel, node: Node) -> Register:
    """Return the number of a scalar constant; a multiple of the batch is computed."""
    value, dtype = node.attrs["value"], node.outputs[0].type.dtype
    if isinstance(value, Batch):
        whole = Register(kernel.extent(Extent(value.scale, 1)), "int64")
        return convert(Arithmetic(kernel.out), whole, dtype)
    assert isinstance(value, (bool, int, float))
    return constant(value, dtype, 1)
