"""Training steps over any executable: what is state, data or fixed, and a plain stepper that every backend can use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from clearprop.backends.protocol import Array, Arrays, Executable, Stretch
from clearprop.errors import ProgramError, ShapeError
from clearprop.ir import Batch, Program, Value

STEP = "step"
"""The input that counts the steps."""

COST, CHECKED = "cost", ("objective", "health")
"""The outputs that a stepper reads: what is summed, and what must be finite."""


@dataclass(frozen=True)
class Roles:
    """What the inputs of a training step are.

    Attributes:
        state: those with an output of the same name, which replaces them.
        data: those with a row for each sample of the batch: they are gathered.
        counts: whether there is a `step`, the number of the step.
        fixed: the others, which stay or vary by what the caller says.
    """

    state: tuple[Value, ...]
    data: tuple[Value, ...]
    counts: bool
    fixed: tuple[Value, ...]

    @staticmethod
    def of(program: Program) -> Roles:
        """Sort the inputs of a program.

        Raises:
            ProgramError: an output that a stepper reads is missing, or an input has the batch elsewhere than in front.
        """
        missing = [name for name in (COST, *CHECKED) if name not in program.output_names]
        if missing:
            raise ProgramError(f"{program.name} is no training step: it has no output {', '.join(missing)}")
        state = tuple(value for value in program.inputs if value.name in program.output_names)
        others = [value for value in program.inputs if value not in state and value.name != STEP]
        data = tuple(value for value in others if any(isinstance(dim, Batch) for dim in value.type.shape))
        for value in data:
            if value.type.shape[0] != Batch() or any(isinstance(dim, Batch) for dim in value.type.shape[1:]):
                raise ProgramError(f"the input {value.name} of {program.name} must hold a row a sample: {value.type}")
        if not data:
            raise ProgramError(f"{program.name} is no training step: it has no input with a row a sample")
        counts = any(value.name == STEP for value in program.inputs)
        return Roles(state, data, counts, tuple(value for value in others if value not in data))


class Given:
    """The inputs of a fit, checked: state (copied to where the caller wants it), data and fixed inputs."""

    def __init__(self, program: Program, inputs: Arrays, batch_size: int) -> None:
        self.program, self.roles, self.batch_size = program, Roles.of(program), batch_size
        if batch_size < 1:
            raise ShapeError(f"a batch holds at least 1 row, received a batch size of {batch_size}")
        data = [(value, _array(program, value, inputs)) for value in self.roles.data]
        self.rows = len(data[0][1])
        self.data = {value.name: _checked(value, array, (self.rows,)) for value, array in data}
        self.state = {value.name: _input(program, value, inputs) for value in self.roles.state}
        self.fixed = {value.name: _input(program, value, inputs).copy() for value in self.roles.fixed}

    def check(self, order: Array, varying: Arrays) -> int:
        """Check what a stretch is run with, and return its number of steps.

        Raises:
            IndexError: a row is not one of the data.
            ShapeError: a quantity that varies is unknown, or has not one float64 a step.
        """
        # a negative number is a very large one without its sign
        if len(order) and order.view(np.uint64).max() >= self.rows:
            raise IndexError(f"the rows run from {order.min()} to {order.max()}, but the data has {self.rows} rows")
        steps = -(-len(order) // self.batch_size)
        for name, values in varying.items():
            known = self.fixed.get(name)
            if known is None or known.shape or known.dtype != np.float64 or values.shape != (steps,):
                raise ShapeError(
                    f"{name} cannot vary: it must be a float64 input, with a value for each step ({steps})"
                )
        return steps

    def inputs(self, state: Arrays, step: int, rows: Array, varying: Mapping[str, float]) -> dict[str, Array]:
        """Return what one step takes."""
        inputs = dict(state) | {name: array[rows] for name, array in self.data.items()} | self.fixed
        if self.roles.counts:
            inputs[STEP] = np.asarray(step, np.int64)
        return inputs | {name: np.asarray(value, np.float64) for name, value in varying.items()}


class PlainStep:
    """A training step over an executable."""

    def __init__(self, executable: Executable) -> None:
        self.executable, self.program = executable, executable.program

    def start(self, inputs: Arrays, batch_size: int) -> PlainStepper:
        """Return a stepper; see `CompiledStep.start`."""
        return PlainStepper(self.executable, Given(self.program, inputs, batch_size))


class PlainStepper:
    """A stepper that calls an executable once a step and copies what it gives into the state."""

    def __init__(self, executable: Executable, given: Given) -> None:
        self.executable, self.given = executable, given
        self.state: Arrays = {name: array.copy() for name, array in given.state.items()}

    def run(self, first: int, order: Array, varying: Arrays, loss_sum: float) -> Stretch:
        """Run steps; see `Stepper.run`."""
        self.given.check(order, varying)
        done = 0
        for rows in self._batches(order):
            now = {name: float(values[done]) for name, values in varying.items()}
            outputs = self.executable(self.inputs(first + done, rows, now))
            if not all(np.isfinite(outputs[name]) for name in CHECKED):
                return Stretch(done, loss_sum, True)
            for name, array in self.state.items():
                np.copyto(array, outputs[name])
            loss_sum += float(outputs[COST]) * len(rows)
            done += 1
        return Stretch(done, loss_sum, False)

    def inputs(self, step: int, rows: Array, varying: Mapping[str, float]) -> dict[str, Array]:
        """Return what one step takes."""
        return self.given.inputs(self.state, step, rows, varying)

    def _batches(self, order: Array) -> Iterator[Array]:
        size = self.given.batch_size
        return (order[start : start + size] for start in range(0, len(order), size))


def _array(program: Program, value: Value, inputs: Arrays) -> Array:
    if value.name not in inputs:
        raise ShapeError(f"the input {value.name} ({value.type}) of {program.name} is missing")
    return np.asarray(inputs[value.name])


def _input(program: Program, value: Value, inputs: Arrays) -> Array:
    return _checked(value, _array(program, value, inputs))


def _checked(value: Value, array: Array, rows: tuple[int, ...] = ()) -> Array:
    shape = (*rows, *value.type.shape[len(rows) :])
    if array.dtype != np.dtype(value.type.dtype) or array.shape != shape:
        received = f"{array.dtype}[{', '.join(map(str, array.shape))}]"
        raise ShapeError(f"the input {value.name} must be {value.type}, received {received}")
    return np.asarray(array, order="C")
