"""What the passes share: rebuilding a program node by node, and looking at constants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from clearprop.ir import Node, Note, Program, Scope, Value, rename
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
    """Where the rule gives a value, that one takes the place of the node's; the program itself if it gives none.

    The rule may append nodes to the trace; every other node stays, with the replaced ones exchanged in its inputs.
    """
    definitions = Definitions()
    apply = rule(definitions)
    new: dict[Value, Value] = {}
    letters: dict[Value, tuple[str, Note]] = {}
    with tracing(program.name) as builder:
        builder.inputs.extend(program.inputs)
        builder.reserve(value.name for value in program.values())
        for node in program.nodes:
            inputs = tuple([new.get(value, value) for value in node.inputs])
            count, target = len(builder.nodes), node.outputs[0]
            builder.scope = Scope(target.note.layer, target.note.quantity)
            replacement = apply(node, inputs)
            if replacement is None:
                builder.nodes.append(node if inputs == node.inputs else replace(node, inputs=inputs))
            else:
                new[target] = replacement
                if _has_letter(target) and not _has_letter(replacement):
                    letters[replacement] = (target.name, target.note)
            for added in builder.nodes[count:]:
                definitions.add(added)
        if not new:
            return program
        result = builder.finish((name, new.get(value, value)) for name, value in program.outputs)
        return rename(result, letters) if letters else result


def within(run: Callable[[Program], Program]) -> Callable[[Program], Program]:
    """Return the pass that also goes into the bodies of loops, innermost first."""

    def deep(program: Program) -> Program:
        nodes = tuple(map(_with_bodies, program.nodes))
        same = all(new is old for new, old in zip(nodes, program.nodes, strict=True))
        return run(program if same else replace(program, nodes=nodes))

    def _with_bodies(node: Node) -> Node:
        new = {key: deep(value) for key, value in node.attrs.items() if isinstance(value, Program)}
        return node if all(new[key] is node.attrs[key] for key in new) else replace(node, attrs={**node.attrs, **new})

    return deep


def _has_letter(value: Value) -> bool:
    """Tell whether a value bears a textbook letter, which must outlive the node that had it."""
    return bool(value.note.quantity) and value.name.rpartition(".")[2] == value.note.quantity


def finish_as(tensor: Tensor, node: Node, inputs: tuple[Value, ...]) -> Value:
    """Return the replacement, under the replaced value's name if it is a new value."""
    if tensor.value in inputs:
        return tensor.value
    builder = current_builder()
    builder.release(node.outputs[0].name)
    return builder.rename(tensor.value, node.outputs[0].name, node.outputs[0].note)
