"""The one training loop: fit, epoch, step."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clearprop.backends.protocol import CompiledStep, Executable, Stepper
from clearprop.data import batch_order
from clearprop.errors import DivergedError
from clearprop.optim import Position, Schedule
from clearprop.train.diagnose import first_non_finite
from clearprop.train.events import Listener, Progressed
from clearprop.train.fit import CheckpointFile, Fit, Samples
from clearprop.train.settings import FitSettings
from clearprop.train.state import Arrays, FitState

Array = np.ndarray[Any, Any]
_REPORT_SECONDS = 0.1
_STRETCH_SECONDS = 0.04
"""How long the backend runs steps on its own: Ctrl-C, listeners and checkpoints wait for no more."""
_STRETCH_STEPS = 4096
"""The most steps of a stretch, so that the learning rates computed in advance stay few."""


@dataclass(frozen=True)
class Compiled:
    """What the loop runs: the step, the evaluation (compiled when it is first asked for), the hyper-parameters.

    `scheduled` are those of the optimiser, which the schedule may change; `evaluated` the slots by which parameters are
    evaluated (averages of theirs) instead of by themselves.
    """

    step: CompiledStep
    evaluation: Callable[[], Executable]
    hyper: Mapping[str, float]
    key: Array
    schedule: Schedule
    scheduled: Mapping[str, float]
    evaluated: Mapping[str, str]


class Training(Fit):
    """A fit by steps on batches."""

    def __init__(
        self,
        compiled: Compiled,
        state: FitState,
        settings: FitSettings,
        train: Samples,
        validation: Samples | None = None,
        listeners: Sequence[Listener] = (),
        checkpoint: CheckpointFile | None = None,
    ) -> None:
        self.compiled = compiled
        super().__init__(compiled.evaluation, state, settings, train, validation, listeners, checkpoint)
        self.stepper = self._stepper()
        self._pace = _STRETCH_SECONDS
        self._last_report = (time.monotonic(), 0)
        self._samples_done = 0
        self._memory = compiled.schedule.first()
        for record in state.history.epochs:
            self._memory = compiled.schedule.observe(self._memory, record)

    @property
    def watched(self) -> list[tuple[str, str]]:
        """Who watches which recorded quantity."""
        return super().watched + [("the schedule", name) for name in self.compiled.schedule.watched]

    def run_epoch(self) -> str:
        """Run what is left of the epoch at hand; return "finished", or why training ends here."""
        state, started = self.state, time.monotonic()
        order = self.order(state.epoch)
        while state.batch < self.steps_per_epoch and state.step < self.total_steps:
            self.run_steps(order, self._room())
            if self.stop.reason:
                return self.stop.reason
            self._checkpoint_if_due()
        # a bound on steps may end the last epoch early; what was seen of it is recorded all the same
        reason = self.end_epoch(state.loss_sum / min(state.batch * self.settings.batch_size, len(self.train)), started)
        self._memory = self.compiled.schedule.observe(self._memory, state.history.epochs[-1])
        return reason

    def run_steps(self, order: Array, count: int) -> None:
        """Run steps on the next batches; the state changes only as long as the results are finite."""
        state, size = self.state, self.settings.batch_size
        rows = order[state.batch * size : (state.batch + count) * size]
        varying = self.varying(count)
        started = time.perf_counter()
        stretch = self.stepper.run(state.step, rows, varying, state.loss_sum)
        state.loss_sum = stretch.loss_sum
        state.step, state.batch = state.step + stretch.steps, state.batch + stretch.steps
        if stretch.diverged:
            raise DivergedError(self._why(order[state.batch * size : (state.batch + 1) * size]))
        self._pace = (time.perf_counter() - started) / count
        self._samples_done += len(rows)
        self._report_if_due(min(state.batch * size, len(self.train)))

    def _room(self) -> int:
        """Return how many steps may run before something else is due: time, a checkpoint, the end of the epoch."""
        state, every = self.state, self.settings.checkpoint_steps
        left = min(self.steps_per_epoch - state.batch, self.total_steps - state.step)
        if every is not None:
            left = min(left, every - state.step % every)
        return min(left, _STRETCH_STEPS, max(1, int(_STRETCH_SECONDS / self._pace)))

    def _stepper(self) -> Stepper:
        """Give the state to a stepper; what `state` holds from now on is what the stepper works on."""
        compiled, state, train = self.compiled, self.state, self.train
        inputs = {"x": train.x, "y": train.y, "key": compiled.key}
        if train.weight is not None:
            inputs["weight"] = train.weight
        hyper = {name: np.asarray(value, np.float64) for name, value in compiled.hyper.items()}
        size = min(self.settings.batch_size, len(train))
        stepper = compiled.step.start(inputs | state.parameters | state.slots | hyper, size)
        state.parameters |= {name: stepper.state[name] for name in state.parameters if name in stepper.state}
        state.slots = {name: stepper.state[name] for name in state.slots}
        return stepper

    def varying(self, count: int = 1) -> dict[str, Array]:
        """Return the hyper-parameters that the schedule changes, for the next steps."""
        position = Position(self.state.step, self.steps_per_epoch, self.total_steps, self._memory)
        values = self.compiled.schedule.values(position, count, self.compiled.scheduled)
        return {name: np.array(numbers, np.float64) for name, numbers in values.items()}

    @property
    def evaluated(self) -> Arrays:
        """The parameters as they are evaluated: their averages, where the optimiser keeps them."""
        state = self.state
        return state.parameters | {name: state.slots[slot] for name, slot in self.compiled.evaluated.items()}

    def order(self, epoch: int) -> Array:
        """Return the order in which an epoch takes the samples."""
        if not self.settings.shuffle:
            return np.arange(len(self.train))
        return batch_order(len(self.train), seed=self.settings.seed, epoch=epoch)

    def _why(self, rows: Array) -> str:
        varying = {name: float(values[0]) for name, values in self.varying().items()}
        rate = varying["learning_rate"]
        inputs = self.stepper.inputs(self.state.step, rows, varying)
        where = first_non_finite(self.compiled.step.program, inputs)
        return (
            f"training diverged at step {self.state.step + 1} (epoch {self.state.epoch + 1}): {where}. "
            f"The weights from before this step are kept. The learning rate was {rate:g}: "
            "try a tenth of it, check the scale of the data, or clip large targets"
        )

    def _report_if_due(self, samples: int) -> None:
        now, (before, done) = time.monotonic(), self._last_report
        last = self.state.batch == self.steps_per_epoch
        if not self.listeners or not (last or now - before >= _REPORT_SECONDS):
            return
        speed = (self._samples_done - done) / max(now - before, 1e-9)
        self._last_report = (now, self._samples_done)
        state = self.state
        loss = state.loss_sum / samples
        rate = float(self.varying()["learning_rate"][0])
        self._publish(Progressed(state.step, state.epoch, state.batch, loss, rate, speed))
