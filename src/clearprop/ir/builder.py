"""The builder: appends typed nodes to a growing program and gives every value a unique name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from clearprop.errors import ProgramError
from clearprop.ir.program import Attribute, Node, Note, Program, Value
from clearprop.ir.types import Type


@dataclass(frozen=True, slots=True)
class Scope:
    """Where the builder stands: the layer whose nodes are being written and the quantity they make up."""

    layer: str = ""
    quantity: str = ""


@dataclass(slots=True)
class Builder:
    """Collects inputs and nodes in order; `finish` closes them into a `Program`.

    It does no arithmetic and knows no operation: types are given by the caller.
    """

    name: str
    inputs: list[Value] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    scope: Scope = field(default_factory=Scope)
    _used: dict[str, int] = field(default_factory=dict)

    def input(self, name: str, type_: Type, note: Note | None = None) -> Value:
        """Declare an input under exactly this name."""
        if name in self._used:
            raise ProgramError(f"{self.name} already has a value named {name!r}; choose another input name")
        self._used[name] = 1
        value = Value(name, type_, note or Note(self.scope.layer, self.scope.quantity))
        self.inputs.append(value)
        return value

    def add(
        self,
        op: str,
        inputs: Sequence[Value],
        attrs: Mapping[str, Attribute],
        types: Iterable[Type],
        hint: str = "",
        note: Note | None = None,
    ) -> tuple[Value, ...]:
        """Append one node and return its outputs, named after `hint`, or else after the layer and operation."""
        note = note or Note(self.scope.layer, self.scope.quantity)
        base = hint or (f"{note.layer}.{op}" if note.layer else op)
        outputs = tuple(Value(self.unique(base), type_, note) for type_ in types)
        self.nodes.append(Node(op, tuple(inputs), attrs, outputs))
        return outputs

    def repeat(self, node: Node, inputs: Iterable[Value]) -> tuple[Value, ...]:
        """Append a node like another one, of other inputs, and return its outputs, named as those of that one."""
        outputs = tuple(Value(self.unique(value.name), value.type, value.note) for value in node.outputs)
        self.nodes.append(Node(node.op, tuple(inputs), node.attrs, outputs))
        return outputs

    def rename(self, value: Value, hint: str, note: Note) -> Value:
        """Give a value of the newest node a better name and note; a value of another node stays as it is."""
        if not self.nodes or value not in self.nodes[-1].outputs or (value.name, value.note) == (hint, note):
            return value
        last = self.nodes.pop()
        if self._used.get(value.name) == 1:
            del self._used[value.name]
        renamed = Value(self.unique(hint), value.type, note)
        outputs = tuple(renamed if output is value else output for output in last.outputs)
        self.nodes.append(Node(last.op, last.inputs, last.attrs, outputs))
        return renamed

    def unique(self, hint: str) -> str:
        """Return `hint`, or `hint_2`, `hint_3` ... if it is taken, and take it."""
        count = self._used.get(hint, 0) + 1
        name = hint if count == 1 else f"{hint}_{count}"
        while name in self._used:
            count += 1
            name = f"{hint}_{count}"
        self._used[hint] = count
        self._used[name] = 1 if name != hint else count
        return name

    def free(self, hint: str) -> str:
        """Return `hint`, or `hint_2`, `hint_3` ... if it is taken, for an input to be declared under."""
        name = self.unique(hint)
        self.release(name)
        return name

    def reserve(self, names: Iterable[str]) -> None:
        """Take names that values of a program already have."""
        self._used.update(dict.fromkeys(names, 1))

    def release(self, name: str) -> None:
        """Give a name back: its value has left the program."""
        self._used.pop(name, None)

    @contextmanager
    def at(self, layer: str | None = None, quantity: str | None = None) -> Iterator[None]:
        """Stand in another layer or quantity for the length of a `with` block."""
        before = self.scope
        self.scope = Scope(before.layer if layer is None else layer, before.quantity if quantity is None else quantity)
        try:
            yield
        finally:
            self.scope = before

    def finish(self, outputs: Iterable[tuple[str, Value]]) -> Program:
        """Close the program."""
        return Program(self.name, tuple(self.inputs), tuple(self.nodes), tuple(outputs))


def rename(program: Program, names: Mapping[Value, tuple[str, Note]]) -> Program:
    """Return the program with other names and notes for some node outputs; a taken name gets a number.

    Inputs keep their names, because callers pass arrays by them; so do values that only other programs have.
    """
    taken = Builder(program.name)
    for value in program.inputs:
        taken.unique(value.name)
    new: dict[Value, Value] = {value: value for value in program.inputs}
    nodes = []
    for node in program.nodes:
        for value in node.outputs:
            name, note = names.get(value, (value.name, value.note))
            new[value] = Value(taken.unique(name), value.type, note)
        targets = tuple(new[value] for value in node.outputs)
        nodes.append(Node(node.op, tuple(new[value] for value in node.inputs), node.attrs, targets))
    outputs = tuple((name, new[value]) for name, value in program.outputs)
    return Program(program.name, program.inputs, tuple(nodes), outputs)
