"""Dead code: nodes that no output depends on are dropped."""

from __future__ import annotations

from dataclasses import replace

from clearprop.ir import Program


def drop_dead(program: Program) -> Program:
    """Keep only the nodes that an output depends on; the inputs stay, because callers pass them."""
    live = {value for _, value in program.outputs}
    kept = []
    for node in reversed(program.nodes):
        if any(value in live for value in node.outputs):
            kept.append(node)
            live.update(node.inputs)
    return program if len(kept) == len(program.nodes) else replace(program, nodes=tuple(reversed(kept)))
