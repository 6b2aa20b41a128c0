"""The one training loop: fit, epoch, step."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clearprop.backends.protocol import CompiledStep, Executable, Stepper
from clearprop.errors import DivergedError
from clearprop.optim import Constant, Position, Schedule
from clearprop.randomness import shuffle_key
from clearprop.train.diagnose import first_non_finite
from clearprop.train.events import EpochEnded, Listener, Progressed, is_patient
from clearprop.train.fit import CheckpointFile, Fit, Samples
from clearprop.train.settings import FitSettings
from clearprop.train.state import Arrays, FitState
from clearprop.train.statistics import Statistics

Array = np.ndarray[Any, Any]
_REPORT_SECONDS = 0.1
_STRETCH_SECONDS = 0.04
"""How long the backend runs steps on its own: Ctrl-C, listeners and checkpoints wait for no more."""
_STRETCH_STEPS = 1 << 16
"""The most steps of a stretch, so that the learning rates computed in advance stay few."""


@dataclass(frozen=True)
class Compiled:
    """What the loop runs: the step, the evaluation (compiled when it is first asked for), the hyper-parameters.

    `scheduled` are those of the optimiser, which the schedule may change; `evaluated` the slots by which parameters are
    evaluated (averages of theirs) instead of by themselves, and `statistics` what gives the network's running averages
    for those, where it has any.
    """

    step: CompiledStep
    evaluation: Callable[[], Executable]
    hyper: Mapping[str, float]
    key: Array
    schedule: Schedule
    scheduled: Mapping[str, float]
    evaluated: Mapping[str, str]
    statistics: Statistics | None


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
        self._statistics: tuple[int, Arrays] = (-1, {})
        self._memory = compiled.schedule.first()
        for record in state.history.epochs:
            self._memory = compiled.schedule.observe(self._memory, record)

    @property
    def watched(self) -> list[tuple[str, str]]:
        """Who watches which recorded quantity."""
        return super().watched + [("the schedule", name) for name in self.compiled.schedule.watched]

    def run_stretch(self) -> str:
        """Run steps until something else is due, and do that; return "finished", or why training ends here."""
        state = self.state
        if state.batch < self.steps_per_epoch and state.step < self.total_steps:
            self.run_steps(self._room())
            if self.stop.reason:
                return self.stop.reason
            self._checkpoint_if_due()
        # a bound on steps may end the last epoch early; what was seen of it is recorded all the same
        if state.batch == self.steps_per_epoch or state.step == self.total_steps:
            return self.end_epoch(state.loss_sum / self._samples_done_of_epoch())
        return "finished"

    def end_epoch(self, loss: float, **more: float) -> str:
        """Record the epoch at hand, and let the schedule see its record."""
        reason = super().end_epoch(loss, **more)
        self._memory = self.compiled.schedule.observe(self._memory, self.state.history.last)
        return reason

    def run_steps(self, count: int) -> None:
        """Run steps on the next batches; the state changes only as long as the results are finite."""
        state, started, before = self.state, time.perf_counter(), self._samples_done_of_epoch()
        stretch = self.stepper.run(state.step, count, self._varying_only(count), state.loss_sum)
        *passed, state.loss_sum = stretch.losses
        state.step, state.batch = state.step + stretch.steps, state.batch + stretch.steps
        self._share_out_time(stretch.steps, passed)
        if stretch.diverged:
            if state.batch == self.steps_per_epoch:
                self.end_epoch(state.loss_sum / self._samples_done_of_epoch())
            raise DivergedError(self._why())
        self._pace = (time.perf_counter() - started) / count
        self._samples_done += len(passed) * len(self.train) + self._samples_done_of_epoch() - before
        self._report_if_due()

    def _samples_done_of_epoch(self) -> int:
        return min(self.state.batch * self.settings.batch_size, len(self.train))

    def _share_out_time(self, steps: int, passed: Sequence[float]) -> None:
        """Record the epochs that ended within a stretch; each has the time of its steps."""
        now, spe = time.monotonic(), self.steps_per_epoch
        each, self._counted = (now - self._counted) / max(steps, 1), now
        if not passed:
            self._seconds += each * steps
            return
        state, history, samples = self.state, self.state.history, len(self.train)
        rest = state.batch - len(passed) * spe
        seconds = [each * spe] * len(passed)
        seconds[0] = self._seconds + each * (steps - rest - (len(passed) - 1) * spe)
        self._seconds = each * rest
        first, begin = len(history), state.epoch + 1
        history.add_losses(begin, passed, samples)
        history.seconds += seconds
        state.epoch, state.batch = state.epoch + len(passed), rest
        if self.listeners:
            for i, (record, took) in enumerate(zip(history.epochs[first:], seconds, strict=True), begin):
                self._publish(EpochEnded(i, i * spe, record, took, False))

    def _room(self) -> int:
        """Return how many steps may run before something else is due: time, a checkpoint, the end of an epoch."""
        state, every = self.state, self.settings.checkpoint_steps
        left = self.total_steps - state.step
        if self._stops_at_epochs():
            left = min(left, self.steps_per_epoch - state.batch)
        if every is not None:
            left = min(left, every - state.step % every)
        return min(left, _STRETCH_STEPS, max(1, int(_STRETCH_SECONDS / self._pace)))

    def _stops_at_epochs(self) -> bool:
        """Tell whether somebody needs the state, or the record, as it is when an epoch ends."""
        settings = self.settings
        recorded = self.validation is not None or bool(settings.metrics) or bool(self.watched)
        return recorded or not all(map(is_patient, self.listeners))

    def _stepper(self) -> Stepper:
        """Give the state to a stepper; what `state` holds from now on is what the stepper works on."""
        compiled, state, train = self.compiled, self.state, self.train
        inputs = {"x": train.x, "y": train.y, "key": compiled.key}
        if train.weight is not None:
            inputs["weight"] = train.weight
        hyper = {name: np.asarray(value, np.float64) for name, value in compiled.hyper.items()}
        size = min(self.settings.batch_size, len(train))
        shuffle = shuffle_key(self.settings.seed) if self.settings.shuffle else None
        stepper = compiled.step.start(inputs | state.parameters | state.slots | hyper, size, shuffle)
        state.parameters |= {name: stepper.state[name] for name in state.parameters if name in stepper.state}
        state.slots = {name: stepper.state[name] for name in state.slots}
        return stepper

    def varying(self, count: int = 1) -> dict[str, Array]:
        """Return the hyper-parameters that the schedule changes, for the next steps."""
        position = Position(self.state.step, self.steps_per_epoch, self.total_steps, self._memory)
        return self.compiled.schedule.values(position, count, self.compiled.scheduled)

    def _varying_only(self, count: int) -> dict[str, Array]:
        """Return what differs between the next steps; nothing, where the schedule is constant."""
        return {} if type(self.compiled.schedule) is Constant else self.varying(count)

    @property
    def evaluated(self) -> Arrays:
        """The parameters as they are evaluated: their averages, where the optimiser keeps them.

        The network's running averages are then those of the averaged parameters: one pass over the training samples for
        each step whose parameters somebody asks for, as at the end of an epoch with validation, or of the fit.
        """
        state = self.state
        arrays = state.parameters | {name: state.slots[slot] for name, slot in self.compiled.evaluated.items()}
        if self.compiled.statistics is None:
            return arrays
        if self._statistics[0] != state.step:
            self._statistics = (state.step, self.compiled.statistics.of(arrays, self.train, self.settings))
        return arrays | self._statistics[1]

    def _why(self) -> str:
        varying = {name: float(values[0]) for name, values in self.varying().items()}
        rate = varying["learning_rate"]
        inputs = self.stepper.inputs(self.state.step, varying)
        where = first_non_finite(self.compiled.step.program, inputs)
        return (
            f"training diverged at step {self.state.step + 1} (epoch {self.state.epoch + 1}): {where}. "
            f"The weights from before this step are kept. The learning rate was {rate:g}: "
            "try a tenth of it, check the scale of the data, or clip large targets"
        )

    def _report_if_due(self) -> None:
        now, (before, done) = time.monotonic(), self._last_report
        last = self.state.batch == self.steps_per_epoch
        if not self.listeners or not (last or now - before >= _REPORT_SECONDS):
            return
        speed = (self._samples_done - done) * (self.train.lanes or 1) / max(now - before, 1e-9)
        self._last_report = (now, self._samples_done)
        state = self.state
        loss = state.loss_sum / max(self._samples_done_of_epoch(), 1)
        rate = float(self.varying()["learning_rate"][0])
        self._publish(Progressed(state.step, state.epoch + 1, state.batch, loss, rate, speed))
