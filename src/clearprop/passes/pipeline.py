"""The order of the passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from clearprop.ir import Program, to_text, verify
from clearprop.ops import rule_of
from clearprop.passes.dedupe import dedupe
from clearprop.passes.drop_dead import drop_dead
from clearprop.passes.fold_constants import fold_constants
from clearprop.passes.simplify import simplify

_MOST_ROUNDS = 8


@dataclass(frozen=True)
class Pass:
    """A named step of the pipeline, and what holds after it."""

    name: str
    run: Callable[[Program], Program]
    ensures: str


PASSES: tuple[Pass, ...] = (
    Pass("simplify", simplify, "no node that gives one of its inputs back, and no stop_gradient"),
    Pass("fold_constants", fold_constants, "no elementwise node of which every input is a known number"),
    Pass("dedupe", dedupe, "no two nodes of the same operation, inputs and attributes"),
    Pass("drop_dead", drop_dead, "every node is needed by an output"),
)
"""Every pass takes a program that is derived already: stop_gradient means nothing after it."""


def optimize(program: Program) -> Program:
    """Run every pass in order until nothing changes; the program is verified before and after each one."""
    verify(program, rule_of)
    for _ in range(_MOST_ROUNDS):
        before = to_text(program)
        for step in PASSES:
            program = step.run(program)
            verify(program, rule_of)
        if to_text(program) == before:
            break
    return program
