"""The native backend: a program becomes machine code for this computer's CPU."""

from __future__ import annotations

import os
from collections.abc import Callable

from clearprop.backends.native.cache import Memo
from clearprop.backends.native.executable import NativeExecutable
from clearprop.backends.native.jit import MachineCode, compile_text, host_features, host_machine, translate
from clearprop.backends.native.lowering import HOLES
from clearprop.backends.native.module import Module, write_module
from clearprop.backends.native.outline import outline
from clearprop.backends.native.targets import Target, choose
from clearprop.backends.native.threads import number_of_threads, team_of
from clearprop.errors import BackendError
from clearprop.ir import Program, to_text

VARIABLE = "CLEARPROP_NATIVE_TARGET"
"""The environment variable that forces a vector target: avx512, avx2, neon or baseline."""


_COMPILED: Memo[tuple[Module, MachineCode]] = Memo(most=64)
"""What this process compiled last, by writer, program text and target: together they decide the code."""


class Native:
    """The native backend.

    Args:
        target: avx512, avx2, neon or baseline; the environment's CLEARPROP_NATIVE_TARGET, or else the widest that
            this CPU runs, when empty.
        threads: how many threads share a program's large kernels; the environment's CLEARPROP_THREADS, or else one
            a core that this process may use, when None. The results have the same bits for every number.

    Raises:
        SettingsError: this CPU cannot run the target, or the number of threads is not one from 1 to 1024.
        BackendError: LLVM cannot be loaded, or there is no target for this kind of CPU.
    """

    name = "native"

    def __init__(self, target: str = "", threads: int | None = None) -> None:
        wanted = target or os.environ.get(VARIABLE, "")
        self.target: Target = choose(host_features(), host_machine(), wanted)
        self.team = team_of(number_of_threads(threads))

    def compile(self, program: Program) -> NativeExecutable:
        """Return the program as machine code; the same program is compiled once in a process.

        Raises:
            BackendError: the program uses a primitive that has no lowering.
        """
        missing = sorted({node.op for node in program.nodes} & HOLES)
        if missing:
            raise BackendError(f"the native backend cannot run {', '.join(missing)} of {program.name}")
        return NativeExecutable(program, *self._compiled(program, write_module), self.team)

    def _compiled(self, program: Program, write: Callable[[Program, Target], Module]) -> tuple[Module, MachineCode]:
        """Return the module that `write` makes of a program, and its code, from memory where they are there."""

        def make() -> tuple[Module, MachineCode]:
            module = write(program, self.target)
            return module, compile_text(module.text, self.target)

        return _COMPILED.get((write, to_text(program), self.target), make)

    def explain(self, program: Program) -> dict[str, str]:
        """Return the stages of a program's way to machine code by name: kernels, llvm, assembly."""
        text = write_module(program, self.target).text
        llvm, assembly = translate(text, self.target)
        return {"kernels": outline(program), "llvm": llvm, "assembly": assembly}
