"""The order of the passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from clearprop.ir import Program, verify
from clearprop.ops import rule_of
from clearprop.passes.dedupe import dedupe
from clearprop.passes.drop_dead import drop_dead
from clearprop.passes.fold_constants import fold_constants
from clearprop.passes.hoist import hoist
from clearprop.passes.pick_late import pick_late
from clearprop.passes.rewrite import within
from clearprop.passes.simplify import simplify

Watch = Callable[[str, Program], object]
_MOST_ROUNDS = 8


@dataclass(frozen=True)
class Pass:
    """A named step of the pipeline, and what holds after it."""

    name: str
    run: Callable[[Program], Program]
    ensures: str


PASSES: tuple[Pass, ...] = (
    Pass("simplify", within(simplify), "no node that gives one of its inputs back, and no stop_gradient"),
    Pass("fold_constants", within(fold_constants), "no elementwise node of which every input is a known number"),
    Pass("hoist", within(hoist), "no work in a loop that is the same at every time step, but what makes more of it"),
    Pass("pick_late", within(pick_late), "no matrix product of rows that are picked out of a small table"),
    Pass("dedupe", within(dedupe), "no two nodes of the same operation, inputs and attributes"),
    Pass("drop_dead", within(drop_dead), "every node is needed by an output"),
)
"""Every pass takes a program that is derived already: stop_gradient means nothing after it. It goes into the bodies of
loops, too.

A pass that finds nothing to change returns the very program that it was given; that is how `optimize` knows its end.
"""


def optimize(program: Program, watch: Watch | None = None) -> Program:
    """Run every pass in order until none changes the program; it is verified before the first and after the last one.

    Args:
        program: a derived program.
        watch: called with the name of each pass that has run and the program after it: to print them, or to verify.
    """
    verify(program, rule_of)
    for _ in range(_MOST_ROUNDS):
        before = program
        for step in PASSES:
            program = step.run(program)
            if watch is not None:
                watch(step.name, program)
        if program is before:
            break
    verify(program, rule_of)
    return program
