"""The native backend: a program becomes machine code for this computer's CPU."""

from __future__ import annotations

import os

from clearprop.backends.native.executable import NativeExecutable
from clearprop.backends.native.jit import compile_text, host_features, host_machine
from clearprop.backends.native.lowering import HOLES
from clearprop.backends.native.module import write_module
from clearprop.backends.native.targets import Target, choose
from clearprop.errors import ProgramError
from clearprop.ir import Program

VARIABLE = "CLEARPROP_NATIVE_TARGET"
"""The environment variable that forces a vector target: avx512, avx2, neon or baseline."""


class Native:
    """The native backend.

    Args:
        target: avx512, avx2, neon or baseline; the environment's CLEARPROP_NATIVE_TARGET, or else the widest that
            this CPU runs, when empty.

    Raises:
        SettingsError: this CPU cannot run the target.
    """

    name = "native"

    def __init__(self, target: str = "") -> None:
        wanted = target or os.environ.get(VARIABLE, "")
        self.target: Target = choose(host_features(), host_machine(), wanted)

    def compile(self, program: Program, explain: bool = False) -> NativeExecutable:
        """Return the program as machine code; with `explain`, its `code` keeps the optimised text and the assembly.

        Raises:
            ProgramError: the program uses a primitive that has no lowering.
        """
        missing = sorted({node.op for node in program.nodes} & HOLES)
        if missing:
            raise ProgramError(
                f"the native backend cannot run {', '.join(missing)} of {program.name}; use the reference backend"
            )
        module = write_module(program, self.target)
        return NativeExecutable(program, module, compile_text(module.text, self.target, explain))
