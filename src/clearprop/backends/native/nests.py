"""Emission of a nest: elementwise work and reductions over the trailing axes, in one pass over the rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from clearprop.backends.native.arithmetic import Arithmetic
from clearprop.backends.native.elements import Elements
from clearprop.backends.native.elementwise import compute, convert, is_number, number
from clearprop.backends.native.emitter import BYTES, Register
from clearprop.backends.native.extents import ONE, ZERO, Extent, count
from clearprop.backends.native.kernels import REDUCTIONS, Access
from clearprop.backends.native.loops import grouped, nested, span, unrolled, vectors
from clearprop.backends.native.phases import Phases
from clearprop.backends.native.placing import covers, is_placing
from clearprop.backends.native.random_bits import philox_word
from clearprop.backends.native.ranges import Piece
from clearprop.backends.native.reductions import Accumulator, LaneTotals, sums_nothing
from clearprop.backends.native.regions import Kernel, Lanes
from clearprop.backends.native.targets import Target
from clearprop.backends.native.walks import Walk
from clearprop.ir import Node, Type, Value

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
        self.row_values: dict[Value, Register] = {}
        self.rows: tuple[str, ...] = ()
        self.row_lanes = Lanes(1)
        self.walk = walk = Walk(phases, target, piece is not None)
        self.lanes, self.axes, self.outer, self.parts = walk.lanes, walk.axes, walk.outer, walk.parts
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
                step = self.kernel.extent(self.walk.own(target).strides[self.axes.last[0]])
                start, end = self.out.multiply(self.first, step), self.out.multiply(self.stops[0], step)
                last = self.out.get(f"icmp eq i64 {self.stops[0]}, {self.kernel.extent(self.axes.extents[0])}")
                end = self.out.get(f"select i1 {last}, i64 {whole}, i64 {end}")
            size = self.out.multiply(self.out.subtract(end, start), str(BYTES[target.type.dtype]))
            arguments = [f"ptr {self.kernel.address(target, start)}", "i8 0", f"i64 {size}", "i1 false"]
            self.out.call("void", "llvm.memset.p0.i64", arguments)

    @property
    def length(self) -> Extent:
        """What the parameter %count is: the length of the only loop, so that nests can share their code."""
        return self.axes.extents[0] if self.walk.flat else ZERO

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

    def _ranges(self) -> tuple[str, list[str]]:
        """Return where the outermost loop starts, and where each loop stops."""
        if not self.axes.extents:
            return "0", []
        if self.piece is not None:
            return self.piece.rows[0], [self.piece.rows[1], self.piece.columns[1]]
        first, stop = span(self.kernel, self.parts, "%count" if self.walk.flat else "")
        return first, [stop, *(self.kernel.extent(size) for size in self.axes.extents[1:])]

    # -- reductions over everything ----------------------------------------------------------------------------

    def _partials(self) -> dict[Node, Value]:
        """Return where the parts leave the partial results of reductions, which `finish` puts together."""
        if self.outer > 0 or not self.parts.width or self.walk.static:
            return {}
        targets = {node: node.outputs[0] for node in self._reductions(0)}
        return {node: Value(f"{v.name}.parts", Type(v.type.dtype, ())) for node, v in targets.items()}

    def _fold(self) -> None:
        """Write one loop; where it is the only part, its totals are the results, and else partial results."""
        self._compute_row(0)
        self._loop(0)
        many = self._is_divided()
        self.out.when(many, self._store_partials)
        one = self.out.get(f"xor i1 {many}, true")
        self.out.when(one, self._store_results)

    def _is_divided(self) -> str:
        size = "%count" if self.walk.flat else self.kernel.extent(self.parts.size)
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
                place = self.axes.of(self.walk.own(node.outputs[0]))
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
                self._elements(node, values, group, phase)
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
        static = self.outer > 0 or len(stops) > 1 or self.walk.static
        size = self.axes.extents[-1] if static else Extent(1, 1)

        def line(serial: tuple[str, ...]) -> None:
            start = "0" if serial else first
            variables = (*self.rows, *serial)

            def some(group: Sequence[tuple[str, Lanes]]) -> None:
                body([((*variables, i), lanes) for i, lanes in group])

            grouped(self.out, self.target, size, stops[-1], self.lanes, some, start, self.walk.divides)

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
        return Accumulator(self.arithmetic, node, self.lanes, fuses=sums_nothing(self.made, node))

    def _elements(self, node: Node, values: list[dict[Value, Register]], group: Sequence[Place], phase: int) -> None:
        """Compute a value for each vector of a group, or read it back."""
        target = node.outputs[0]
        if self.phases.reloads(target, phase):
            place = self.axes.of(self.walk.own(target))
            items = [self.elements.load(place, *vector) for vector in group]
        else:
            items = self._computed(node, values, group)
            if target in self.phases.kept:
                place = self.axes.of(self.walk.own(target))
                for item, vector in zip(items, group, strict=True):
                    self.elements.store(item, place, *vector)
        for found, item in zip(values, items, strict=True):
            found[target] = item

    def _computed(self, node: Node, values: list[dict[Value, Register]], group: Sequence[Place]) -> list[Register]:
        """Return a value for each vector of a group; quotients together, for what they are tested for."""
        places = list(zip(values, group, strict=True))
        if node.op != "divide":
            return [self._compute(node, found, *vector) for found, vector in places]
        pairs = [[self._operand(value, found, *vector) for value in node.inputs] for found, vector in places]
        return self._arithmetic(node, group[0][1]).quotients([(a, b) for a, b in pairs])

    # -- one value ---------------------------------------------------------------------------------------------

    def _compute(
        self, node: Node, values: Mapping[Value, Register], variables: tuple[str, ...], lanes: Lanes
    ) -> Register:
        if node.op == "random_bits":
            place = self.axes.of(self.walk.own(node.outputs[0]))
            position = self.kernel.offset((), place.strides, variables)
            return philox_word(self.kernel, node, position, lanes.count)
        inputs = [self._operand(value, values, variables, lanes) for value in node.inputs]
        if is_placing(node):
            return inputs[0]
        return compute(self._arithmetic(node, lanes), node, inputs)

    def _arithmetic(self, node: Node, lanes: Lanes) -> Arithmetic:
        free = node.outputs[0] not in self.phases.compared
        near = free and not lanes.mask  # a vector by itself is done sooner by the instruction
        return Arithmetic(self.out, contract=free, target=self.target.name, near=near)

    def _operand(
        self, value: Value, values: Mapping[Value, Register], variables: tuple[str, ...], lanes: Lanes
    ) -> Register:
        source, place = self.walk.read(value)
        if source in values:
            return values[source]
        if source in self.row_values:
            return self.out.splat(self.row_values[source], lanes.count)
        if is_number(self.made, source):
            return self.out.splat(number(self.kernel, self.made[source]), lanes.count)
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
