"""The verifier: single assignment, use after assignment, and the types that the operations' rules give."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from clearprop.errors import ProgramError, ShapeError
from clearprop.ir.program import Attribute, Node, Program, Value
from clearprop.ir.types import Batch, Type

TypeRule = Callable[[Sequence[Type], Mapping[str, Attribute]], tuple[Type, ...]]
_NAME = re.compile(r"[A-Za-z_][\w.]*\Z")


def verify(program: Program, rule_of: Callable[[str], TypeRule]) -> None:
    """Raise `ProgramError` where the program breaks a rule of the representation.

    Checked: names are well formed and assigned once; a value is assigned before it is used, by this program and
    not by another one; each node's output types are those its operation's rule gives; output names are distinct; all
    of this of the body of a loop too.

    Args:
        program: the program to check.
        rule_of: gives the type rule of an operation by name, and raises for an unknown one.
    """
    assigned: dict[str, Value] = {}
    _check_name(program, program.name)
    for value in program.inputs:
        _assign(program, assigned, value)
    for node in program.nodes:
        for value in node.inputs:
            _check_use(program, assigned, value, node.op)
        for attribute in node.attrs.values():
            if isinstance(attribute, Program):
                verify(attribute, rule_of)
        _check_types(program, node, rule_of(node.op))
        for value in node.outputs:
            _assign(program, assigned, value)
    for name, value in program.outputs:
        _check_name(program, name)
        _check_use(program, assigned, value, f"output {name}")
    if len(set(program.output_names)) < len(program.outputs):
        raise ProgramError(f"{program.name}: two outputs share a name: {', '.join(program.output_names)}")


def verify_batch(program: Program) -> None:
    """Raise `ProgramError` where a program that is to run depends on a batch size that none of its inputs has."""
    if any(_holds_batch(value.type.shape) for value in program.inputs):
        return
    for node in program.nodes:
        if any(map(_holds_batch, node.attrs.values())):
            raise ProgramError(
                f"{program.name}: {node.op} -> {_names(node)} depends on the batch size n, which no input of the "
                "program has: give one of them the batch as a dimension"
            )


def _holds_batch(attribute: Attribute) -> bool:
    if isinstance(attribute, tuple):
        return any(map(_holds_batch, attribute))
    if isinstance(attribute, Program):
        return any(_holds_batch(inner) for node in attribute.nodes for inner in node.attrs.values())
    return isinstance(attribute, Batch)


def _assign(program: Program, assigned: dict[str, Value], value: Value) -> None:
    _check_name(program, value.name)
    if value.name in assigned:
        raise ProgramError(f"{program.name}: {value.name} is assigned twice")
    assigned[value.name] = value


def _check_name(program: Program, name: str) -> None:
    if not _NAME.match(name):
        raise ProgramError(f"{program.name}: {name!r} is not a name; use letters, digits, underscores and dots")


def _check_use(program: Program, assigned: dict[str, Value], value: Value, user: str) -> None:
    if assigned.get(value.name) is not value:
        raise ProgramError(
            f"{program.name}: {user} uses {value.name}, which is not assigned before it in this program; "
            "was a tensor kept from another trace?"
        )


def _check_types(program: Program, node: Node, rule: TypeRule) -> None:
    try:
        expected = rule([value.type for value in node.inputs], node.attrs)
    except ShapeError as error:
        raise ProgramError(f"{program.name}: {node.op} -> {_names(node)}: {error}") from error
    received = tuple(value.type for value in node.outputs)
    if expected != received:
        raise ProgramError(
            f"{program.name}: {node.op} gives {', '.join(map(str, expected))}, "
            f"but {_names(node)} is declared {', '.join(map(str, received))}"
        )


def _names(node: Node) -> str:
    return ", ".join(value.name for value in node.outputs) or "nothing"
