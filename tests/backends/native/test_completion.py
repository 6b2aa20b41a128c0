"""Partial results are put together in the order of the parts, whichever part is done first, and on whichever thread."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from native_teams import Backwards

from clearprop import ops
from clearprop.backends.native import Native, NativeExecutable, partition
from clearprop.backends.native.jit import compile_text
from clearprop.backends.native.module import write_module
from clearprop.backends.native.threads import Team
from clearprop.ir import Batch, Type

N, ROWS, COLUMNS = Batch(), 2003, 7
TEAM = Team(3, threshold=0)

Change = Callable[[str, int], str]

REDUCTIONS: dict[str, tuple[Callable[[ops.Tensor], ops.Tensor], str]] = {
    "all": (lambda x: ops.sum(x), r"(getelementptr inbounds float, ptr %p\d+, i64) %part"),
    "columns": (lambda x: ops.sum(x, 0), rf"(mul i64) %part(?=, {COLUMNS}\b)"),
}
"""A sum, and the instruction that says where a part leaves its result."""


@pytest.fixture(scope="module", autouse=True)
def _team_ends() -> Iterator[None]:
    yield
    TEAM.stop()


@pytest.fixture(autouse=True)
def _fine(recut: Callable[..., None]) -> None:
    recut(partition, SMALL=0, CHUNK=128)


def unchanged(text: str, parts: int) -> str:
    """The code as it is: it is the team that does the last part first."""
    return text


def first_part_last(text: str, parts: int) -> str:
    """The first part waits for five others, so that one thread is in it while another does those."""
    head, task, rest = re.split(r"(define internal void @task0.*?\n}\n)", text, maxsplit=1, flags=re.DOTALL)
    wait = """entry:
  %first = icmp eq i64 %part, 0
  br i1 %first, label %wait, label %go
wait:
  %done = load atomic i64, ptr @others acquire, align 8
  %few = icmp slt i64 %done, 5
  br i1 %few, label %wait, label %go
go:
"""
    count = "  %before = atomicrmw add ptr @others, i64 1 release\n  ret void\n"
    task = task.replace("entry:\n", wait).replace("  ret void\n", count)
    return f"@others = internal global i64 0\n{head}{task}{rest}"


def in_order_of_completion(name: str, text: str, parts: int) -> str:
    """A mistake: a part leaves its result behind that of the one before it in time."""
    claim = rf"\n  %started = atomicrmw add ptr @started, i64 1 monotonic\n  %claimed = urem i64 %started, {parts}\n"
    changed, count = re.subn(rf"\n(.*{REDUCTIONS[name][1]})", rf"{claim}\1", text)
    assert count == 1
    changed = re.sub(REDUCTIONS[name][1], r"\1 %claimed", changed)
    return f"@started = internal global i64 0\n{changed}"


def bits(name: str, team: Team, *changes: Change) -> bytes:
    """Return the bits of a sum by changed code."""
    x = np.random.default_rng(0).normal(size=(ROWS, COLUMNS)).astype("float32")
    # what is added between the first part and the fourth is lost: another order loses other terms
    x[0], x[60] = 2.0**30, -(2.0**30)
    program = ops.trace(REDUCTIONS[name][0], {"x": Type("float32", (N, COLUMNS))})
    module, target = write_module(program, Native().target), Native().target
    (region,) = module.regions
    (parts,) = (cut.at(ROWS) for cut in region.parts)
    assert parts > 50
    for change in changes:
        module = replace(module, text=change(module.text, parts))
    run = NativeExecutable(program, module, compile_text(module.text, target), team)
    return run({"x": x})["result"].tobytes()


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize(("team", "order"), [(Backwards(), unchanged), (TEAM, first_part_last)])
def test_the_bits_do_not_depend_on_which_part_is_done_first(name: str, team: Team, order: Change) -> None:
    def mistaken(text: str, parts: int) -> str:
        return in_order_of_completion(name, text, parts)

    assert bits(name, team, order) == bits(name, Team(1))
    # the same changes find the mistake, which is none as long as the parts come in order
    assert bits(name, Team(1), mistaken) == bits(name, Team(1))
    assert bits(name, team, mistaken, order) != bits(name, Team(1))
