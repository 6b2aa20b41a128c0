"""The native backend: a program becomes machine code for this computer's CPU."""

from __future__ import annotations

import os

from clearprop.backends.native.executable import NativeExecutable
from clearprop.backends.native.jit import compile_text, host_features, host_machine
from clearprop.backends.native.lowering import HOLES
from clearprop.backends.native.module import write_module
from clearprop.backends.native.targets import Target, choose
from clearprop.backends.native.threads import number_of_threads, team_of
from clearprop.errors import ProgramError
from clearprop.ir import Program

VARIABLE = "CLEARPROP_NATIVE_TARGET"
"""The environment variable that forces a vector target: avx512, avx2, neon or baseline."""


class Native:
    """The native backend.

    Args:
        target: avx512, avx2, neon or baseline; the environment's CLEARPROP_NATIVE_TARGET, or else the widest that
            this CPU runs, when empty.
        threads: how many threads share a program's large kernels; the environment's CLEARPROP_THREADS, or else one
            a core that this process may use, when None. The results have the same bits for every number.

    Raises:
        SettingsError: this CPU cannot run the target, or the number of threads is not one from 1 to 1024.
    """

    name = "native"

    def __init__(self, target: str = "", threads: int | None = None) -> None:
        wanted = target or os.environ.get(VARIABLE, "")
        self.target: Target = choose(host_features(), host_machine(), wanted)
        self.team = team_of(number_of_threads(threads))

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
        return NativeExecutable(program, module, compile_text(module.text, self.target, explain), self.team)
