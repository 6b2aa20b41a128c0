"""What every way of training shares: epochs recorded, early stopping, checkpoints, events, the end."""

from __future__ import annotations

import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clearprop.backends.protocol import Executable
from clearprop.errors import DivergedError, FileFormatError, SettingsError
from clearprop.ir import Program, dims_product, resolve_shape
from clearprop.train.events import (
    CheckpointWritten,
    Diverged,
    EpochEnded,
    Event,
    FitEnded,
    FitStarted,
    Listener,
    StopTraining,
)
from clearprop.train.metrics import compute
from clearprop.train.settings import FitSettings, History
from clearprop.train.signals import StopRequest, stop_on_signals
from clearprop.train.state import Arrays, FitState, copies, write_checkpoint
from clearprop.train.step import FRESH

Array = np.ndarray[Any, Any]
_CUT_SHORT = ("interrupted", "terminated", "diverged")
"""The ends at which the weights stay as they are, though another epoch's were better."""

_MOST_ROWS, _MOST_NUMBERS = 4096, 1 << 24
"""How many samples a program is run on at a time, and how many numbers any of its values holds, at most."""


@dataclass(frozen=True)
class Samples:
    """Encoded samples: x (n, ...), y, and a weight each in the cost, or None.

    `decode` brings y back to the user's units, and `point` takes from predictions what metrics compare with y;
    `metric_weight` is the weight of each sample there, and `answers` says that y are answers, 0 or 1 for each output.

    With `lanes` (see `train.lanes`) the arrays have a row a step, (steps, lanes, ...), and states are carried on.
    """

    x: Array
    y: Array
    weight: Array | None = None
    decode: Callable[[Array], Array] | None = None
    point: Callable[[Array], Array] | None = None
    metric_weight: Array | None = None
    answers: bool = False
    lanes: int | None = None

    def __len__(self) -> int:
        """How many rows the arrays have."""
        return len(self.x)

    @property
    def count(self) -> int:
        """How many samples there are."""
        return len(self) * (self.lanes or 1)

    def each(self, array: Array) -> Array:
        """Return an array of theirs with a row a sample."""
        return array if self.lanes is None else array.reshape(-1, *array.shape[2:])


@dataclass(frozen=True)
class CheckpointFile:
    """Where checkpoints go, and what must be the same when the run goes on."""

    path: Path
    guard: Any


class Fit(ABC):
    """One fit, from its state to its end; made anew for every fit.

    Attributes:
        state: where training stands.
        result: the parameters that the fit leaves when it has ended: as they are evaluated, or the best epoch's.
    """

    def __init__(
        self,
        evaluation: Callable[[], Executable],
        state: FitState,
        settings: FitSettings,
        train: Samples,
        validation: Samples | None = None,
        listeners: Sequence[Listener] = (),
        checkpoint: CheckpointFile | None = None,
    ) -> None:
        self.evaluation = evaluation
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
        self._last_checkpoint = self._counted = time.monotonic()
        self._seconds = 0.0
        self._check_watched()

    @abstractmethod
    def run_stretch(self) -> str:
        """Run until something else is due, and do that; return "finished", or why training ends here."""

    @property
    def evaluated(self) -> Arrays:
        """The parameters as they are evaluated."""
        return self.state.parameters

    @property
    def watched(self) -> list[tuple[str, str]]:
        """Who watches which recorded quantity."""
        stopping = self.settings.early_stopping
        return [] if stopping is None else [("early stopping", stopping.metric)]

    def run(self) -> History:
        """Train until the last step, early stopping, a request to stop, or a non-finite loss.

        Raises:
            DivergedError: the loss or a parameter became non-finite; the state is that before the step.
        """
        started = self._counted = time.monotonic()
        reason = "early stopping" if self._patience_is_over() else "finished"
        with stop_on_signals() as self.stop:
            self._publish(self._fit_started())
            try:
                if reason == "finished":
                    reason = self.run_stretches()
            except DivergedError as error:
                self._publish(Diverged(self.state.step, str(error)))
                self._end("diverged", started)
                raise
            self._end(reason, started)
        return self.state.history

    def run_stretches(self) -> str:
        """Run stretch after stretch; return why training ends."""
        reason = "finished"
        while self._has_more() and reason == "finished":
            reason = self.stop.reason or self.run_stretch()
        return reason

    def end_epoch(self, loss: float, **more: float) -> str:
        """Record the epoch at hand, whose work is done; return "finished", or why training ends here."""
        state = self.state
        record, now = self._record(loss) | more, time.monotonic()
        state.history.add(record)
        state.history.seconds.append(self._seconds + now - self._counted)
        self._seconds, self._counted = 0.0, now
        best = self._watch(record)
        state.epoch, state.batch, state.loss_sum = state.epoch + 1, 0, 0.0
        self._publish(EpochEnded(state.epoch, state.step, record, state.history.seconds[-1], best))
        if self._patience_is_over():
            return "early stopping"
        return self.stop.reason or "finished"

    def check_place(self, path: Path) -> None:
        """Raise `FileFormatError` if the state, which was read from a file, is at no place of this fit."""
        state, spe = self.state, self.steps_per_epoch
        within = state.batch <= spe and state.step == state.epoch * spe + state.batch
        ended = state.step == self.total_steps and (state.epoch, state.batch) == (-(-state.step // spe), 0)
        if state.step > self.total_steps or not (within or ended) or len(state.history) != state.epoch:
            raise FileFormatError(
                f"{path} is damaged: step {state.step} is not batch {state.batch} of epoch {state.epoch} in a fit of "
                f"{self.total_steps} steps, {spe} an epoch, with {len(state.history)} epochs recorded"
            )

    def _has_more(self) -> bool:
        """Tell whether there are steps to do, or an epoch whose steps are done (a resumed one) is to be recorded."""
        return self.state.step < self.total_steps or self.state.batch > 0

    def _patience_is_over(self) -> bool:
        watch = self.settings.early_stopping
        return watch is not None and self.state.waited >= watch.patience

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

    def _record(self, loss: float) -> dict[str, float]:
        state = self.state
        record = {"epoch": float(state.epoch + 1), "loss": loss}
        if self.settings.metrics:
            _, prediction = evaluate(self.evaluation(), self.evaluated, self.train)
            record |= measure(self.settings.metrics, self.train, prediction)
        if self.validation is not None:
            held_out = evaluated(self.evaluation(), self.evaluated, self.validation, self.settings.metrics)
            record |= {f"val_{name}": value for name, value in held_out.items()}
        return record

    def _check_watched(self) -> None:
        """Raise `SettingsError` where early stopping or the schedule watches what is not recorded."""
        names = ["loss", *self.settings.metrics]
        names += [f"val_{name}" for name in names] if self.validation is not None else []
        for who, name in self.watched:
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
        restore = watch is not None and watch.restore_best and state.best and reason not in _CUT_SHORT
        self.result = dict(state.best) if restore else copies(self.evaluated)
        history = state.history
        seconds = time.monotonic() - started
        self._publish(FitEnded(reason, state.step, len(history), history.best_epoch, seconds))

    def _fit_started(self) -> FitStarted:
        count = sum(int(array.size) for array in self.state.parameters.values())
        validation = 0 if self.validation is None else self.validation.count
        epochs = -(-self.total_steps // self.steps_per_epoch)
        return FitStarted(
            self.state.step,
            epochs,
            self.total_steps,
            self.steps_per_epoch,
            self.train.count,
            validation,
            count,
        )

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


def evaluate(evaluation: Executable, parameters: Arrays, samples: Samples) -> tuple[float, Array]:
    """Return the (weighted) mean loss over samples, and the predictions, in the inference form."""
    pieces = list(_pieces(evaluation, parameters, samples))
    return _mean([piece["loss"] for piece in pieces], samples), np.concatenate([p["prediction"] for p in pieces])


def evaluated(
    evaluation: Executable, parameters: Arrays, samples: Samples, metrics: Iterable[str] = ()
) -> dict[str, float]:
    """Return the (weighted) mean loss over samples, and metrics; without any, no prediction is kept."""
    names = tuple(metrics)
    if not names:
        return {"loss": _mean([piece["loss"] for piece in _pieces(evaluation, parameters, samples)], samples)}
    loss, prediction = evaluate(evaluation, parameters, samples)
    return {"loss": loss} | measure(names, samples, prediction)


def _pieces(evaluation: Executable, parameters: Arrays, samples: Samples) -> Iterator[dict[str, Array]]:
    """Run the evaluation on a part of the samples at a time.

    In lanes it is one row at a time, and the states of one go into the next.
    """
    program = evaluation.program
    slices = slices_at_once(program, len(samples), 1 if samples.lanes else None)
    given = dict(parameters)
    for value in program.inputs:
        if value.name in program.output_names:
            given[value.name] = np.zeros(resolve_shape(value.type.shape, 1), value.type.dtype)
    for part in slices:
        again = {FRESH: np.array(part.start == 0)} if samples.lanes else {}
        piece = evaluation({"x": samples.x[part], "y": samples.y[part], **given, **again})
        given |= {name: piece[name] for name in given if name in piece}
        yield piece


def slices_at_once(program: Program, count: int, rows: int | None = None) -> list[slice]:
    """Return the parts of samples that a program is run on, at least one part.

    Each has so many `rows`; where that is left open, so many that none of the program's values takes much memory.
    """
    rows = _rows_at_once(program) if rows is None else rows
    return [slice(start, start + rows) for start in range(0, max(count, 1), rows)]


def _rows_at_once(program: Program) -> int:
    values = [value for node in program.nodes for value in node.outputs]
    sizes = [dims_product(value.type.shape) for value in values]
    size = max((numbers for numbers, power in sizes if power), default=1)
    return max(1, min(_MOST_ROWS, _MOST_NUMBERS // size))


def _mean(losses: list[Array], samples: Samples) -> float:
    loss = np.concatenate(losses).astype(np.float64)
    weight = None if samples.weight is None else samples.each(samples.weight).astype(np.float64)
    return float(np.average(loss, weights=weight)) if len(loss) else float("nan")


def measure(names: Iterable[str], samples: Samples, prediction: Array) -> dict[str, float]:
    """Compute metrics in the user's units."""
    names = tuple(names)
    if not names:
        return {}
    point = prediction if samples.point is None else samples.point(prediction)
    y = samples.each(samples.y)
    pair = (y, point)
    if samples.decode is not None:
        pair = (samples.decode(y.reshape(len(y), -1)), samples.decode(point))
    weight = None if samples.metric_weight is None else samples.each(samples.metric_weight)
    return compute(names, *pair, weight, samples.answers)
