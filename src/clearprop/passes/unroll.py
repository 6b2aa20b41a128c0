"""Loops written out: a recurrent network is a deep feed-forward one whose layers share their weights."""

from __future__ import annotations

from clearprop.ir import Node, Program, Value
from clearprop.ops import Tensor, current_builder, stack, tracing


def unroll(program: Program) -> Program:
    """Write every `scan` out as the bodies of its T time steps, and loops inside of them too.

    The result computes the same numbers, and is as long as the loops take steps; it is the program itself if there is
    no loop.
    """
    if not any(node.op == "scan" for node in program.nodes):
        return program
    with tracing(program.name) as builder:
        tensors = {value: Tensor(builder.input(value.name, value.type, value.note)) for value in program.inputs}
        _write(program, tensors)
        return builder.finish((name, tensors[value].value) for name, value in program.outputs)


def _write(program: Program, tensors: dict[Value, Tensor]) -> None:
    """Write a program's nodes into the trace; `tensors` maps its inputs and receives the rest."""
    for node in program.nodes:
        given = [tensors[value] for value in node.inputs]
        results = _steps(node, given) if node.op == "scan" else _repeat(node, given)
        tensors.update(zip(node.outputs, results, strict=True))


def _repeat(node: Node, given: list[Tensor]) -> list[Tensor]:
    return list(map(Tensor, current_builder().repeat(node, [tensor.value for tensor in given])))


def _steps(node: Node, given: list[Tensor]) -> list[Tensor]:
    """Write the body once a time step, and stack what the steps give out."""
    body, carries, sequences, length = (node.attrs[key] for key in ("body", "carries", "sequences", "length"))
    assert isinstance(body, Program)
    assert isinstance(carries, int)
    assert isinstance(sequences, int)
    assert isinstance(length, int)
    state, constants = given[:carries], given[carries + sequences :]
    rows: dict[int, list[Tensor]] = {}
    for t in reversed(range(length)) if node.attrs["reverse"] else range(length):
        slices = [x[t] for x in given[carries : carries + sequences]]
        tensors = dict(zip(body.inputs, [*state, *slices, *constants], strict=True))
        _write(body, tensors)
        results = [tensors[value] for _, value in body.outputs]
        state, rows[t] = results[:carries], results[carries:]
    return state + [stack(row) for row in zip(*(rows[t] for t in range(length)), strict=True)]
