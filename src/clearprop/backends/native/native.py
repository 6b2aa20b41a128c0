"""The native backend: a program becomes machine code for this computer's CPU."""

from __future__ import annotations

import os
from collections.abc import Callable

from clearprop.backends.native.cache import Memo
from clearprop.backends.native.executable import NativeExecutable
from clearprop.backends.native.forks import renew_in_child
from clearprop.backends.native.jit import MachineCode, compile_text, host_features, host_machine, translate
from clearprop.backends.native.lowering import HOLES
from clearprop.backends.native.module import Module, write_module, write_step_module
from clearprop.backends.native.outline import outline
from clearprop.backends.native.shuffle import shuffle_code
from clearprop.backends.native.stepper import NativeStep
from clearprop.backends.native.targets import Target, choose
from clearprop.backends.native.threads import number_of_threads, team_of
from clearprop.backends.stepping import Roles
from clearprop.errors import BackendError
from clearprop.ir import Program, to_text

VARIABLE = "CLEARPROP_NATIVE_TARGET"
"""The environment variable that forces a vector target: avx512, avx2, neon or baseline."""


_COMPILED: Memo[tuple[Module, MachineCode]] = Memo(most=64)
"""What this process compiled last, by the kind, the program's text and the target: together they decide the code."""
renew_in_child(_COMPILED.renew_locks)


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
        module, code = self._compiled(program, "program", lambda: write_module(program, self.target))
        return NativeExecutable(program, module, code, self.team)

    def compile_step(self, program: Program) -> NativeStep:
        """Return a training step as machine code that replaces its state in place, and loops over batches.

        Raises:
            BackendError: the program uses a primitive that has no lowering.
            ProgramError: the program is no training step.
        """
        roles = Roles.of(program)
        module, code = self._compiled(program, "step", lambda: write_step_module(program, roles, self.target))
        return NativeStep(program, module, code, self.team, shuffle_code(self.target))

    @staticmethod
    def _check(program: Program) -> None:
        missing = sorted({node.op for node in program.nodes} & HOLES)
        if missing:
            raise BackendError(f"the native backend cannot run {', '.join(missing)} of {program.name}")

    def _compiled(self, program: Program, kind: str, write: Callable[[], Module]) -> tuple[Module, MachineCode]:
        """Return what is kept, or else write a program's module of a kind and compile it."""
        self._check(program)

        def make() -> tuple[Module, MachineCode]:
            module = write()
            return module, compile_text(module.text, self.target)

        return _COMPILED.get((kind, to_text(program), self.target), make)

    def explain(self, program: Program, *, step: bool = False) -> dict[str, str]:
        """Return the stages of a program's way to machine code by name: kernels, llvm, assembly; see `Backend`."""
        module = (
            write_step_module(program, Roles.of(program), self.target) if step else write_module(program, self.target)
        )
        llvm, assembly = translate(module.text, self.target)
        return {"kernels": outline(program, self.target), "llvm": llvm, "assembly": assembly}
