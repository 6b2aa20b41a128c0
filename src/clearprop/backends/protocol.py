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
        losses: for each epoch, from that of the first step to that of the last one done, the sum of cost times rows
            of its steps, in float64 and in order; that of the first epoch starts from the given sum.
        diverged: whether the objective or the health of the next step is not finite; the state is that before it.
    """

    steps: int
    losses: tuple[float, ...]
    diverged: bool


class Stepper(Protocol):
    """A training step at work on state of its own: what one fit runs. One thread at a time may use it.

    An epoch takes all rows of the data in batches, the last of which holds what is left: with b batches an epoch, the
    step of number s takes batch s mod b of epoch s div b.

    Attributes:
        state: the arrays that the step replaces, by name; they change in place as steps run.
    """

    state: Arrays

    def run(self, first: int, count: int, varying: Arrays, loss_sum: float, order: Array | None = None) -> Stretch:
        """Run steps one after another, across the ends of epochs, until one is not finite.

        Args:
            first: the number of the first step; it counts up from there.
            count: how many steps.
            varying: inputs that differ from step to step: for each name one float64 a step.
            loss_sum: what the sum of the losses of the first step's epoch starts from.
            order: all rows in the order in which the epoch takes them (int64), in place of the stepper's own; the
                steps then stay within one epoch.

        Raises:
            ShapeError: the steps, what varies or the order do not fit the data.
            IndexError: an index inside of the program is out of range; the state is that before the step.
        """
        ...

    def inputs(self, step: int, varying: Mapping[str, float]) -> dict[str, Array]:
        """Return everything that the step of this number takes, for the state as it is."""
        ...


class CompiledStep(Protocol):
    """A training step ready to be run; see `stepping.Roles` for what its inputs and outputs are taken for."""

    program: Program

    def start(self, inputs: Arrays, batch_size: int, shuffle: Array | None = None) -> Stepper:
        """Return a stepper with copies of the state and the fixed inputs, and all rows of the data.

        Args:
            inputs: state, fixed inputs and data by name.
            batch_size: how many rows a step takes.
            shuffle: the two words that key the orders of the epochs (`randomness.shuffled`); without them every epoch
                takes the rows as they come.

        Raises:
            ShapeError: an input is missing, or has another shape or dtype than the program says, or there are no rows.
        """
        ...


class Backend(Protocol):
    """One way to run programs."""

    name: str

    def compile(self, program: Program) -> Executable:
        """Return the program ready to be called; `BackendError` if this backend cannot run it."""
        ...

    def explain(self, program: Program, *, step: bool = False) -> dict[str, str]:
        """Return by name the texts between the program and what the machine runs; none where it runs as it is.

        Args:
            program: what is compiled.
            step: whether `compile_step` compiles it, and not `compile`.
        """
        ...

    def compile_step(self, program: Program) -> CompiledStep:
        """Return a training step ready to be run many times on state of its own."""
        ...
