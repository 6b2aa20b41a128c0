"""What the passes share: rebuilding a program node by node, and looking at constants."""

from __future__ import annotations

from collections.abc import Callable

from clearprop.ir import Node, Note, Program, Value, rename
from clearprop.ops import Tensor, current_builder, tracing

Rule = Callable[[Node, tuple[Value, ...]], "Value | None"]


class Definitions:
    """Which node of the program being rebuilt made a value."""

    def __init__(self) -> None:
        self._nodes: dict[Value, Node] = {}

    def add(self, node: Node) -> None:
        """Remember a node by its outputs."""
        for value in node.outputs:
            self._nodes[value] = node

    def of(self, value: Value, op: str | None = None) -> Node | None:
        """Return the node that made the value, if there is one and (when given) it is of this operation."""
        node = self._nodes.get(value)
        return node if node is not None and op in (None, node.op) else None

    def number(self, value: Value) -> bool | int | float | None:
        """Return the number that fills the value, seen through broadcasts and reshapes, or None."""
        node = self.of(value)
        while node is not None and node.op in ("broadcast_to", "reshape"):
            node = self.of(node.inputs[0])
        if node is None or node.op != "constant" or node.attrs["shape"] != ():
            return None
        number = node.attrs["value"]
        return number if isinstance(number, (bool, int, float)) else None


def rebuild(program: Program, rule: Callable[[Definitions], Rule]) -> Program:
    """Write the program anew; where the rule gives a value, that one takes the node's place.

    The rule may append nodes to the trace; a node it returns None for is copied under its own name.
    """
    definitions = Definitions()
    apply = rule(definitions)
    with tracing(program.name) as builder:
        letters: dict[Value, tuple[str, Note]] = {}
        new = {value: builder.input(value.name, value.type, value.note) for value in program.inputs}
        for node in program.nodes:
            inputs = tuple(new[value] for value in node.inputs)
            count = len(builder.nodes)
            note = node.outputs[0].note
            with builder.at(layer=note.layer, quantity=note.quantity):
                replacement = apply(node, inputs)
            for added in builder.nodes[count:]:
                definitions.add(added)
            if replacement is not None:
                new[node.outputs[0]] = replacement
                if _has_letter(node.outputs[0]) and not _has_letter(replacement):
                    letters[replacement] = (node.outputs[0].name, note)
                continue
            types = [value.type for value in node.outputs]
            copies = builder.add(node.op, inputs, node.attrs, types, node.outputs[0].name, note)
            definitions.add(builder.nodes[-1])
            new.update(zip(node.outputs, copies, strict=True))
        return rename(builder.finish((name, new[value]) for name, value in program.outputs), letters)


def _has_letter(value: Value) -> bool:
    """Tell whether a value bears a textbook letter, which must outlive the node that had it."""
    return bool(value.note.quantity) and value.name.rpartition(".")[2] == value.note.quantity


def finish_as(tensor: Tensor, node: Node, inputs: tuple[Value, ...]) -> Value:
    """Return the replacement, under the replaced value's name if it is a new value."""
    if tensor.value in inputs:
        return tensor.value
    return current_builder().rename(tensor.value, node.outputs[0].name, node.outputs[0].note)
