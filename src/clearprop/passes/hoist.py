"""Loop-invariant work: what is the same at every time step is done once, before the loop."""

from __future__ import annotations

from dataclasses import replace

from clearprop.ir import Builder, Node, Program, Value

_STAYS = ("broadcast_to", "random_bits", "scan")
"""What stays in the loop: it makes more numbers than it reads, or is a loop of its own."""


def hoist(program: Program) -> Program:
    """Move nodes of a loop's body that depend on its constants alone out of it; the program itself if there are none.

    A weight that every step transposes is transposed once.
    """
    if not any(node.op == "scan" for node in program.nodes):
        return program
    taken = Builder(program.name)
    taken.reserve(value.name for value in program.values())
    nodes: list[Node] = []
    for node in program.nodes:
        nodes += _hoisted(node, taken) if node.op == "scan" else [node]
    return program if len(nodes) == len(program.nodes) else replace(program, nodes=tuple(nodes))


def _hoisted(loop: Node, taken: Builder) -> list[Node]:
    """Return the loop after the nodes that it does not need inside."""
    body, carries, sequences = (loop.attrs[key] for key in ("body", "carries", "sequences"))
    assert isinstance(body, Program)
    assert isinstance(carries, int)
    assert isinstance(sequences, int)
    first = carries + sequences
    outside = dict(zip(body.inputs[first:], loop.inputs[first:], strict=True))
    moved, kept = [], []
    for node in body.nodes:
        if not node.inputs or node.op in _STAYS or any(value not in outside for value in node.inputs):
            kept.append(node)
            continue
        targets = tuple(Value(taken.unique(value.name), value.type, value.note) for value in node.outputs)
        moved.append(Node(node.op, tuple(outside[value] for value in node.inputs), node.attrs, targets))
        outside.update(zip(node.outputs, targets, strict=True))
    if not moved:
        return [loop]
    read = {value for node in kept for value in node.inputs} | {value for _, value in body.outputs}
    constants = [value for value in outside if value in read]
    step = replace(body, inputs=(*body.inputs[:first], *constants), nodes=tuple(kept))
    given = (*loop.inputs[:first], *(outside[value] for value in constants))
    return [*moved, Node(loop.op, given, {**loop.attrs, "body": step}, loop.outputs)]
