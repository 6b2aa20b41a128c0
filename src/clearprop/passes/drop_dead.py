"""Dead code: nodes that no output depends on are dropped."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from clearprop.ir import Node, Program, Value

T = TypeVar("T")


def drop_dead(program: Program) -> Program:
    """Keep only the nodes that an output depends on; the inputs stay, because callers pass them.

    Of a loop, only the carries, results and inputs are kept that something depends on.
    """
    live = {value for _, value in program.outputs}
    kept = []
    for node in reversed(program.nodes):
        if any(value in live for value in node.outputs):
            kept.append(_trimmed(node, live) if node.op == "scan" else node)
            live.update(kept[-1].inputs)
    kept.reverse()
    same = len(kept) == len(program.nodes) and all(new is old for new, old in zip(kept, program.nodes, strict=True))
    return program if same else replace(program, nodes=tuple(kept))


def _trimmed(node: Node, live: set[Value]) -> Node:
    """Return a loop without the carries, results and inputs that nothing depends on."""
    body, carries, sequences = node.attrs["body"], node.attrs["carries"], node.attrs["sequences"]
    assert isinstance(body, Program)
    assert isinstance(carries, int)
    assert isinstance(sequences, int)
    wanted = [value in live for value in node.outputs]
    while True:
        inner = drop_dead(replace(body, outputs=_kept(body.outputs, wanted)))
        used = {value for inside in inner.nodes for value in inside.inputs} | {value for _, value in inner.outputs}
        needed = [w or value in used for w, value in zip(wanted, body.inputs[:carries], strict=False)]
        if needed == wanted[:carries]:
            break
        wanted[:carries] = needed
    given = [*wanted[:carries], *(value in used for value in body.inputs[carries:])]
    if all(wanted) and all(given):
        return node
    attrs = {
        **node.attrs,
        "body": replace(inner, inputs=_kept(body.inputs, given)),
        "carries": sum(given[:carries]),
        "sequences": sum(given[carries : carries + sequences]),
    }
    return Node(node.op, _kept(node.inputs, given), attrs, _kept(node.outputs, wanted))


def _kept(items: tuple[T, ...], flags: list[bool]) -> tuple[T, ...]:
    return tuple(item for item, flag in zip(items, flags, strict=True) if flag)
