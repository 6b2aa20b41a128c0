"""The one training loop: fit, epoch, step."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clearprop.backends.protocol import CompiledStep, Executable, Stepper
from clearprop.data import batch_order
from clearprop.errors import DivergedError, SettingsError
from clearprop.optim import Position, Schedule
from clearprop.train.diagnose import first_non_finite
from clearprop.train.events import (
    CheckpointWritten,
    Diverged,
    EpochEnded,
    Event,
    FitEnded,
    FitStarted,
    Listener,
    Progressed,
    StopTraining,
)
from clearprop.train.metrics import compute
from clearprop.train.settings import FitSettings, History
from clearprop.train.signals import StopRequest, stop_on_signals
from clearprop.train.state import Arrays, FitState, copies, write_checkpoint

Array = np.ndarray[Any, Any]
_REPORT_SECONDS = 0.1
_STRETCH_SECONDS = 0.04
"""How long the backend runs steps on its own: Ctrl-C, listeners and checkpoints wait for no more."""
_STRETCH_STEPS = 4096
"""The most steps of a stretch, so that the learning rates computed in advance stay few."""


@dataclass(frozen=True)
class Samples:
    """Encoded samples: x (n, ...), y, and a weight each or None; `decode` brings y back to the user's units."""

    x: Array
    y: Array
    weight: Array | None = None
    decode: Callable[[Array], Array] | None = None

    def __len__(self) -> int:
        return len(self.x)


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


@dataclass(frozen=True)
class CheckpointFile:
    """Where checkpoints go, and what must be the same when the run goes on."""

    path: Path
    guard: Any


class Training:
    """One fit, from its state to its end; made anew for every fit.

    Attributes:
        state: where training stands.
        result: the parameters that the fit leaves when it has ended: as they are evaluated, or the best epoch's.
    """

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
        self.state = state
        self.settings = settings
        self.train = train
        self.validation = validation
        self.listeners = list(listeners)
        self.checkpoint = checkpoint
        self.steps_per_epoch = settings.steps_per_epoch(len(train))
        self.total_steps = settings.total_steps(len(train))
        self.result: Arrays = {}
        self.stop = StopRequest()
        self.stepper = self._stepper()
        self._pace = _STRETCH_SECONDS
        self._last_checkpoint = time.monotonic()
        self._last_report = (time.monotonic(), 0)
        self._samples_done = 0
        self._check_watched()
        self._memory = compiled.schedule.first()
        for record in state.history.epochs:
            self._memory = compiled.schedule.observe(self._memory, record)

    def run(self) -> History:
        """Train until the last step, early stopping, a request to stop, or a non-finite loss.

        Raises:
            DivergedError: the loss or a parameter became non-finite; the state is that before the step.
        """
        started = time.monotonic()
        reason = "early stopping" if self._patience_is_over() else "finished"
        with stop_on_signals() as self.stop:
            self._publish(self._fit_started())
            try:
                while self._has_more() and reason == "finished":
                    reason = self.run_epoch()
            except DivergedError as error:
                self._publish(Diverged(self.state.step, str(error)))
                self._end("diverged", started)
                raise
            self._end(reason, started)
        return self.state.history

    def _has_more(self) -> bool:
        """Tell whether there are steps to do, or an epoch whose steps are done (a resumed one) is to be recorded."""
        return self.state.step < self.total_steps or self.state.batch > 0

    def _patience_is_over(self) -> bool:
        watch = self.settings.early_stopping
        return watch is not None and self.state.waited >= watch.patience

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
        record = self._record(min(state.batch * self.settings.batch_size, len(self.train)))
        state.history.epochs.append(record)
        state.history.seconds.append(time.monotonic() - started)
        best = self._watch(record)
        self._memory = self.compiled.schedule.observe(self._memory, record)
        state.epoch, state.batch, state.loss_sum = state.epoch + 1, 0, 0.0
        self._publish(EpochEnded(state.epoch, state.step, record, state.history.seconds[-1], best))
        if self._patience_is_over():
            return "early stopping"
        return self.stop.reason or "finished"

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

    def save(self) -> None:
        """Write a checkpoint, if there is a place for one."""
        if self.checkpoint is None:
            return
        write_checkpoint(self.checkpoint.path, self.state, self.checkpoint.guard)
        self._last_checkpoint = time.monotonic()
        self._publish(CheckpointWritten(self.state.step, str(self.checkpoint.path)))

    def _checkpoint_if_due(self) -> None:
        every = self.settings.checkpoint_steps
        due = every is not None and self.state.step % every == 0
        if due or time.monotonic() - self._last_checkpoint >= self.settings.checkpoint_seconds:
            self.save()

    def _record(self, samples: int) -> dict[str, float]:
        state = self.state
        record = {"epoch": float(state.epoch + 1), "loss": state.loss_sum / samples}
        if self.settings.metrics:
            _, prediction = evaluate(self.compiled.evaluation(), self.evaluated, self.train)
            record |= measure(self.settings.metrics, self.train, prediction)
        if self.validation is not None:
            loss, prediction = evaluate(self.compiled.evaluation(), self.evaluated, self.validation)
            metrics = measure(self.settings.metrics, self.validation, prediction)
            record |= {f"val_{name}": value for name, value in ({"loss": loss} | metrics).items()}
        return record

    def _check_watched(self) -> None:
        """Raise `SettingsError` where early stopping or the schedule watches what is not recorded."""
        stopping = self.settings.early_stopping
        watched = [] if stopping is None else [("early stopping", stopping.metric)]
        watched += [("the schedule", name) for name in self.compiled.schedule.watched]
        names = ["loss", *self.settings.metrics]
        names += [f"val_{name}" for name in names] if self.validation is not None else []
        for who, name in watched:
            if name not in names:
                hint = "" if self.validation is not None else "; give validation data to watch a val_ quantity"
                raise SettingsError(f"{who} cannot watch {name!r}: the fit records {', '.join(names)}{hint}")

    def _watch(self, record: Mapping[str, float]) -> bool:
        """Keep the best epoch's weights; tell whether this is the best one so far."""
        watch, state = self.settings.early_stopping, self.state
        if watch is None:
            return False
        value = record[watch.metric]
        if not watch.improves(value, state.best_value):
            state.waited += 1
            return False
        state.best_value, state.waited, state.best = value, 0, copies(self.evaluated)
        state.history.best_epoch = state.epoch + 1
        return True

    def _end(self, reason: str, started: float) -> None:
        state, watch = self.state, self.settings.early_stopping
        state.history.reason = reason
        self.save()
        self.result = copies(self.evaluated)
        if watch is not None and watch.restore_best and state.best and reason in ("finished", "early stopping"):
            self.result = dict(state.best)
        history = state.history
        seconds = time.monotonic() - started
        self._publish(FitEnded(reason, state.step, len(history), history.best_epoch, seconds))

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

    def _fit_started(self) -> FitStarted:
        count = sum(int(array.size) for array in self.state.parameters.values())
        validation = 0 if self.validation is None else len(self.validation)
        epochs = -(-self.total_steps // self.steps_per_epoch)
        return FitStarted(
            self.state.step,
            epochs,
            self.total_steps,
            self.steps_per_epoch,
            len(self.train),
            validation,
            count,
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

    def _publish(self, event: Event) -> None:
        """Hand an event to every listener; one that fails is reported and left out from then on."""
        for listener in tuple(self.listeners):
            try:
                listener(event)
            except StopTraining:
                self.stop.reason = self.stop.reason or "interrupted"
            except Exception as error:
                self.listeners.remove(listener)
                warnings.warn(f"the listener {listener!r} failed and was left out: {error!r}", stacklevel=2)


def evaluate(
    evaluation: Executable, parameters: Mapping[str, Array], samples: Samples, rows: int = 4096
) -> tuple[float, Array]:
    """Return the (weighted) mean loss over samples, and the predictions, in the inference form."""
    losses, predictions = [], []
    for start in range(0, max(len(samples), 1), rows):
        part = slice(start, start + rows)
        outputs = evaluation({"x": samples.x[part], "y": samples.y[part], **parameters})
        losses.append(outputs["loss"])
        predictions.append(outputs["prediction"])
    loss = np.concatenate(losses).astype(np.float64)
    weight = None if samples.weight is None else samples.weight.astype(np.float64)
    mean = float(np.average(loss, weights=weight)) if len(loss) else float("nan")
    return mean, np.concatenate(predictions)


def measure(names: Iterable[str], samples: Samples, prediction: Array) -> dict[str, float]:
    """Compute metrics in the user's units."""
    names = tuple(names)
    if not names:
        return {}
    decode = samples.decode or (lambda values: values)
    return compute(names, decode(samples.y), decode(prediction))
