"""Values, nodes and programs: the nouns of the intermediate representation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Union

from clearprop.errors import ProgramError
from clearprop.ir.types import Batch, Type, is_float

Attribute = Union[bool, int, float, str, Batch, tuple["Attribute", ...], "Program"]
"""What metadata may be: scalars, dimensions, tuples of them, and (for loops) a body program."""


@dataclass(frozen=True, slots=True)
class Note:
    """What a value means to a reader: which `layer` it belongs to and which textbook `quantity` it is.

    Quantities are the textbook's letters: z (weighted input), a (activation), loss, cost, penalty, objective;
    a cotangent is written d and the letter (dW), but delta for that of z.
    """

    layer: str = ""
    quantity: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """One array of a program: a name that is unique in it, a type, and a note for the reader.

    Two values are equal only when they are the same object.
    """

    name: str
    type: Type
    note: Note = field(default_factory=Note)

    def __repr__(self) -> str:
        return f"{self.name}: {self.type}"


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One application of a primitive: `outputs = op(*inputs, **attrs)`."""

    op: str
    inputs: tuple[Value, ...]
    attrs: Mapping[str, Attribute]
    outputs: tuple[Value, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "attrs", MappingProxyType(dict(self.attrs)))


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A function of arrays: named inputs, nodes in the order they run, named outputs.

    An output has a name of its own, because one value may be returned under two names or be an input.
    """

    name: str
    inputs: tuple[Value, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[tuple[str, Value], ...]

    @property
    def input_names(self) -> tuple[str, ...]:
        """The names of the inputs, in order."""
        return tuple(value.name for value in self.inputs)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The names of the outputs, in order."""
        return tuple(name for name, _ in self.outputs)

    def input(self, name: str) -> Value:
        """Return the input of this name; `ProgramError` names the inputs there are."""
        for value in self.inputs:
            if value.name == name:
                return value
        raise ProgramError(f"{self.name} has no input {name!r}; its inputs are {', '.join(self.input_names)}")

    def output(self, name: str) -> Value:
        """Return the value given out under this name; `ProgramError` names the outputs there are."""
        for output_name, value in self.outputs:
            if output_name == name:
                return value
        raise ProgramError(f"{self.name} has no output {name!r}; its outputs are {', '.join(self.output_names)}")

    def values(self) -> Iterator[Value]:
        """Iterate over every value in the order of assignment, inputs first."""
        yield from self.inputs
        for node in self.nodes:
            yield from node.outputs

    def dependents(self, values: Iterable[Value], floats: bool = False) -> set[Value]:
        """Return these values and every one that is computed from them, or (with `floats`) by way of floats alone."""
        found = set(values)
        for node in self.nodes:
            if not found.isdisjoint(node.inputs):
                found.update(value for value in node.outputs if is_float(value.type) or not floats)
        return found

    def with_outputs(self, *names: str) -> Program:
        """Return the program that gives out only these outputs, in this order."""
        return replace(self, outputs=tuple((name, self.output(name)) for name in names))
