"""Duplicates: the same operation on the same values is done once."""

from __future__ import annotations

from clearprop.ir import Node, Program, Value


def dedupe(program: Program) -> Program:
    """Replace a node by an earlier one with the same operation, inputs and attributes; the program itself if none is.

    Random bits are pure functions of their inputs and attributes, so they are no exception.
    """
    seen: dict[tuple[object, ...], Node] = {}
    same: dict[Value, Value] = {}
    nodes = []
    for node in program.nodes:
        inputs = tuple(same.get(value, value) for value in node.inputs)
        # repr tells 1 from 1.0 and 0.0 from -0.0, which are equal as keys
        key = (node.op, inputs, repr(sorted(node.attrs.items())) if node.attrs else "")
        if key in seen:
            same.update(zip(node.outputs, seen[key].outputs, strict=True))
            continue
        seen[key] = node if inputs == node.inputs else Node(node.op, inputs, node.attrs, node.outputs)
        nodes.append(seen[key])
    if not same:
        return program
    outputs = tuple((name, same.get(value, value)) for name, value in program.outputs)
    return Program(program.name, program.inputs, tuple(nodes), outputs)
