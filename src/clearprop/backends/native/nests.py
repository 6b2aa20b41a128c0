"""Emission of a nest: elementwise work and reductions over the trailing axes, in one pass over the rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from clearprop.backends.native.arithmetic import Arithmetic
from clearprop.backends.native.elements import Elements
from clearprop.backends.native.elementwise import compute, convert, number
from clearprop.backends.native.emitter import BYTES, Register
from clearprop.backends.native.extents import ONE, ZERO, Extent, count, product
from clearprop.backends.native.kernels import REDUCTIONS, WHOLE, Access, Parts
from clearprop.backends.native.loops import Axes, grouped, merge, nested, span, unrolled, vectors
from clearprop.backends.native.partition import chunks, is_small
from clearprop.backends.native.phases import Phases
from clearprop.backends.native.placing import covers, is_placing, placed_index
from clearprop.backends.native.random_bits import philox_word
from clearprop.backends.native.ranges import Piece
from clearprop.backends.native.reductions import Accumulator, LaneTotals
from clearprop.backends.native.regions import Kernel, Lanes
from clearprop.backends.native.targets import Target
from clearprop.backends.native.views import access, element_of, identity
from clearprop.ir import Node, Type, Value

_MOST_PLACES = 64
"""Of windows; each lane of a vector works on one window."""

_SHORT = 16
"""Elements: rows that are no longer are worked on several at once, with one element of each in a vector."""

Place = tuple[tuple[str, ...], Lanes]
"""Where a vector of elements is: the loops' variables, and its lanes."""


class NestWriter:
    """Writes one nest into a kernel."""

    def __init__(
        self,
        kernel: Kernel,
        phases: Phases,
        target: Target,
        partials: Mapping[Node, Value] | None = None,
        piece: Piece | None = None,
    ) -> None:
        """Take what is written, the partial results that are there, and the rows and columns if they are given."""
        self.kernel, self.phases, self.target, self.piece = kernel, phases, target, piece
        self.out = kernel.out
        self.arithmetic = Arithmetic(kernel.out, contract=True, target=target.name)
        self.made: Mapping[Value, Node] = phases.made
        self.space = phases.nest.space
        self.row_values: dict[Value, Register] = {}
        self.rows: tuple[str, ...] = ()
        self.row_lanes = Lanes(1)
        self.lanes = self._lanes()
        self.axes = self._axes()
        self.outer = self.axes.outer if phases.nest.split is not None else max(len(self.axes.extents) - 1, 0)
        self.parts = self._parts()
        self.elements = Elements(kernel, self.axes, self.outer, self.lanes if self.parts.width else 0)
        self.first, self.stops = "0", [""]
        self.partials = self._partials() if partials is None else partials

    def write(self) -> None:
        """Write the loops of the part %part."""
        self.first, self.stops = self._ranges()
        self._clear()
        if self.partials:
            self._fold()
        elif self.axes.across:
            self._rows_across()
        else:
            nested(self.out, self.stops[: self.outer], lambda rows: self._row(rows, Lanes(1)), self.first)

    def _clear(self) -> None:
        """Put zeros where this part puts elements into places and leaves others out."""
        for node in self.phases.nest.nodes:
            target = node.outputs[0]
            if not is_placing(node) or target not in self.phases.kept or covers(node):
                continue
            whole = self.kernel.extent(count(target.type.shape))
            if self.stops[:1] in ([], [""]) or self.parts.alone:
                start, end = "0", whole
            else:
                step = self.kernel.extent(self._own(target).strides[self.axes.last[0]])
                start, end = self.out.multiply(self.first, step), self.out.multiply(self.stops[0], step)
                last = self.out.get(f"icmp eq i64 {self.stops[0]}, {self.kernel.extent(self.axes.extents[0])}")
                end = self.out.get(f"select i1 {last}, i64 {whole}, i64 {end}")
            size = self.out.multiply(self.out.subtract(end, start), str(BYTES[target.type.dtype]))
            arguments = [f"ptr {self.kernel.address(target, start)}", "i8 0", f"i64 {size}", "i1 false"]
            self.out.call("void", "llvm.memset.p0.i64", arguments)

    @property
    def length(self) -> Extent:
        """What the parameter %count is: the length of the only loop, so that nests can share their code."""
        return self.axes.extents[0] if self._is_flat() else ZERO

    def _rows_across(self) -> None:
        """Write the loops outside of the reductions, the last of them in vectors of rows."""
        last = self.outer - 1
        first = self.first if last == 0 else "0"
        size = self.axes.extents[last] if last or self.parts.alone else Extent(1, 1)

        def line(lead: tuple[str, ...]) -> None:
            out, target = self.out, self.target
            vectors(
                out, target, size, self.stops[last], self.lanes, lambda i, lanes: self._row((*lead, i), lanes), first
            )

        nested(self.out, self.stops[:last], line, self.first)

    def _row(self, rows: tuple[str, ...], lanes: Lanes) -> None:
        self.rows, self.row_lanes, self.row_values = rows, lanes, {}
        self.elements.forget()
        self._compute_row(0)
        self._store_row(0)
        for phase in range(self.phases.last + 1):
            self._loop(phase)
            self._compute_row(phase + 1)
            self._store_row(phase + 1)

    def _is_flat(self) -> bool:
        return len(self.axes.extents) == 1 and not (self.phases.nest.split or 0)

    def _parts(self) -> Parts:
        """Cut the outermost loop, unless one loop over everything needs the result of another."""
        extents = self.axes.extents
        if not extents or self.piece is not None:
            return WHOLE
        dependent = self.outer == 0 and self.phases.last != 0
        # the nests of parameters are cut in any case: those of every length share their code
        if dependent or (is_small(self.phases.nest) and not (self._is_flat() and extents[0].fixed)):
            return Parts(extents[0])
        return chunks(extents[0], product(extents[1:]))

    def _ranges(self) -> tuple[str, list[str]]:
        """Return where the outermost loop starts, and where each loop stops."""
        if not self.axes.extents:
            return "0", []
        if self.piece is not None:
            return self.piece.rows[0], [self.piece.rows[1], self.piece.columns[1]]
        first, stop = span(self.kernel, self.parts, "%count" if self._is_flat() else "")
        return first, [stop, *(self.kernel.extent(size) for size in self.axes.extents[1:])]

    def _axes(self) -> Axes:
        if self.piece is not None:
            return Axes(self.space, (0, 1), 1)
        nest = self.phases.nest
        split = len(self.space) if nest.split is None else nest.split
        axes = merge(self.space, split, self._accesses())
        return replace(axes, across=self._across(axes))

    def _across(self, axes: Axes) -> bool:
        """Whether rows are so short that a vector holds an element of each of several rows, not several of one row."""
        if self.phases.nest.split in (None, 0) or any(node.op == "random_bits" for node in self.phases.nest.nodes):
            return False
        length = product(axes.extents[axes.outer :])
        most = (
            _MOST_PLACES
            if any(node.op == "overlap_add" for node in self.phases.nest.nodes)
            else max(self.lanes, _SHORT)
        )
        return axes.outer > 0 and length.fixed and 0 < length.coefficient <= most

    def _accesses(self) -> list[Access]:
        """Every way in which this nest walks over memory or counts."""
        found = []
        for node in self.phases.nest.nodes:
            target = node.outputs[0]
            if node.op == "random_bits" or target in self.phases.kept:
                found.append(self._own(target))
            for value in node.inputs if node.op != "random_bits" else ():
                source, index = element_of(self.made, value)
                if source not in self.phases.level and not self._is_number(source):
                    found.append(access(source, index, len(self.space)))
        return found

    def _is_number(self, value: Value) -> bool:
        node = self.made.get(value)
        return node is not None and node.op == "constant" and not isinstance(node.attrs["value"], tuple)

    def _own(self, value: Value) -> Access:
        """Where a value of this nest is stored."""
        if is_placing(self.made[value]):
            return access(value, placed_index(self.made, self.made[value]), len(self.space))
        return access(value, identity(value.type.shape), len(self.space))

    def _lanes(self) -> int:
        sizes = [
            BYTES[value.type.dtype]
            for value, level in self.phases.level.items()
            if level == 1 and value.type.dtype != "bool"
        ]
        return self.target.lanes(4 if 4 in sizes or not sizes else 8)

    # -- reductions over everything ----------------------------------------------------------------------------

    def _partials(self) -> dict[Node, Value]:
        """Return where the parts leave the partial results of reductions, which `finish` puts together."""
        if self.outer > 0 or not self.parts.width or self._is_static():
            return {}
        targets = {node: node.outputs[0] for node in self._reductions(0)}
        return {node: Value(f"{v.name}.parts", Type(v.type.dtype, ())) for node, v in targets.items()}

    def _is_static(self) -> bool:
        """Whether every extent stands in the text."""
        return self.parts.alone and not self._is_flat()

    def _fold(self) -> None:
        """Write one loop; where it is the only part, its totals are the results, and else partial results."""
        self._compute_row(0)
        self._loop(0)
        many = self._is_divided()
        self.out.when(many, self._store_partials)
        one = self.out.get(f"xor i1 {many}, true")
        self.out.when(one, self._store_results)

    def _is_divided(self) -> str:
        size = "%count" if self._is_flat() else self.kernel.extent(self.parts.size)
        return self.out.get(f"icmp sgt i64 {size}, {self.parts.width}")

    def _store_partials(self) -> None:
        for node, partial in self.partials.items():
            self.kernel.store(self.row_values[node.outputs[0]], Access(partial, (), (ONE,)), ("%part",), Lanes(1))

    def _store_results(self) -> None:
        self._store_row(0)
        self._compute_row(1)
        self._store_row(1)

    def finish(self) -> None:
        """Put %part partial results together, in the order of the parts, and compute what follows from them."""
        self._compute_row(0)
        totals = {node: Accumulator(self.arithmetic, node, 1) for node in self.partials}

        def step(part: str) -> None:
            for node, partial in self.partials.items():
                item = self.kernel.load(Access(partial, (), (ONE,)), (part,), Lanes(1))
                totals[node].add(item, Lanes(1))

        self.out.loop("0", "%part", 1, step)
        for node, total in totals.items():
            self.row_values[node.outputs[0]] = total.result()
        self._store_results()

    # -- values of rows ----------------------------------------------------------------------------------------

    def _compute_row(self, phase: int) -> None:
        """Compute the elementwise values of a row that are due after this many loops."""
        for node in self._due(phase):
            if node.outputs[0] not in self.row_values:
                self.row_values[node.outputs[0]] = self._compute(node, {}, self._row_variables(), self.row_lanes)

    def _store_row(self, phase: int) -> None:
        """Store those of them that are kept."""
        for node in self._due(phase):
            if node.outputs[0] in self.phases.kept:
                place = self.axes.of(self._own(node.outputs[0]))
                self.kernel.store(self.row_values[node.outputs[0]], place, self._row_variables(), self.row_lanes)

    def _due(self, phase: int) -> list[Node]:
        level, due = self.phases.level, self.phases.phase
        found = [node for node in self.phases.nest.nodes if level[node.outputs[0]] == 0]
        return [node for node in found if due[node.outputs[0]] == phase]

    def _row_variables(self) -> tuple[str, ...]:
        return self._variables(tuple("0" for _ in range(len(self.axes.extents) - len(self.rows))))

    def _variables(self, inner: tuple[str, ...]) -> tuple[str, ...]:
        """Return the loop variables in the order of the strides: that of the lanes comes last."""
        return (*inner, *self.rows) if self.axes.across else (*self.rows, *inner)

    # -- loops over a row --------------------------------------------------------------------------------------

    def _reductions(self, phase: int) -> list[Node]:
        """Return the reductions that this loop ends."""
        return [node for node in self._due(phase + 1) if node.op in REDUCTIONS]

    def _loop(self, phase: int) -> None:
        nodes, reductions = self.phases.needed(phase), self._reductions(phase)
        totals = {node.outputs[0]: self._total(node) for node in reductions}

        def body(group: Sequence[Place]) -> None:
            self.elements.begin()
            values: list[dict[Value, Register]] = [{} for _ in group]
            for node in nodes:
                for found, (variables, lanes) in zip(values, group, strict=True):
                    self._element(node, found, variables, lanes, phase)
            self.elements.flush()
            for node in reductions:
                for found, (variables, lanes) in zip(values, group, strict=True):
                    totals[node.outputs[0]].add(self._operand(node.inputs[0], found, variables, lanes), lanes)

        inner = self.stops[self.outer :]
        if not inner or self.axes.across:
            unrolled(self.out, inner, lambda serial: body([(self._variables(serial), self.row_lanes)]))
        else:
            self._inner(inner, body)
        for value, total in totals.items():
            self.row_values[value] = total.result()

    def _inner(self, stops: list[str], body: Callable[[Sequence[Place]], None]) -> None:
        """Write the loops inside of a row, or all of them where nothing is outside."""
        if self.piece is not None:
            self._columns(self.piece, body)
            return
        first = self.first if self.outer == 0 else "0"
        static = self.outer > 0 or len(stops) > 1 or self._is_static()
        size = self.axes.extents[-1] if static else Extent(1, 1)

        def line(serial: tuple[str, ...]) -> None:
            start = "0" if serial else first
            variables = (*self.rows, *serial)

            def some(group: Sequence[tuple[str, Lanes]]) -> None:
                body([((*variables, i), lanes) for i, lanes in group])

            grouped(self.out, self.target, size, stops[-1], self.lanes, some, start)

        nested(self.out, stops[:-1], line, first)

    def _columns(self, piece: Piece, body: Callable[[Sequence[Place]], None]) -> None:
        """Write the loop over the columns of a piece."""
        begin, end = piece.columns

        def some(group: Sequence[tuple[str, Lanes]], first: str = "0") -> None:
            body([((*self.rows, self.out.add(first, i)), lanes) for i, lanes in group])

        if piece.width is None:
            grouped(self.out, self.target, Extent(1, 1), end, self.lanes, some, begin)
        else:
            width = Extent(piece.width)
            grouped(self.out, self.target, width, str(piece.width), self.lanes, lambda group: some(group, begin))

    def _total(self, node: Node) -> Accumulator | LaneTotals:
        if self.axes.across:
            return LaneTotals(self.arithmetic, node, self.row_lanes.count)
        return Accumulator(self.arithmetic, node, self.lanes)

    def _element(
        self, node: Node, values: dict[Value, Register], variables: tuple[str, ...], lanes: Lanes, phase: int
    ) -> None:
        target = node.outputs[0]
        if target not in self.phases.kept:
            values[target] = self._compute(node, values, variables, lanes)
            return
        place = self.axes.of(self._own(target))
        if self.phases.reloads(target, phase):
            values[target] = self.elements.load(place, variables, lanes)
        else:
            values[target] = self._compute(node, values, variables, lanes)
            self.elements.store(values[target], place, variables, lanes)

    # -- one value ---------------------------------------------------------------------------------------------

    def _compute(
        self, node: Node, values: Mapping[Value, Register], variables: tuple[str, ...], lanes: Lanes
    ) -> Register:
        if node.op == "random_bits":
            place = self.axes.of(self._own(node.outputs[0]))
            position = self.kernel.offset((), place.strides, variables)
            return philox_word(self.kernel, node, position, lanes.count)
        inputs = [self._operand(value, values, variables, lanes) for value in node.inputs]
        if is_placing(node):
            return inputs[0]
        free = node.outputs[0] not in self.phases.compared
        near = free and not lanes.mask  # a vector by itself is done sooner by the instruction
        return compute(Arithmetic(self.out, contract=free, target=self.target.name, near=near), node, inputs)

    def _operand(
        self, value: Value, values: Mapping[Value, Register], variables: tuple[str, ...], lanes: Lanes
    ) -> Register:
        source, index = element_of(self.made, value)
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
        return self.elements.load(place, variables, lanes)

    def _count(self, place: Access, variables: tuple[str, ...], lanes: Lanes) -> Register:
        """Return elements of an arange: its index is the number."""
        first = Register(self.kernel.offset(place.offsets, place.strides, variables), "int64")
        spread = self.out.splat(first, lanes.count)
        step = place.strides[-1] if place.strides else ZERO
        if lanes.count > 1 and step != ZERO:
            steps = Register(self.kernel.scaled_iota(step, lanes.count), "int64", lanes.count)
            spread = Arithmetic(self.out).add(spread, steps)
        return convert(self.arithmetic, spread, place.source.type.dtype)
