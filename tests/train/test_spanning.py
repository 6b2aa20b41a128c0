"""Stretches that span epochs: the same numbers as epoch by epoch, whoever listens and wherever a stretch ends."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from clearprop import nn, optim
from clearprop.errors import DivergedError, FileFormatError
from clearprop.model import Model, Run, fitting
from clearprop.train import CheckpointWritten, Diverged, EpochEnded, Event, FitEnded, History, Progressed, Training

pytestmark = pytest.mark.usefixtures("backend")


class Seen(list):
    """A listener that keeps every event, when it happens or later."""

    def __init__(self, patient: bool) -> None:
        self.patient = patient

    def __call__(self, event: Event) -> None:
        self.append(event)

    def of(self, kind: type) -> list:
        return [event for event in self if isinstance(event, kind)]


class Killed(BaseException):
    """As SIGKILL: nothing after it runs."""


def twin(model: Model) -> Model:
    return Model(model.network, model.loss, model.optimizer, schedule=model.schedule, dtype="float64", seed=model.seed)


def assert_same(a: Model, b: Model) -> None:
    for name, array in a.parameters.items():
        np.testing.assert_array_equal(array, b.parameters[name], err_msg=name)


@pytest.fixture
def calls(monkeypatch) -> list[int]:
    """The counts of steps of the stretches."""
    counts = []

    def run_steps(self, count):
        counts.append(count)
        original(self, count)

    original = Training.run_steps
    monkeypatch.setattr(Training, "run_steps", run_steps)
    return counts


@pytest.fixture(params=[1, 2, 3, 5, 7, 1000])
def stretches(request, monkeypatch) -> int:
    """Stretches of so many steps, whatever they take; there are 5 in an epoch of the samples in batches of 5."""
    monkeypatch.setattr("clearprop.train.loop._STRETCH_STEPS", request.param)
    take_any_time(monkeypatch)
    return int(request.param)


def take_any_time(monkeypatch) -> None:
    """Let stretches take any time, the first one too."""

    def run(self):
        self._pace = 1.0
        return original(self)

    original = Training.run
    monkeypatch.setattr(Training, "run", run)
    monkeypatch.setattr("clearprop.train.loop._STRETCH_SECONDS", 1e9)


@pytest.mark.parametrize("options", [{}, {"steps": 33}, {"shuffle": False}], ids=str)
def test_the_numbers_are_those_of_epoch_by_epoch(samples, model, stretches, calls, options):
    """Dropout, Adam, a schedule; the last batch has 3 rows; 33 steps end in the middle of an epoch."""
    exact, spanning = twin(model), twin(model)
    seen, late = Seen(False), Seen(True)
    expected = exact.fit(*samples, epochs=9, batch_size=5, listeners=[seen], progress=False, **options)
    assert calls == [min(stretches, n) for n in calls]
    assert sum(calls) == options.get("steps", 45)
    assert len(calls) >= len(expected)
    calls.clear()
    history = spanning.fit(*samples, epochs=9, batch_size=5, listeners=[late], progress=False, **options)
    assert len(calls) == -(-options.get("steps", 45) // stretches)
    assert_same(spanning, exact)
    assert history.epochs == expected.epochs
    assert (history.reason, history.best_epoch) == (expected.reason, expected.best_epoch)
    ended = [(event.epoch, event.step, event.record, event.best) for event in late.of(EpochEnded)]
    assert ended == [(event.epoch, event.step, event.record, event.best) for event in seen.of(EpochEnded)]
    assert [event.seconds for event in late.of(EpochEnded)] == history.seconds
    assert late.of(FitEnded)[0].step == sum(calls)


def test_somebody_who_needs_the_end_of_an_epoch_has_it(samples, model, calls, monkeypatch):
    take_any_time(monkeypatch)
    patient = Seen(True)
    for needs in (
        {"listeners": [patient, lambda event: None]},
        {"validation_data": samples},
        {"metrics": "accuracy"},
        {"early_stopping": "loss"},
    ):
        calls.clear()
        twin(model).fit(*samples, epochs=4, batch_size=5, progress=False, **needs)
        assert calls == [5, 5, 5, 5]
    for needs in ({}, {"listeners": [patient]}, {"progress": "plain"}):
        calls.clear()
        twin(model).fit(*samples, epochs=4, batch_size=5, **{"progress": False} | needs)
        assert calls == [20]


def test_a_stretch_ends_where_a_checkpoint_is_due(samples, model, calls, tmp_path, monkeypatch):
    take_any_time(monkeypatch)
    seen = Seen(True)
    model.fit(*samples, epochs=4, batch_size=5, listeners=[seen], run=tmp_path, checkpoint_steps=7, progress=False)
    assert calls == [7, 7, 6]
    assert [event.step for event in seen.of(CheckpointWritten)] == [7, 14, 20]
    kinds = [type(event) for event in seen if isinstance(event, (EpochEnded, CheckpointWritten))]
    ended, written = EpochEnded, CheckpointWritten
    assert kinds == [ended, written, ended, written, ended, ended, written]


@pytest.mark.parametrize("step", [1, 4, 5, 6, 10, 13, 20])
def test_killed_and_resumed(samples, model, stretches, step, tmp_path, monkeypatch):
    """A process is gone after so many steps, or some more; what is on disk is a checkpoint from before that."""

    def kill(self, count):
        original(self, min(count, max(step - self.state.step, 1)))
        if self.state.step >= step:
            self.save()
            raise Killed

    options = {"epochs": 5, "batch_size": 5, "progress": False}
    whole, resumed = twin(model), twin(model)
    expected = whole.fit(*samples, **options)
    original = Training.run_steps
    with monkeypatch.context() as patch:
        patch.setattr(Training, "run_steps", kill)
        patch.setattr(Run, "finish", lambda *args: None)
        with pytest.raises(Killed):
            twin(model).fit(*samples, run=tmp_path, **options)
    history = resumed.fit(*samples, run=tmp_path, resume=True, **options)
    assert history.epochs == expected.epochs
    assert len(history.seconds) == 5
    assert_same(resumed, whole)


@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_checkpoints_by_time(samples, model, stretches, calls, tmp_path, seconds):
    seen = Seen(True)
    options = {"epochs": 3, "batch_size": 5, "checkpoint_seconds": seconds, "progress": False}
    model.fit(*samples, run=tmp_path, listeners=[seen], **options)
    written = [event.step for event in seen.of(CheckpointWritten)]
    done = np.cumsum(calls).tolist()
    assert written == ([15] if seconds else [*done, 15])


@pytest.mark.parametrize("step", [0, 3, 10, 14, 15, 16, 22])
def test_divergence_names_step_and_epoch(samples, stretches, step):
    """The rate is no number in that step: the state is that before it, and the epochs before are recorded."""

    class Broken(optim.Schedule):
        def __call__(self, position: optim.Position) -> float:
            return float("nan") if position.step == step else 1.0

    X, y = samples[0], samples[0].sum(axis=1)

    def make(schedule):
        return Model(nn.Dense(1), optimizer=optim.Adam(0.02), schedule=schedule, dtype="float64")

    before, exact, spanning = make("constant"), make(Broken()), make(Broken())
    if step:
        before.fit(X, y, epochs=9, steps=step, batch_size=5, progress=False)
    events = []
    for model, seen in ((exact, Seen(False)), (spanning, Seen(True))):
        with pytest.raises(DivergedError, match=rf"step {step + 1} \(epoch {step // 5 + 1}\)"):
            model.fit(X, y, epochs=9, batch_size=5, listeners=[seen], progress=False)
        assert seen.of(Diverged)[0].step == step
        events.append([(event.epoch, event.record) for event in seen.of(EpochEnded)])
        if step:
            assert_same(model, before)
    assert events[0] == events[1]
    assert len(events[0]) == step // 5


def test_seconds_are_shared_out(samples, model):
    seen = Seen(True)
    epochs = 2000 if model.backend == "native" else 200
    history = model.fit(*samples, epochs=epochs, batch_size=5, listeners=[seen], progress=False)
    assert len(history.seconds) == epochs
    assert all(seconds > 0 for seconds in history.seconds)
    assert 0.5 * seen[-1].seconds < sum(history.seconds) <= seen[-1].seconds


@pytest.mark.parametrize("patient", [True, False])
def test_ctrl_c(samples, model, patient, tmp_path):
    """Somewhere in very many short epochs; the fit ends soon, and the history holds the epochs that are done."""
    sent = []

    def interrupt():
        sent.append(time.process_time())  # not of the clock: a busy machine makes others wait, too
        os.kill(os.getpid(), signal.SIGINT)

    model.schedule = optim.Constant()  # the others depend on how many steps are planned
    seen = Seen(patient)
    timer = threading.Timer(0.5, interrupt)
    timer.start()
    history = model.fit(*samples, epochs=10**7, batch_size=23, listeners=[seen], progress=False)
    assert time.process_time() - sent[0] < 0.5
    assert history.reason == "interrupted"
    assert len(history) in (seen[-1].step, seen[-1].step - 1)  # the last one may be done, and not recorded
    assert [event.epoch for event in seen.of(EpochEnded)] == list(range(1, len(history) + 1))
    again = twin(model)
    again.fit(*samples, epochs=10**7, steps=seen[-1].step, batch_size=23, progress=False)
    assert_same(again, model)


def test_progress_is_told_now_and_then(samples, model):
    seen = Seen(True)
    epochs = 3000 if model.backend == "native" else 300
    model.fit(*samples, epochs=epochs, batch_size=23, listeners=[seen], progress=False)
    steps = [event.step for event in seen.of(Progressed)]
    assert steps == sorted(steps)
    assert steps[-1] == epochs
    assert all(event.loss > 0 and event.samples_per_second > 0 for event in seen.of(Progressed))


def test_a_checkpoint_of_an_earlier_version_is_refused(samples, model, tmp_path: Path, monkeypatch):
    original = fitting._guard
    options = {"run": tmp_path, "epochs": 2, "progress": False}
    with monkeypatch.context() as patch:
        patch.setattr(
            fitting, "_guard", lambda *args: {k: v for k, v in original(*args).items() if k != "order of the rows"}
        )
        model.fit(*samples, **options)
    with pytest.raises(FileFormatError, match="order of the rows was 'that of an earlier version' and is 'Philox"):
        twin(model).fit(*samples, resume=True, **options)


def test_a_history_is_as_ever(samples, model):
    history = model.fit(*samples, epochs=3, progress=False)
    assert isinstance(history, History)
    assert history["epoch"] == [1.0, 2.0, 3.0]
    assert [list(record) for record in history.epochs] == [["epoch", "loss"]] * 3
    assert all(type(value) is float for record in history.epochs for value in record.values())
