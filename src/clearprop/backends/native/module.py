"""From a program to the text of one LLVM module, `void program(i64 n, ptr buffers)`, and the list of its buffers."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

from clearprop.backends.native.arena import Interval
from clearprop.backends.native.cuts import cut_product, full_index
from clearprop.backends.native.emitter import BYTES, lines_of, literal
from clearprop.backends.native.extents import ZERO, Extent, count
from clearprop.backends.native.functions import define
from clearprop.backends.native.kernels import Columns, Move, Nest, Parts, Product
from clearprop.backends.native.kernels import Kernel as Work
from clearprop.backends.native.lowering import Grouping, prepare
from clearprop.backends.native.moves import STATUS, MoveWriter
from clearprop.backends.native.nests import NestWriter
from clearprop.backends.native.phases import schedule
from clearprop.backends.native.products import ProductWriter
from clearprop.backends.native.random_bits import define_philox
from clearprop.backends.native.reductions import write_columns
from clearprop.backends.native.regions import Kernel, memory_type
from clearprop.backends.native.targets import Target
from clearprop.backends.native.views import identity, resolve
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

    The buffers are the inputs, the results, the intermediate values, and the status.
    """

    text: str
    arena: tuple[Interval, ...]
    results: tuple[tuple[str, Type, int], ...]
    created: tuple[Type, ...]


def write_module(program: Program, target: Target) -> Module:
    """Lower a program and write its text."""
    return _Writer(prepare(program), target).module()


class _Writer:
    def __init__(self, program: Program, target: Target) -> None:
        self.program, self.target = program, target
        self.groups = Grouping(program)
        self.functions: dict[str, str] = {}
        self.names: dict[str, str] = {}
        self.kept: dict[int, list[Value]] = {}
        self.declares: set[str] = set()
        self.uses: set[tuple[str, str, int]] = set()
        self.scratch: dict[Value, int] = {}
        self.parts: dict[int, tuple[Parts, ...]] = {}
        self.readers = self._readers()
        self.created = self._created()

    def module(self) -> Module:
        calls = [self._kernel(place, work) for place, work in enumerate(self.groups.kernels)]
        arena = self._arena()
        table = [*self.program.inputs, *self.created, *arena, STATUS]
        text = "".join(
            (
                *map(self._constant, self.groups.constants),
                *self._library(),
                *self.functions.values(),
                self._program(table, calls),
                lines_of(self.declares),
            )
        )
        inputs = {value: -1 - place for place, value in enumerate(self.program.inputs)}
        places = inputs | {value: place for place, value in enumerate(self.created)}
        results = tuple((name, value.type, places[self._root(value)]) for name, value in self.program.outputs)
        intervals = tuple(Interval(_bytes(value), *span) for value, span in arena.items())
        return Module(text, intervals, results, tuple(value.type for value in self.created))

    # -- what is where -----------------------------------------------------------------------------------------

    def _root(self, value: Value) -> Value:
        return self.groups.alias.get(value, value)

    def _readers(self) -> dict[Value, list[int]]:
        """For every value in memory, the kernels that read it."""
        readers: dict[Value, list[int]] = {}
        for place, work in enumerate(self.groups.kernels):
            for node in work.nodes if isinstance(work, Nest) else (work.node,):
                for value in node.inputs:
                    source, _ = resolve(self.groups.made, value, identity(value.type.shape))
                    readers.setdefault(self._root(source), []).append(place)
        return readers

    def _created(self) -> tuple[Value, ...]:
        given = set(self.program.inputs)
        roots = (self._root(value) for _, value in self.program.outputs)
        return tuple(dict.fromkeys(root for root in roots if root not in given))

    def _outside(self, place: int) -> set[Value]:
        """The values that this kernel makes and others, or the caller, read."""
        made = {value for value, home in self.groups.home.items() if home == place}
        read = {value for value in made if any(reader != place for reader in self.readers.get(value, ()))}
        return read | (made & set(self.created))

    def _arena(self) -> dict[Value, tuple[int, int]]:
        arena = {}
        for place in range(len(self.groups.kernels)):
            for value in self.kept[place]:
                if value not in self.created:
                    arena[value] = (place, max([place, *self.readers.get(value, ())]))
        return arena | {value: (place, place) for value, place in self.scratch.items()}

    # -- kernels -----------------------------------------------------------------------------------------------

    def _kernel(self, place: int, work: Work) -> tuple[str, Extent, list[Value]]:
        """Write one kernel; return its name, the %count of its call, and its buffers."""
        kernel, length = Kernel(self.groups.alias), ZERO
        if isinstance(work, Nest):
            length = self._nest(place, work, kernel)
        else:
            self.kept[place] = list(work.node.outputs)
            self._alone(place, work, kernel)
        parameters = "".join(f", ptr noalias {pointer}" for pointer in kernel.buffers.values())
        kernel.out.do("ret void")
        text = kernel.out.function(f"(i64 %n, i64 %count, i64 %part, i64 %worker{parameters}) noinline nounwind")
        name = self.names.setdefault(text, f"kernel{len(self.names)}")
        self.functions[name] = f"define internal void @{name}{text}"
        self.functions |= kernel.out.helpers
        self.declares |= kernel.out.declares
        self.uses |= kernel.out.uses
        return name, length, list(kernel.buffers)

    def _nest(self, place: int, nest: Nest, kernel: Kernel) -> Extent:
        phases = schedule(nest, self.groups.made, self.groups.level, self._outside(place))
        self.kept[place] = [value for node in nest.nodes for value in node.outputs if value in phases.kept]
        writer = NestWriter(kernel, phases, self.target)
        shared = writer.write()
        return writer.axes.extents[0] if shared else ZERO

    def _alone(self, place: int, work: Columns | Product | Move, kernel: Kernel) -> None:
        made = self.groups.made
        if isinstance(work, Columns):
            (value,) = work.node.inputs
            write_columns(kernel, work, resolve(made, value, identity(value.type.shape)), self.target)
        elif isinstance(work, Product):
            first, second = (resolve(made, value, full_index(value)) for value in work.node.inputs)
            cut = cut_product(work.node, (first, second), self.target)
            if cut.scratch:
                work.scratch = Value(f"scratch{place}", Type(work.node.outputs[0].type.dtype, (cut.scratch,)))
                self.scratch[work.scratch] = place
            self.parts[place] = (cut.rows, cut.columns)
            ProductWriter(kernel, work, cut, self.target).write()
        else:
            MoveWriter(kernel, work, self.target).write()

    # -- text --------------------------------------------------------------------------------------------------

    def _library(self) -> Iterator[str]:
        for name, dtype, lanes in sorted(self.uses):
            text, declares = define_philox(lanes) if name == "random_bits" else define(name, dtype, lanes)
            self.declares |= declares
            yield text

    def _constant(self, node: Node) -> str:
        numbers = node.attrs["value"]
        assert isinstance(numbers, tuple)
        type_ = node.outputs[0].type
        item = memory_type(type_.dtype)
        items = ", ".join(f"{item} {_in_memory(number, type_.dtype)}" for number in numbers)
        return f"{self._global(node.outputs[0])} = private constant [{len(numbers)} x {item}] [{items}], align 64\n"

    def _global(self, value: Value) -> str:
        return f"@constant{[node.outputs[0] for node in self.groups.constants].index(value)}"

    def _program(self, table: list[Value], calls: list[tuple[str, Extent, list[Value]]]) -> str:
        pointers = {node.outputs[0]: self._global(node.outputs[0]) for node in self.groups.constants}
        kernel = Kernel({})
        out = kernel.out
        for place, value in enumerate(table):
            pointers[value] = out.get(f"load ptr, ptr {out.after('%buffers', str(8 * place))}")
        for place, (name, length, buffers) in enumerate(calls):
            arguments = "".join(f", ptr {pointers[value]}" for value in buffers)
            head = f"call void @{name}(i64 %n, i64 {kernel.extent(length)}"
            counts = [parts.count(out, kernel.extent(parts.size)) for parts in self.parts.get(place, ())]
            count = functools.reduce(out.multiply, counts, "1")
            if count == "1":
                out.do(f"{head}, i64 0, i64 0{arguments})")
            else:
                out.loop("0", count, 1, lambda part, h=head, a=arguments: out.do(f"{h}, i64 {part}, i64 0{a})"))  # type: ignore[misc]
        out.do("ret void")
        return out.function("define void @program(i64 %n, ptr %buffers) nounwind")


def _bytes(value: Value) -> Extent:
    return count(value.type.shape) * Extent(BYTES[value.type.dtype])


def _in_memory(number: object, dtype: str) -> str:
    assert isinstance(number, (bool, int, float))
    return str(int(number)) if dtype == "bool" else literal(number, dtype)
