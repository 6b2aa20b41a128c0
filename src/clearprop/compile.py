"""The composition root: the one place that sees passes, grad and backends together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clearprop.backends.native import Native
from clearprop.backends.protocol import Backend, Executable
from clearprop.backends.reference import Reference
from clearprop.backends.source import print_source
from clearprop.errors import SettingsError
from clearprop.grad import derive
from clearprop.ir import Program
from clearprop.passes import optimize

BACKENDS: dict[str, Callable[[], Backend]] = {"reference": Reference, "native": Native}
"""Every backend by name."""

DEFAULT_BACKEND = "reference"


def compile_program(program: Program, backend: str = DEFAULT_BACKEND) -> Executable:
    """Optimise a program and hand it to a backend; the result is called with arrays by name.

    Raises:
        SettingsError: there is no backend of that name.
        ProgramError: the program breaks a rule of the representation.
    """
    if backend not in BACKENDS:
        raise SettingsError(f"there is no backend {backend!r}; choose one of {', '.join(sorted(BACKENDS))}")
    return BACKENDS[backend]().compile(optimize(program))


def value_and_gradient(
    program: Program, wrt: Sequence[str], of: str | None = None, backend: str = DEFAULT_BACKEND
) -> Executable:
    """Derive a program and compile the result: its outputs, and `grad.<name>` for each name in `wrt`."""
    return compile_program(derive(program, wrt, of), backend)


def source_of(program: Program, function: str, title: str) -> str:
    """Optimise a program and print it as a Python module that runs with NumPy alone."""
    return print_source(optimize(program), function=function, title=title)
