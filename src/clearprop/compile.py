"""The composition root: the one place that sees passes, grad and backends together."""

from __future__ import annotations

import itertools
import os
import sys
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from clearprop.backends.native import Native
from clearprop.backends.protocol import Backend, CompiledStep, Executable
from clearprop.backends.reference import Reference
from clearprop.backends.source import print_source
from clearprop.errors import BackendError, BackendNote, SettingsError
from clearprop.grad import derive
from clearprop.ir import Program, to_text, verify_batch
from clearprop.passes import optimize, pick_late, precompute, unroll

BACKENDS: dict[str, Callable[[], Backend]] = {"reference": Reference, "native": Native}
"""Every backend by name."""

DEFAULT_BACKEND = "auto"
"""The native backend where it runs, and else the reference."""

STAGES = ("program", "derived", "passes", "kernels", "llvm", "assembly")
"""What a program becomes on its way to the machine, in order."""

EXPLAIN, EXPLAIN_FOLDER = "CLEARPROP_EXPLAIN", "CLEARPROP_EXPLAIN_DIR"
"""The environment variables that print stages of whatever is compiled, and that name a folder to write them to."""

Compiled = TypeVar("Compiled", Executable, CompiledStep)

_numbers = itertools.count()
_noted: set[str] = set()


def choose_backend(name: str = DEFAULT_BACKEND) -> str:
    """Return the name of a backend that runs here; for "auto" the reference, with a note, where the native cannot.

    Raises:
        SettingsError: there is no backend of that name.
    """
    if name in BACKENDS:
        return name
    if name != DEFAULT_BACKEND:
        known = ", ".join((DEFAULT_BACKEND, *sorted(BACKENDS)))
        raise SettingsError(f"there is no backend {name!r}; choose one of {known}")
    try:
        Native()
    except BackendError as error:
        _note(f"{error}; programs run on the reference backend, which is slower")
        return "reference"
    return "native"


def _note(text: str) -> None:
    """Warn of something once."""
    if text not in _noted:
        _noted.add(text)
        warnings.warn(text, BackendNote, stacklevel=3)


def compile_program(
    program: Program, backend: str = DEFAULT_BACKEND, *, derived_from: Program | None = None
) -> Executable:
    """Optimise a program and hand it to a backend; the result is called with arrays by name.

    A program that the backend has no code for runs on the reference backend; a `BackendNote` tells so once.

    Args:
        program: what to run.
        backend: "auto", or the name of one of `BACKENDS`.
        derived_from: the program that this one was derived from, for a reader of the stages.

    Raises:
        SettingsError: there is no backend of that name.
        BackendError: the backend was asked for by name and does not run on this computer.
        ProgramError: the program breaks a rule of the representation, or asks for a batch size that no input has.
    """
    return _hand_over(program, backend, derived_from, False, lambda runner, optimized: runner.compile(optimized))


def compile_step(
    program: Program, backend: str = DEFAULT_BACKEND, *, derived_from: Program | None = None
) -> CompiledStep:
    """Optimise a training step and hand it to a backend; the result is run many times on state of its own.

    Args and errors are those of `compile_program`; it is a ProgramError, too, if the program is no training step.
    """
    return _hand_over(program, backend, derived_from, True, lambda runner, optimized: runner.compile_step(optimized))


def _hand_over(
    program: Program,
    backend: str,
    derived_from: Program | None,
    step: bool,
    compiled_by: Callable[[Backend, Program], Compiled],
) -> Compiled:
    """Optimise a program and let a backend compile it, or the reference, with a note, where that cannot."""
    verify_batch(program)
    runner = BACKENDS[choose_backend(backend)]()
    optimized = optimize(program)
    _show(program, derived_from, backend, step)
    try:
        return compiled_by(runner, optimized)
    except BackendError as error:
        _note(f"{error}; {program.name} runs on the reference backend, which is slower")
        return compiled_by(Reference(), optimized)


def value_and_gradient(
    program: Program, wrt: Sequence[str], of: str | None = None, backend: str = DEFAULT_BACKEND
) -> Executable:
    """Derive a program and compile the result: its outputs, and `grad.<name>` for each name in `wrt`."""
    return compile_program(derive(program, wrt, of), backend, derived_from=program)


def source_of(program: Program, function: str, title: str) -> str:
    """Optimise a program and print it as a Python module that runs with NumPy alone."""
    return print_source(optimize(program), function=function, title=title)


def without_loops(program: Program) -> Program:
    """Write every loop over time out, so that each time step has nodes of its own."""
    return unroll(program)


def for_one_step(program: Program, parameters: Collection[str], most: int) -> tuple[Program, Program]:
    """Divide a program that is run many times with the same parameters: what they alone decide, and the rest.

    Args:
        program: with every loop written out.
        parameters: the names of the inputs that stay.
        most: tables of so many rows go whole through the product that their rows are picked for.

    Returns:
        What to run once, and what to run each time, with the outputs of the first for inputs.
    """
    return precompute(pick_late(program, most), parameters)


def explain(
    program: Program,
    stage: str,
    backend: str = DEFAULT_BACKEND,
    *,
    derived_from: Program | None = None,
    step: bool = False,
) -> str:
    """Return what a program looks like at one of the `STAGES` on its way to the machine.

    ========  =====================================================================
    program   as it was traced: the one it was derived from, where there is one
    derived   with its derivative, as it is handed over to be compiled
    passes    after each pass that changed it
    kernels   the loops and products that the native backend makes of it
    llvm      their LLVM text
    assembly  the machine code, as the assembler writes it
    ========  =====================================================================

    With `step` it is handed over as a training step: its code replaces the state in place and loops over batches.

    Raises:
        SettingsError: there is no such stage.
        BackendError: the backend has none of that name: the reference runs a program as it is.
    """
    if stage not in STAGES:
        raise SettingsError(f"there is no stage {stage!r}; choose one of {', '.join(STAGES)}")
    if stage in ("program", "derived"):
        return to_text(derived_from or program if stage == "program" else program)
    if stage == "passes":
        return "\n".join(_after_passes(program))
    name = choose_backend(backend)
    texts = BACKENDS[name]().explain(optimize(program), step=step)
    if stage not in texts:
        raise BackendError(f"the {name} backend has no stage {stage!r}: it runs a program as it is after the passes")
    return texts[stage]


def _after_passes(program: Program) -> Iterator[str]:
    """Yield the text after each pass that changed the program, with the name of the pass before it."""
    steps: list[tuple[str, Program]] = [("", program)]
    optimize(program, lambda name, after: steps.append((name, after)))
    for (_, before), (name, after) in itertools.pairwise(steps):
        if after is not before:
            yield f"# after {name}: {len(after.nodes)} nodes, before it {len(before.nodes)}\n{to_text(after)}"


def _show(program: Program, derived_from: Program | None, backend: str, step: bool) -> None:
    """Print the stages that the environment asks for on stderr, or write each to a file of the folder it names."""
    asked = [stage.strip() for stage in os.environ.get(EXPLAIN, "").split(",") if stage.strip()]
    folder = os.environ.get(EXPLAIN_FOLDER)
    number = next(_numbers)
    for stage in asked:
        try:
            text = explain(program, stage, backend, derived_from=derived_from, step=step)
        except BackendError as error:
            text = f"{error}\n"
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            Path(folder, f"{number:03}-{program.name}.{stage}.txt").write_text(text, encoding="utf-8")
        else:
            print(f"# {program.name}: {stage}\n{text}", file=sys.stderr)
