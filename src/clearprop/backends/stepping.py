"""Training steps over any executable: what is state, data or fixed, and a plain stepper that every backend can use."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from clearprop.backends.protocol import Array, Arrays, Executable, Stretch
from clearprop.errors import ProgramError, ShapeError
from clearprop.ir import Batch, Program, Value
from clearprop.randomness import shuffled

STEP = "step"
"""The input that counts the steps."""

COST, CHECKED = "cost", ("objective", "health")
"""The outputs that a stepper reads: what is summed, and what must be finite."""


_BY_INDEX = ("take", "scatter_add", "scan")
"""Primitives that use indices of the data, or may have a body that does."""


def may_stop(program: Program) -> bool:
    """Whether a training step may go wrong: it takes indices, or what must be finite is not a constant that is."""
    made = {value: node for node in program.nodes for value in node.outputs}
    checked = [made.get(program.output(name)) for name in CHECKED]
    finite = all(node is not None and node.op == "constant" and _is_finite(node.attrs["value"]) for node in checked)
    return not finite or any(node.op in _BY_INDEX for node in program.nodes)


def _is_finite(number: object) -> bool:
    return isinstance(number, (int, float)) and math.isfinite(number)


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
    """The inputs of a fit, checked: state (copied to where the caller wants it), data and fixed inputs.

    Attributes:
        rows, batch_size, batches: of the data, of a batch, and batches an epoch.
    """

    def __init__(self, program: Program, inputs: Arrays, batch_size: int, shuffle: Array | None = None) -> None:
        self.program, self.roles, self.batch_size, self.shuffle = program, Roles.of(program), batch_size, shuffle
        if batch_size < 1:
            raise ShapeError(f"a batch holds at least 1 row, received a batch size of {batch_size}")
        data = [(value, _array(program, value, inputs)) for value in self.roles.data]
        self.rows = len(data[0][1])
        if not self.rows:
            raise ShapeError(f"{program.name} needs at least 1 row of data, received none")
        self.batches = -(-self.rows // batch_size)
        self.data = {value.name: _checked(value, array, (self.rows,)) for value, array in data}
        self.state = {value.name: _input(program, value, inputs) for value in self.roles.state}
        self.fixed = {value.name: _input(program, value, inputs).copy() for value in self.roles.fixed}

    def hand_over(self) -> Arrays:
        """Return the first state and hold it no longer: a stepper works on a copy of its own."""
        state, self.state = self.state, {}
        return state

    def check(self, first: int, count: int, varying: Arrays, order: Array | None) -> None:
        """Check what a stretch is run with.

        Raises:
            ShapeError: there are less than no steps, or a quantity that varies is unknown, or has not one float64 a
                step, or the order is not one of all rows for steps of one epoch.
        """
        if order is not None:
            self._check_order(first, count, order)
        if first < 0 or count < 0:
            raise ShapeError(f"a stretch has a first step and a count of at least 0, received {first} and {count}")
        for name, values in varying.items():
            known = self.fixed.get(name)
            if known is None or known.shape or known.dtype != np.float64 or values.shape != (count,):
                raise ShapeError(
                    f"{name} cannot vary: it must be a float64 input, with a value for each step ({count})"
                )

    def _check_order(self, first: int, count: int, order: Array) -> None:
        whole = order.dtype == np.int64 and order.shape == (self.rows,)
        # a negative number is a very large one without its sign
        if not whole or order.view(np.uint64).max() >= self.rows or first % self.batches + count > self.batches:
            raise ShapeError(
                f"an order holds each of the {self.rows} rows as int64, for steps of one epoch of {self.batches}; "
                f"received {order.dtype}{list(order.shape)} for {count} steps from step {first} on"
            )

    def order(self, epoch: int) -> Array:
        """Return the order in which an epoch takes the rows."""
        return np.arange(self.rows) if self.shuffle is None else shuffled(self.rows, self.shuffle, epoch)

    def rows_of(self, step: int, order: Array) -> Array:
        """Return the rows of a step, given the order of its epoch."""
        begin = step % self.batches * self.batch_size
        return order[begin : begin + self.batch_size]

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

    def start(self, inputs: Arrays, batch_size: int, shuffle: Array | None = None) -> PlainStepper:
        """Return a stepper; see `CompiledStep.start`."""
        return PlainStepper(self.executable, Given(self.program, inputs, batch_size, shuffle))


class PlainStepper:
    """A stepper that calls an executable once a step and copies what it gives into the state."""

    def __init__(self, executable: Executable, given: Given) -> None:
        self.executable, self.given = executable, given
        self.state: Arrays = {name: array.copy() for name, array in given.hand_over().items()}
        self._order = (-1, np.zeros(0, np.int64))

    def run(self, first: int, count: int, varying: Arrays, loss_sum: float, order: Array | None = None) -> Stretch:
        """Run steps; see `Stepper.run`."""
        self.given.check(first, count, varying, order)
        self._order = (-1, self._order[1]) if order is None else (first // self.given.batches, order)
        losses = [loss_sum]
        for done in range(count):
            step = first + done
            now = {name: float(values[done]) for name, values in varying.items()}
            inputs = self.inputs(step, now)
            outputs = self.executable(inputs)
            if not all(np.isfinite(outputs[name]) for name in CHECKED):
                return Stretch(done, tuple(losses), True)
            for name, array in self.state.items():
                np.copyto(array, outputs[name])
            if done and step % self.given.batches == 0:
                losses.append(0.0)
            losses[-1] += float(outputs[COST]) * len(self._rows(step))
        return Stretch(count, tuple(losses), False)

    def inputs(self, step: int, varying: Mapping[str, float]) -> dict[str, Array]:
        """Return what one step takes."""
        return self.given.inputs(self.state, step, self._rows(step), varying)

    def _rows(self, step: int) -> Array:
        """Return the rows of a step; the order of the last epoch asked for is kept."""
        epoch = step // self.given.batches
        if self._order[0] != epoch:
            self._order = (epoch, self.given.order(epoch))
        return self.given.rows_of(step, self._order[1])


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
