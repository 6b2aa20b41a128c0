"""The only file that touches LLVM: text in, the address of a machine-code function out."""

from __future__ import annotations

import functools
import platform
import threading
from collections.abc import Mapping

import llvmlite.binding as llvm

from clearprop.backends.native.targets import Target

_LOCK = threading.Lock()
"""LLVM's global tables are set up once; compilation itself goes on one module at a time."""


class MachineCode:
    """A compiled module; the code lives as long as this object."""

    def __init__(self, engine: llvm.ExecutionEngine, assembly: str, optimized: str) -> None:
        self._engine = engine
        self.assembly, self.optimized = assembly, optimized
        self.address: int = engine.get_function_address("program")


@functools.cache
def host_features() -> Mapping[str, bool]:
    """Return the features of this computer's CPU by LLVM's names."""
    with _LOCK:
        return dict(llvm.get_host_cpu_features())


def host_machine() -> str:
    """Return the kind of CPU: x86_64, arm64, ..."""
    return platform.machine().lower()


def _machine(features: str | None) -> llvm.TargetMachine:
    """Return a new machine: an engine takes it over together with the module."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    own = llvm.get_host_cpu_features()
    if features is not None:
        own = {key: on for key, on in own.items() if not _switched_off(key, features)}
    text = ",".join(filter(None, (own_text(own), features)))
    cpu = llvm.get_host_cpu_name() if features is None else ""
    return llvm.Target.from_default_triple().create_target_machine(cpu=cpu, features=text, opt=2, jit=True)


def own_text(features: Mapping[str, bool]) -> str:
    """Return features as LLVM takes them: +avx2,-sse4a."""
    return ",".join(f"{'+' if on else '-'}{key}" for key, on in sorted(features.items()))


def _switched_off(key: str, features: str) -> bool:
    """Whether a target without AVX-512, or without AVX, has to do without this feature of the host."""
    wide = key.startswith(("avx512", "avx10", "amx"))
    plain = "-avx," in features and not key.startswith(("sse2", "cx", "64bit", "cmov", "fxsr"))
    return wide or plain


def compile_text(text: str, target: Target, explain: bool = False) -> MachineCode:
    """Compile a module that defines `program`; with `explain`, keep the optimised text and the assembly."""
    with _LOCK:
        machine = _machine(target.features)
        module = llvm.parse_assembly(text)
        module.triple, module.data_layout = machine.triple, str(machine.target_data)
        module.verify()
        _optimize(module, machine)
        optimized = str(module) if explain else ""
        assembly = machine.emit_assembly(module) if explain else ""
        engine = llvm.create_mcjit_compiler(module, machine)
        engine.finalize_object()
        return MachineCode(engine, assembly, optimized)


def _optimize(module: llvm.ModuleRef, machine: llvm.TargetMachine) -> None:
    """Bring variables into registers, and nothing more.

    The vectors, the unrolled tiles and the fused loops are explicit, so the standard pipeline takes two to three
    times as long and gives code of the same speed.
    """
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
    passes = llvm.create_new_function_pass_manager()
    passes.add_sroa_pass()
    for function in module.functions:
        if not function.is_declaration:
            passes.run(function, builder)
