"""The only file that touches LLVM: text in, the address of a machine-code function out."""

from __future__ import annotations

import functools
import hashlib
import platform
import sys
import threading
from collections.abc import Mapping

from clearprop.backends.native.cache import ObjectCache, default_folder
from clearprop.backends.native.forks import hold_while_forking
from clearprop.backends.native.targets import Target
from clearprop.errors import BackendError

try:
    import llvmlite
    import llvmlite.binding as llvm
except (ImportError, OSError) as error:
    llvm, _FAILURE = None, error

_LOCK = threading.RLock()
"""LLVM's global tables are set up once; compilation itself goes on one module at a time."""
hold_while_forking(_LOCK)

_OPTIMIZATION = 2
_RECIPE = f"sroa, level {_OPTIMIZATION}"
"""What is done to a module beside translating it; a part of the key that code is kept under."""


class MachineCode:
    """A compiled module; the code lives as long as this object.

    Attributes:
        address, drive: where `program` begins, and `drive`; 0 for what the module lacks.
        cached: whether it was loaded and not compiled.
    """

    def __init__(self, engine: llvm.ExecutionEngine, cached: bool) -> None:
        self._engine = engine
        self.cached = cached
        self.address: int = engine.get_function_address("program")
        self.drive: int = engine.get_function_address("drive")

    def __del__(self) -> None:
        if not sys.is_finalizing():  # a thread that nobody waits for may still run the code
            with _LOCK:  # as everything that LLVM does
                self._engine.close()


@functools.cache
def host_features() -> Mapping[str, bool]:
    """Return the features of this computer's CPU by LLVM's names.

    Raises:
        BackendError: LLVM cannot be loaded, or it does not know the CPU.
    """
    if llvm is None:
        raise BackendError(f"llvmlite cannot be imported ({_FAILURE}): install it again")
    with _LOCK:
        try:
            return dict(llvm.get_host_cpu_features())
        except (OSError, RuntimeError) as error:
            raise BackendError(f"LLVM cannot be loaded or does not know this CPU: {error}") from error


def host_machine() -> str:
    """Return the kind of CPU: x86_64, arm64, ..."""
    return platform.machine().lower()


@functools.cache
def _cpu(features: str | None) -> tuple[str, str]:
    """Return the name and the features of the CPU that LLVM writes code for."""
    own = host_features()
    if features is not None:
        own = {key: on for key, on in own.items() if not _switched_off(key, features)}
    text = ",".join(filter(None, (own_text(own), features)))
    return llvm.get_host_cpu_name() if features is None else "", text


def _machine(features: str | None) -> llvm.TargetMachine:
    """Return a new machine: an engine takes it over together with the module."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    cpu, text = _cpu(features)
    return llvm.Target.from_default_triple().create_target_machine(cpu=cpu, features=text, opt=_OPTIMIZATION, jit=True)


def own_text(features: Mapping[str, bool]) -> str:
    """Return features as LLVM takes them: +avx2,-sse4a."""
    return ",".join(f"{'+' if on else '-'}{key}" for key, on in sorted(features.items()))


def _switched_off(key: str, features: str) -> bool:
    """Whether a target without AVX-512, or without AVX, has to do without this feature of the host."""
    wide = key.startswith(("avx512", "avx10", "amx"))
    plain = "-avx," in features and not key.startswith(("sse2", "cx", "64bit", "cmov", "fxsr"))
    return wide or plain


def compile_text(text: str, target: Target) -> MachineCode:
    """Return the machine code of a module that defines `program`: the code that is kept, or else newly compiled."""
    key, kept = _key(text, target), ObjectCache(default_folder())
    code = kept.load(key)
    with _LOCK:
        machine = _machine(target.features)
        compiled = code if code is not None else machine.emit_object(_module(text, machine))
        empty = llvm.parse_assembly("")
        empty.triple, empty.data_layout = machine.triple, str(machine.target_data)
        engine = llvm.create_mcjit_compiler(empty, machine)
        engine.add_object_file(llvm.ObjectFileRef.from_data(compiled))
        engine.finalize_object()
        result = MachineCode(engine, code is not None)
    if code is None:
        kept.store(key, compiled)
    return result


def translate(text: str, target: Target) -> tuple[str, str]:
    """Return the LLVM text as it is translated, and the assembly."""
    with _LOCK:
        machine = _machine(target.features)
        module = _module(text, machine)
        return str(module), machine.emit_assembly(module).expandtabs()


def _key(text: str, target: Target) -> str:
    """Return the name that a module's code is kept under: a digest of everything that decides the code."""
    version = ".".join(map(str, llvm.llvm_version_info))
    decides = (text, target.name, *_cpu(target.features), llvm.get_process_triple(), llvmlite.__version__, version)
    return hashlib.sha256("\0".join((*decides, _RECIPE)).encode()).hexdigest()


def _module(text: str, machine: llvm.TargetMachine) -> llvm.ModuleRef:
    module = llvm.parse_assembly(text)
    module.triple, module.data_layout = machine.triple, str(machine.target_data)
    module.verify()
    _optimize(module, machine)
    return module


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
