"""The code for ARM, on whatever CPU the tests run: LLVM translates all of it, into vector instructions of NEON."""

from __future__ import annotations

import re

import llvmlite.binding as llvm
import pytest
from native_steps import CASES, programs

from clearprop.backends.native.module import write_module, write_step_module
from clearprop.backends.native.shuffle import write_shuffle
from clearprop.backends.native.targets import TARGETS
from clearprop.backends.native.team import write_team
from clearprop.backends.stepping import Roles
from clearprop.ops import PRIMITIVES
from clearprop.testing import example_program

NEON = TARGETS["neon"]


@pytest.fixture(scope="module")
def machine() -> llvm.TargetMachine:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    return llvm.Target.from_triple("aarch64-unknown-linux-gnu").create_target_machine(cpu="generic", opt=2)


def assembly(machine: llvm.TargetMachine, text: str) -> str:
    module = llvm.parse_assembly(text)
    module.triple, module.data_layout = machine.triple, str(machine.target_data)
    module.verify()
    return str(machine.emit_assembly(module))


def outside(text: str) -> set[str]:
    """Return the functions that code calls and does not define."""
    return set(re.findall(r"\tbl\t([\w.$]+)", text)) - set(re.findall(r"^([\w.$]+):", text, re.MULTILINE))


LIBRARY = {"memcpy", "memset", "pow", "sin", "cos"}
"""What code may call of the C library: powers of scalars, and angles too large for the own reduction."""


@pytest.mark.parametrize("name", sorted(PRIMITIVES))
def test_every_primitive_is_translated(name: str, machine: llvm.TargetMachine) -> None:
    for example in PRIMITIVES[name].examples:
        for dtype in ("float32", "float64"):
            program = example_program(PRIMITIVES[name], example, dtype)
            assert outside(assembly(machine, write_module(program, NEON).text)) <= LIBRARY


@pytest.mark.parametrize(("dtype", "lanes"), [("float32", "4s"), ("float64", "2d")])
@pytest.mark.parametrize("case", CASES)
def test_products_are_fused_vectors(case: str, dtype: str, lanes: str, machine: llvm.TargetMachine) -> None:
    for name, program in programs(case, dtype).items():
        step = name == "step"
        module = write_step_module(program, Roles.of(program), NEON) if step else write_module(program, NEON)
        text = assembly(machine, module.text)
        assert outside(text) <= LIBRARY
        # most products are tiles of their own; those of two terms are elementwise work, and convolutions are kernels
        fused = len(re.findall(rf"\tfmla\tv\d+\.{lanes}", text))
        assert fused >= (8 if "\ntile" in text or case == "images" else 2)
        assert ("drive:" in text) == step


def test_the_shuffle_and_the_team_are_translated(machine: llvm.TargetMachine) -> None:
    assert "umull" in assembly(machine, write_shuffle(NEON.vector_bytes // 8))
    team = assembly(machine, write_team(NEON.family))
    assert "\thint\t#1\n" in team.replace("yield", "hint\t#1")
    assert "ldaxr" in team or "casal" in team
    assert not outside(team)
