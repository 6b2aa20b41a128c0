"""What follows from some inputs alone, apart from the rest: computed once where they stay and the others change."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from clearprop.ir import Node, Program, Value
from clearprop.passes.drop_dead import drop_dead


def precompute(program: Program, names: Collection[str]) -> tuple[Program, Program]:
    """Divide a program: what some inputs alone decide, and the rest, which takes the results of that as inputs.

    Args:
        program: the program.
        names: of the inputs that stay as they are.

    Returns:
        A program of these inputs, and one of the others, of those of them that it still reads, and of all outputs of
        the first one by their names.
    """
    given = [value for value in program.inputs if value.name in names]
    known, free = set(given), set[Value]()
    first: list[Node] = []
    second: list[Node] = []
    for node in program.nodes:
        if free.issuperset(node.inputs):  # constants, and what is made of them, cost nothing: both have them
            free.update(node.outputs)
            first.append(node)
            second.append(node)
        elif all(value in known or value in free for value in node.inputs):
            known.update(node.outputs)
            first.append(node)
        else:
            second.append(node)
    read = {value for node in second for value in node.inputs} | {value for _, value in program.outputs}
    passed = [value for node in first for value in node.outputs if value in known and value in read]
    inputs = [value for value in program.inputs if value not in known or value in read]
    once = replace(program, inputs=tuple(given), nodes=tuple(first), outputs=tuple((v.name, v) for v in passed))
    each = replace(program, inputs=(*inputs, *passed), nodes=tuple(second))
    return drop_dead(once), drop_dead(each)
