"""What every backend offers: programs called with arrays by name, and a training step run again and again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Stretch:
    """What became of a stretch of steps.

    Attributes:
        steps: how many are done.
        loss_sum: the given sum and, in float64 and in order, cost times rows of every step that is done.
        diverged: whether the objective or the health of the next step is not finite; the state is that before it.
    """

    steps: int
    loss_sum: float
    diverged: bool


class Stepper(Protocol):
    """A training step at work on state of its own: what one fit runs. One thread at a time may use it.

    Attributes:
        state: the arrays that the step replaces, by name; they change in place as steps run.
    """

    state: Arrays

    def run(self, first: int, order: Array, varying: Arrays, loss_sum: float) -> Stretch:
        """Run steps on one batch after another, until one is not finite.

        Args:
            first: the number of the first step; it counts up from there.
            order: the rows to take, int64; each batch takes the next `batch_size` of them, the last one what is left.
            varying: inputs that differ from step to step: for each name one float64 a step.
            loss_sum: what the sum of the losses starts from.

        Raises:
            IndexError: a row is not one of the data, or an index inside of the program is out of range; the state is
                that before the step.
        """
        ...

    def inputs(self, step: int, rows: Array, varying: Mapping[str, float]) -> dict[str, Array]:
        """Return everything that the step of this number takes, for these rows and the state as it is."""
        ...


class CompiledStep(Protocol):
    """A training step ready to be run; see `stepping.Roles` for what its inputs and outputs are taken for."""

    program: Program

    def start(self, inputs: Arrays, batch_size: int) -> Stepper:
        """Return a stepper with copies of the state and the fixed inputs, and all rows of the data.

        Raises:
            ShapeError: an input is missing, or has another shape or dtype than the program says.
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

    def compile_step(self, program: Program) -> CompiledStep:
        """Return a training step ready to be run many times on state of its own."""
        ...
