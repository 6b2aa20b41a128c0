"""From a program to the text of an LLVM module, `void program(i64 n, ptr buffers, ptr team)`, and its buffers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from clearprop.backends.native.arena import Interval
from clearprop.backends.native.calls import Call, Follower, Region, Repeat, kernels_of, write_program
from clearprop.backends.native.contractions import contraction_of, loop_indices
from clearprop.backends.native.convolutions import ConvolutionWriter
from clearprop.backends.native.cuts import Cut
from clearprop.backends.native.drive import write_drive
from clearprop.backends.native.emitter import BYTES, lines_of
from clearprop.backends.native.extents import ZERO, Extent, count, product
from clearprop.backends.native.following import cut_of, group
from clearprop.backends.native.inplace import in_place, replaced, separate
from clearprop.backends.native.kernels import WHOLE, Columns, Convolution, Loop, Move, Nest, Parts, Product, nodes_of
from clearprop.backends.native.moves import STATUS, MoveWriter
from clearprop.backends.native.nests import NestWriter
from clearprop.backends.native.partition import cost
from clearprop.backends.native.phases import Phases, schedule
from clearprop.backends.native.pooling import InWindows
from clearprop.backends.native.preparation import step_of
from clearprop.backends.native.products import ProductWriter
from clearprop.backends.native.ranges import piece_of
from clearprop.backends.native.reductions import ColumnsWriter, put_together
from clearprop.backends.native.regions import Kernel
from clearprop.backends.native.rewriting import rewritten
from clearprop.backends.native.targets import Target
from clearprop.backends.native.texts import write_constant, write_library
from clearprop.backends.native.views import resolve, source_of
from clearprop.backends.stepping import Roles
from clearprop.ir import Node, Program, Type, Value


@dataclass(frozen=True)
class Module:
    """A program as LLVM text.

    Attributes:
        text: the module.
        arena: the intermediate values, in the order of their buffers.
        results: for each output its name, its type, and the number of its result buffer, or (negative, from -1
            on) of the input that it is.
        created: the type of each result buffer.
        regions: the work that a team of threads may share.

    The buffers are the inputs, the results, the intermediate values, and the status.
    """

    text: str
    arena: tuple[Interval, ...]
    results: tuple[tuple[str, Type, int], ...]
    created: tuple[Type, ...]
    regions: tuple[Region, ...] = ()


def write_module(program: Program, target: Target) -> Module:
    """Lower a program and write its text."""
    return _Writer(rewritten(program, target), target).module()


def write_step_module(program: Program, roles: Roles, target: Target) -> Module:
    """Lower a training step whose outputs replace the inputs of their names, and write it with `drive`."""
    return _Writer(rewritten(separate(program), target), target, roles).module()


class _Writer:
    def __init__(self, moved: InWindows, target: Target, roles: Roles | None = None) -> None:
        self.groups = group(moved, target)
        self.program = program = self.groups.program
        self.target, self.roles = target, roles
        self.functions: dict[str, str] = {}
        self.names: dict[str, str] = {}
        self.kept: dict[int, list[Value]] = {}
        self.declares: set[str] = set()
        self.uses: set[tuple[str, str, int]] = set()
        self.own: dict[Value, Interval] = {}
        self.constants = list(self.groups.constants)
        self.readers = self._readers()
        self.asked = self._asked()
        self.replaced = replaced(program, self.groups) if roles is not None else []
        own = in_place(self.replaced, self.groups, self.readers, self._phases)
        self.created = tuple(value for value in self.asked if value not in own)
        self.groups.rename(own)

    def module(self) -> Module:
        calls = self.calls()
        calls += [self._copy(new, old) for new, old in self.replaced if self._root(new) is not old]
        arena = self._arena()
        table = [*self.program.inputs, *self.created, *arena, *self.own, STATUS]
        constants = {node.outputs[0]: self._global(node.outputs[0]) for node in self.constants}
        program, declares = write_program(calls, table, constants)
        library, more = write_library(self.uses, self.target)
        self.declares |= declares | more
        text = "".join(
            (
                *(write_constant(self._global(node.outputs[0]), node) for node in self.constants),
                *library,
                *self.functions.values(),
                program,
                self._drive(table),
                lines_of(self.declares),
            )
        )
        inputs = {value: -1 - place for place, value in enumerate(self.program.inputs)}
        places = inputs | {value: place for place, value in enumerate(self.created)}
        results = tuple((name, value.type, places[self._root(value)]) for name, value in self.program.outputs)
        intervals = [Interval(_bytes(value), *span) for value, span in arena.items()]
        regions = tuple(Region(call.cost, call.parts, times) for call, times in kernels_of(calls) if not call.alone)
        return Module(
            text, (*intervals, *self.own.values()), results, tuple(value.type for value in self.created), regions
        )

    def calls(self) -> list[Call | Repeat]:
        """Write the kernels, and return how they are called."""
        self.kept = {place: [] for place in range(len(self.groups.kernels))}
        return [
            self._loop(place, work) if isinstance(work, Loop) else self._kernel(place, work)
            for place, work in self.groups.at_work()
        ]

    # -- what is where -----------------------------------------------------------------------------------------

    def _root(self, value: Value) -> Value:
        return self.groups.alias.get(value, value)

    def _readers(self) -> dict[Value, list[int]]:
        """For every value in memory, the kernels that read it."""
        readers: dict[Value, list[int]] = {}
        for place, work in enumerate(self.groups.kernels):
            for value in (value for node in nodes_of(work) for value in node.inputs):
                source = source_of(self.groups.made, value)
                readers.setdefault(self._root(source), []).append(place)
        return readers

    def _asked(self) -> tuple[Value, ...]:
        """The values in memory that are outputs and no inputs."""
        given = set(self.program.inputs)
        roots = (self._root(value) for _, value in self.program.outputs)
        return tuple(dict.fromkeys(root for root in roots if root not in given))

    def _outside(self, place: int) -> set[Value]:
        """The values that this kernel makes and others, or the caller, read."""
        made = {value for value, home in self.groups.home.items() if home == place}
        read = {value for value in made if any(reader != place for reader in self.readers.get(value, ()))}
        return read | (made & set(self.asked))

    def _arena(self) -> dict[Value, tuple[int, int]]:
        arena = {}
        for place in range(len(self.groups.kernels)):
            for value in self.kept[place]:
                if value not in self.asked:
                    arena[value] = (place, max([place, *self.readers.get(value, ())]))
        return arena

    # -- kernels -----------------------------------------------------------------------------------------------

    def _loop(self, place: int, work: Loop) -> Repeat:
        """Write the functions of a loop's body and return how they are called."""
        self.kept[place] = list(work.node.outputs)
        return _BodyWriter(self, place, work.node).repeat()

    def _kernel(self, place: int, work: Nest | Columns | Product | Convolution | Move) -> Call:
        """Write the functions of one kernel and return how they are called."""
        if isinstance(work, Nest) and work.leader is not None:
            led = self._led if product(work.space).fixed else self._continued
            return led(place, work, work.leader)
        kernel, call = Kernel(self.groups.alias), Call(cost=(cost(work),))
        if isinstance(work, Nest):
            self._nest(place, work, kernel, call)
        else:
            self.kept[place] = list(work.node.outputs)
            self._alone(place, work, kernel, call)
        self._define(kernel, call)
        return call

    def _led(self, place: int, nest: Nest, leader: Product) -> Call:
        """Write a product and the nest that goes on with its parts; return how they are called."""
        kernel, call = Kernel(self.groups.alias), Call(cost=(cost(leader), cost(nest)))
        cut = self._product(place, leader, kernel, call, led=True)
        self._define(kernel, call)
        kernel, after = Kernel(self.groups.alias), Call()
        partials = self._nest(place, nest, kernel, after)
        self._define(kernel, after)
        assert after.parts[0].width, "a nest that follows is one loop"
        result = leader.node.outputs[0]
        size, each = count(result.type.shape).coefficient, cut.rows.width * cut.across.coefficient
        call.follower, call.finish = Follower(after, result, size, each), after.finish
        self._own(place, partials, Parts(Extent(call.follower.all_pieces), 1))
        own = Value(result.name, Type(result.type.dtype, (each,)))
        self.own[result] = Interval(_bytes(own), self.at(place), self.at(place), each_worker=True)
        return call

    def _continued(self, place: int, nest: Nest, leader: Product) -> Call:
        """Write a product and the nest that goes on with its parts, where they lie; return how they are called."""
        kernel, call = Kernel(self.groups.alias), Call(cost=(cost(leader), cost(nest)))
        cut = self._product(place, leader, kernel, call)
        self._define(kernel, call)
        phases, kernel = self._phases(place), Kernel(self.groups.alias)
        made = [value for node in nest.nodes for value in node.outputs if value in phases.kept]
        self.kept[place] = [value for value in (*made, *leader.node.outputs) if self._root(value) is value]
        call.then = Call()
        NestWriter(kernel, phases, self.target, piece=piece_of(kernel, cut, "%part")).write()
        self._define(kernel, call.then)
        return call

    def _copy(self, new: Value, old: Value) -> Call:
        """Write a kernel that copies a new value over the old one; return how it is called."""
        kernel, call = Kernel(self.groups.alias), Call()
        arguments = [f"ptr {kernel.pointer(value)}" for value in (old, new)]
        size = kernel.extent(_bytes(old))
        kernel.out.call("void", "llvm.memcpy.p0.p0.i64", [*arguments, f"i64 {size}", "i1 false"])
        self._define(kernel, call)
        return call

    def _define(self, kernel: Kernel, call: Call) -> None:
        """Give the call the name of a function of this text; the same text is there only once."""
        parameters = "".join(f", ptr noalias {pointer}" for pointer in kernel.buffers.values())
        kernel.out.do("ret void")
        text = kernel.out.function(f"(i64 %n, i64 %count, i64 %part, i64 %worker{parameters}) noinline nounwind")
        call.name = self.names.setdefault(text, f"kernel{len(self.names)}")
        call.buffers = list(kernel.buffers)
        self.functions[call.name] = f"define internal void @{call.name}{text}"
        for name, helper in kernel.out.helpers.items():
            assert self.functions.setdefault(name, helper) == helper, f"two functions are called {name}"
        self.declares |= kernel.out.declares
        self.uses |= kernel.out.uses

    def _phases(self, place: int) -> Phases:
        nest = self.groups.kernels[place]
        assert isinstance(nest, Nest)
        return schedule(nest, self.groups.made, self.groups.level, self._outside(place), self.groups.compared)

    def _nest(self, place: int, nest: Nest, kernel: Kernel, call: Call) -> list[Value]:
        """Write a nest; return the partial results of its parts."""
        phases = self._phases(place)
        self.kept[place] = [value for node in nest.nodes for value in node.outputs if value in phases.kept]
        writer = NestWriter(kernel, phases, self.target)
        writer.write()
        call.length, call.parts = writer.length, (writer.parts,)
        self._own(place, writer.partials.values(), writer.parts)
        if writer.partials and not writer.parts.alone:
            last = NestWriter(Kernel(self.groups.alias), phases, self.target, writer.partials)
            last.finish()
            self._finish(last.kernel, call, call.length)
        return list(writer.partials.values())

    def _alone(self, place: int, work: Columns | Product | Convolution | Move, kernel: Kernel, call: Call) -> None:
        made = self.groups.made
        if isinstance(work, Columns):
            writer = ColumnsWriter(kernel, work, made, self.groups.compared, self.target)
            writer.write()
            call.parts = (writer.parts,)
            if writer.partial is not None:
                self._own(place, (writer.partial,), writer.parts)
                last = Kernel(self.groups.alias)
                self._finish(last, call, writer.finish(last))
        elif isinstance(work, Product):
            self._product(place, work, kernel, call)
        elif isinstance(work, Convolution):
            self._convolution(place, work, kernel, call)
        else:
            call.parts = (MoveWriter(kernel, work, made, self.target).write(),)

    def _product(self, place: int, work: Product, kernel: Kernel, call: Call, led: bool = False) -> Cut:
        cut = cut_of(self.groups, work, self.target, led)
        if cut.scratch:
            work.scratch = Value(f"scratch{place}", Type(work.node.outputs[0].type.dtype, (cut.scratch,)))
            self._own(place, (work.scratch,), each_worker=True)
        call.parts = (cut.stack, cut.rows, cut.columns)
        ProductWriter(kernel, work, cut, self.target).write()
        return cut

    def _convolution(self, place: int, work: Convolution, kernel: Kernel, call: Call) -> None:
        indices = zip(work.node.inputs, loop_indices(work.node), strict=True)
        x, w = (resolve(self.groups.made, value, index) for value, index in indices)
        plan = contraction_of(work.node, (x, w), self.target)
        writer = ConvolutionWriter(kernel, work, plan, self.target)
        writer.write()
        call.parts = (plan.parts, plan.bands)
        if writer.partial is not None:
            self._own(place, (writer.partial,), plan.parts)
            last = Kernel(self.groups.alias)
            self._finish(last, call, put_together(last, "sum", writer.partial, writer.result, self.target))

    def _own(self, place: int, values: Iterable[Value], parts: Parts = WHOLE, each_worker: bool = False) -> None:
        """Give each part of a kernel, or each worker, memory for these values while the kernel runs."""
        at = self.at(place)
        self.own.update((value, Interval(_bytes(value), at, at, parts, each_worker)) for value in values)

    def at(self, place: int) -> int:
        """Return when a kernel runs, by the kernels of the whole program."""
        return place

    def _finish(self, kernel: Kernel, call: Call, length: Extent) -> None:
        """Let a kernel be followed by another when it has several parts."""
        call.finish = Call(length=length)
        self._define(kernel, call.finish)

    # -- text --------------------------------------------------------------------------------------------------

    def _global(self, value: Value) -> str:
        return f"@constant{[node.outputs[0] for node in self.constants].index(value)}"

    def _drive(self, table: list[Value]) -> str:
        """Write the loop over steps, if this is a training step."""
        if self.roles is None:
            return ""
        numbers = {value: place for place, value in enumerate(table)}
        named = [(value.name, value) for value in (*self.program.inputs, STATUS)]
        named += [(name, self._root(value)) for name, value in self.program.outputs]
        places = {name: (numbers[value], value.type.dtype) for name, value in named}
        text, declares = write_drive(self.roles, places, self.target.family)
        self.declares |= declares
        return text


class _BodyWriter(_Writer):
    """Writes the body of a loop into the module of the program around it.

    The inputs of a step and what it gives out are pointers in the table of buffers that move from step to step; they
    have no memory of their own. A state that is given out at every step lies where it is given out; another one has two
    places that take turns.
    """

    def __init__(self, outer: _Writer, place: int, node: Node) -> None:
        super().__init__(rewritten(step_of(node), outer.target), outer.target)
        self.outer, self.node, self._place = outer, node, outer.at(place)
        self.functions, self.names, self.own = outer.functions, outer.names, outer.own
        self.declares, self.uses, self.constants = outer.declares, outer.uses, outer.constants
        self.constants.extend(self.groups.constants)
        carries, sequences = node.attrs["carries"], node.attrs["sequences"]
        assert isinstance(carries, int)
        assert isinstance(sequences, int)
        self.carries, self.first_constant = carries, carries + sequences
        shared = zip(self.program.inputs[self.first_constant :], node.inputs[self.first_constant :], strict=True)
        self.groups.rename({inside: outer._root(outside) for inside, outside in shared})

    def at(self, place: int) -> int:
        """Return when the loop runs."""
        return self._place

    def repeat(self) -> Repeat:
        """Write the kernels of the body, and return how they are called."""
        length = self.node.attrs["length"]
        assert isinstance(length, int)
        loop = Repeat(self.calls(), length, bool(self.node.attrs["reverse"]))
        for place in range(len(self.groups.kernels)):
            self._own(place, (value for value in self.kept[place] if value not in self.asked))
        moving = (*self.program.inputs[: self.first_constant], *self.asked)
        self.own.update((value, Interval(ZERO, self._place, self._place)) for value in moving)
        self._move(loop)
        self._carry(loop)
        return loop

    def _move(self, loop: Repeat) -> None:
        """Let the slices and the results move along their sequences."""
        given, results = self.node.inputs, self.node.outputs
        slices = zip(self.program.inputs, given, strict=True)
        for value, sequence in list(slices)[self.carries : self.first_constant]:
            loop.along.append((value, self.outer._root(sequence), _bytes(value)))
        for (_, value), stack in list(zip(self.program.outputs, results, strict=True))[self.carries :]:
            loop.along.append((self._root(value), self.outer._root(stack), _bytes(value)))

    def _carry(self, loop: Repeat) -> None:
        """Let each state start from what is given, and go from step to step."""
        along = {value for value, _, _ in loop.along}
        states = zip(self.program.inputs, self.node.inputs, self.program.outputs, self.node.outputs, strict=False)
        for state, first, (_, new), final in list(states)[: self.carries]:
            root = self._root(new)
            loop.carried.append((state, self.outer._root(first), root))
            loop.finals.append((self.outer._root(final), state, _bytes(state)))
            if root not in along:
                places = Value(f"{state.name}.places", Type(state.type.dtype, (2, *state.type.shape)))
                self._own(0, (places,))
                loop.turns.append((root, places, _bytes(state)))


def _bytes(value: Value) -> Extent:
    return count(value.type.shape) * Extent(BYTES[value.type.dtype])
