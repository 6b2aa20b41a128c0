"""A training step at work: its state in one block, and the machine code's loop over batches."""

from __future__ import annotations

import ctypes
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clearprop.backends.native.arena import address, aligned, lay_out
from clearprop.backends.native.arena import plan as plan_arena
from clearprop.backends.native.calls import is_step_worth
from clearprop.backends.native.drive import DIVERGED, DONE, FIELDS
from clearprop.backends.native.jit import MachineCode
from clearprop.backends.native.module import Module
from clearprop.backends.native.shuffle import stream_numbers
from clearprop.backends.native.threads import Team
from clearprop.backends.protocol import Array, Arrays, Stretch
from clearprop.backends.stepping import Given, may_stop
from clearprop.ir import Program

SNAPSHOT_SHARE = 0.01
"""The part of the time that copies of the state may take."""

LONGEST = 1000
"""The most stretches that are remembered."""


class Plan(ctypes.Structure):
    """What `drive` reads and writes."""

    _fields_ = tuple((name, ctypes.c_int64) for name in FIELDS)


@dataclass(frozen=True)
class Run:
    """What a stretch of steps was run with."""

    first: int
    count: int
    varying: Arrays
    order: Array | None


class NativeStep:
    """A training step as machine code, which several steppers may run at once.

    Attributes:
        program: what it computes.
        text: the LLVM text it was compiled from.
        team: the threads that share its large kernels.
        shuffle: the function that makes the orders of epochs.
        stops: whether a step may go wrong, so that steppers must be able to go back.
    """

    def __init__(self, program: Program, module: Module, code: MachineCode, team: Team, shuffle: MachineCode) -> None:
        self.program, self.text, self.code, self.module, self.team = program, module.text, code, module, team
        self.shuffle, self.stops = shuffle, may_stop(program)
        self.drive = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(code.drive)

    def start(self, inputs: Arrays, batch_size: int, shuffle: Array | None = None) -> NativeStepper:
        """Return a stepper; see `CompiledStep.start`."""
        return NativeStepper(self, Given(self.program, inputs, batch_size, shuffle))


class NativeStepper:
    """A stepper whose steps replace the state in place, without Python in between.

    From time to time it keeps a copy of the state, and what it has been asked for since then; when a step is not
    finite it goes back to the copy and does the steps before that one again, which gives the same bits. A step that
    cannot go wrong needs no copies.
    """

    def __init__(self, code: NativeStep, given: Given) -> None:
        self._code, self.given = code, given
        self._block, views = lay_out([value.type for value in given.roles.state], 0)
        first = given.hand_over()
        self.state: Arrays = dict(zip(first, views, strict=True))
        for name, array in first.items():
            np.copyto(self.state[name], array)
        del first
        self._memory = _Memory(code, given, self.state)
        self._since: list[Run] = []
        self._seconds, self._copy_seconds = 0.0, math.inf
        if code.stops:
            self._snapshot = np.empty_like(self._block)
            self._copy()

    def run(self, first: int, count: int, varying: Arrays, loss_sum: float, order: Array | None = None) -> Stretch:
        """Run steps; see `Stepper.run`."""
        self.given.check(first, count, varying, order)
        kept = {name: np.array(numbers) for name, numbers in varying.items()}  # as they are now: they may run again
        run = Run(first, count, kept, None if order is None else order.copy())
        started = time.perf_counter()
        outcome, steps, losses = self._drive(run, loss_sum)
        self._seconds += time.perf_counter() - started
        if outcome == DONE:
            if self._code.stops:
                self._keep(run)
            return Stretch(steps, losses, False)
        self._go_back(run, steps)
        if outcome == DIVERGED:
            return Stretch(steps, losses, True)
        raise IndexError(f"{self._code.program.name}: an index of take or scatter_add is out of range")

    def inputs(self, step: int, varying: Mapping[str, float]) -> dict[str, Array]:
        """Return what one step takes."""
        rows = self.given.rows_of(step, self.given.order(step // self.given.batches))
        return self.given.inputs(self.state, step, rows, varying)

    def _drive(self, run: Run, loss_sum: float) -> tuple[int, int, tuple[float, ...]]:
        """Call the machine code; return its outcome, the steps that are done, and the losses of their epochs."""
        self._memory.prepare(run, loss_sum)
        plan, batches = self._memory.plan, self.given.batches
        outcome = self._code.drive(ctypes.addressof(plan))
        for name in run.varying:
            self._memory.inputs[name][...] = self.given.fixed[name]
        epochs = (run.first + max(plan.done, 1) - 1) // batches - run.first // batches + 1
        return outcome, plan.done, tuple(self._memory.losses.array[:epochs].tolist())

    def _keep(self, run: Run) -> None:
        """Remember a stretch, or keep a copy of the state once the time since the last one is worth it."""
        self._since.append(run)
        if self._seconds * SNAPSHOT_SHARE >= self._copy_seconds or len(self._since) == LONGEST:
            self._copy()

    def _copy(self) -> None:
        """Copy the state; the quickest copy so far tells what one costs."""
        started = time.perf_counter()
        np.copyto(self._snapshot, self._block)
        self._copy_seconds = min(self._copy_seconds, time.perf_counter() - started)
        self._since.clear()
        self._seconds = 0.0

    def _go_back(self, run: Run, steps: int) -> None:
        """Bring back the state from before the step of a stretch that was not finite."""
        np.copyto(self._block, self._snapshot)
        self._memory.status[0] = 0
        for before in self._since:
            self._drive(before, 0.0)
        if steps:
            run = Run(run.first, steps, run.varying, run.order)
            self._drive(run, 0.0)
            self._since.append(run)


class _Memory:
    """Everything that the machine code reads and writes; nothing is allocated while it runs."""

    def __init__(self, code: NativeStep, given: Given, state: Arrays) -> None:
        self.module, self.team, self.given = code.module, code.team, given
        inputs, size = code.program.inputs, given.batch_size
        others = [value for value in inputs if value.name not in state]
        _, own = lay_out([value.type for value in others], size)
        self.inputs = dict(state) | {value.name: array for value, array in zip(others, own, strict=True)}
        same = _same(given.data)
        self.inputs |= {name: self.inputs[first] for name, first in same.items()}
        for name, array in given.fixed.items():
            np.copyto(self.inputs[name], array)
        _, self.created = lay_out(self.module.created, size)
        self.status = np.zeros(1, np.int64)
        self.front = [*(address(self.inputs[value.name]) for value in inputs), *map(address, self.created)]
        self.sources = _Kept(np.uintp, [0 if name in same else address(array) for name, array in given.data.items()])
        self.order, self.ordered = np.arange(given.rows), False
        self.losses = _Kept(np.float64)
        self.values: dict[str, _Kept] = {}
        self.targets: dict[tuple[str, ...], _Kept] = {}
        self.pointers = _Kept(np.uintp)
        self.tables: dict[int, tuple[Array, _Kept]] = {}
        self.shared = is_step_worth(self.module.regions, size, self.team.threshold)
        whole, rest = divmod(given.rows, size)
        self.plan = Plan(rows=given.rows, batch=size, batches=given.batches, order=address(self.order), ordered=-1)
        self.plan.sources = self.sources.address
        self.plan.whole = self._buffers(size) if whole else 0
        self.plan.rest = self._buffers(rest) if rest else 0
        if given.shuffle is not None:
            self.numbers = stream_numbers(given.shuffle)
            self.plan.shuffle, self.plan.numbers = code.shuffle.address, address(self.numbers)

    def prepare(self, run: Run, loss_sum: float) -> None:
        """Fill in the plan for a stretch."""
        plan = self.plan
        plan.first, plan.count = run.first, run.count
        self._set_order(run)
        sums = np.zeros(run.count // plan.batches + 2)
        sums[0] = loss_sum
        plan.losses = self.losses.keep(sums)
        plan.team = self.team.start() if self.shared else 0
        names = tuple(run.varying)
        if names not in self.targets:
            self.targets[names] = _Kept(np.uintp, [address(self.inputs[name]) for name in names])
        places = [self.values.setdefault(name, _Kept(np.float64)).keep(run.varying[name]) for name in names]
        plan.varying, plan.targets, plan.values = len(names), self.targets[names].address, self.pointers.keep(places)

    def _set_order(self, run: Run) -> None:
        """Put a given order in place of the stepper's own, or the other way round."""
        if run.order is not None:
            self.order[...] = run.order
            self.plan.ordered = run.first // self.plan.batches
        elif self.ordered:
            self.order[...] = np.arange(self.given.rows)
            self.plan.ordered = -1
        self.ordered = run.order is not None

    def _buffers(self, n: int) -> int:
        """Return the address of the table of buffers for batches of n; their arena is planned on the first call."""
        if n not in self.tables:
            starts, size = plan_arena(self.module.arena, n, self.team.threads)
            arena = aligned(size)
            first = address(arena)
            table = [*self.front, *(first + start for start in starts), address(self.status)]
            self.tables[n] = (arena, _Kept(np.uintp, table))
        return self.tables[n][1].address


def _same(data: Arrays) -> dict[str, str]:
    """Return the data that are an earlier input's too, as an autoencoder's, and its name: one copy of a batch does."""
    first: dict[object, str] = {}
    found = {name: first.setdefault((address(array), array.nbytes), name) for name, array in data.items()}
    return {name: other for name, other in found.items() if other != name}


class _Kept:
    """Numbers at a place that changes only when more of them come than ever before."""

    def __init__(self, dtype: type, first: Sequence[int] = ()) -> None:
        self.array: Array = np.zeros(0, dtype)
        self.address = 0
        self.keep(first)

    def keep(self, numbers: Sequence[int] | Array) -> int:
        """Copy numbers to the place and return its address."""
        if len(numbers) > len(self.array):
            self.array = np.zeros(len(numbers), self.array.dtype)
            self.address = address(self.array)
        self.array[: len(numbers)] = numbers
        return self.address
