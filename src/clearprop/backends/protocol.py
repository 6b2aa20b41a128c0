"""What every backend offers: `compile` a program to an executable, called with arrays by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from clearprop.ir import Program

Array = np.ndarray[Any, Any]
Arrays = Mapping[str, Array]


class Executable(Protocol):
    """A program that can be called: input arrays by name in, output arrays by name out."""

    program: Program

    def __call__(self, inputs: Arrays) -> dict[str, Array]:
        """Run the program; the inputs are left untouched, and the outputs are new arrays, never an input itself.

        Raises:
            ShapeError: an input is missing or of another type, or the program has no result for so few rows.
            IndexError: an index of `take` or `scatter_add` is out of range.
        """
        ...


class Backend(Protocol):
    """One way to run programs."""

    name: str

    def compile(self, program: Program) -> Executable:
        """Return the program ready to be called; `BackendError` if this backend cannot run it."""
        ...

    def explain(self, program: Program) -> dict[str, str]:
        """Return by name the texts between the program and what the machine runs; none where it runs as it is."""
        ...
