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
        """Run the program; the inputs are left untouched."""
        ...


class Backend(Protocol):
    """One way to run programs."""

    name: str

    def compile(self, program: Program) -> Executable:
        """Return the program ready to be called."""
        ...
