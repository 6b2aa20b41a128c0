"""Stopped anywhere and resumed, a fit gives the same bits."""

from __future__ import annotations

import dataclasses
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clearprop import losses, nn, optim
from clearprop.errors import DataError, FileFormatError, SettingsError
from clearprop.model import Model, Run, load
from clearprop.train import CheckpointWritten, EarlyStopping, EpochEnded, Event, FitEnded, StopTraining, Training

pytestmark = pytest.mark.usefixtures("backend")

RNG = np.random.default_rng(0)
X, V = RNG.normal(size=(23, 4)), RNG.normal(size=(12, 4))
Y, U = (X[:, 0] > 0).astype(int), (V[:, 0] > 0).astype(int)
STEPS = 3 * 4
KINDS = optim.OPTIMIZERS | optim.WRAPPERS
SCHEDULES: dict[str, optim.Schedule] = {
    "reduce on plateau": optim.ReduceOnPlateau("val_accuracy", 0.5, patience=0),
    "one-cycle": optim.OneCycle(),
    "phases": optim.Phases([(optim.Constant(), 1), (optim.Warmup(optim.ReduceOnPlateau(patience=0)), None)]),
}
"""Schedules that have a fit of their own, with momentum."""
NAMES = ["dense1.W", "dense1.b", "dense2.W", "dense2.b"]
"""The parameters in the network's order."""
OPTIONS: dict[str, Any] = {"epochs": 4, "batch_size": 8, "validation_data": (V, U), "metrics": ["accuracy"]}


def make(optimizer: str = "adam", seed: int = 3, units: int = 5) -> Model:
    layers = [nn.Dense(units, "tanh", penalty=nn.L2(1e-3)), nn.Dropout(0.2), nn.Dense(2)]
    schedule = SCHEDULES.get(optimizer, optim.Cosine(0.1))
    rule = KINDS.get(optimizer, optim.Momentum)
    chosen = rule() if issubclass(rule, optim.Wrapper) else rule(0.02)
    return Model(layers, "cross_entropy", chosen, schedule=schedule, dtype="float64", seed=seed)


def outcome(folder: Path) -> tuple[bytes, dict[str, Any]]:
    """The bytes of the model, and the history without the seconds."""
    run = Run(folder)
    history = dataclasses.asdict(run.history())
    return run.model_file.read_bytes(), {k: v for k, v in history.items() if k != "seconds"}


def events(folder: Path, kind: str) -> list[dict[str, Any]]:
    """What the log of a run says of one kind of event."""
    lines = map(json.loads, Run(folder).events.read_text().splitlines())
    return [line for line in lines if line["event"] == kind]


class StopAt:
    """End training after a step; `Training` publishes an event at each when checkpoints are written at each."""

    def __init__(self, step: int) -> None:
        self.step = step

    def __call__(self, event: Event) -> None:
        if isinstance(event, CheckpointWritten) and event.step >= self.step:
            raise StopTraining


class Killed(BaseException):
    """As SIGKILL: nothing after it runs, no final checkpoint and no model is written."""


def fit(folder: Path, model: Model | None = None, stop: int | None = None, **changed: Any) -> Model:
    model = model or make()
    listeners = [] if stop is None else [StopAt(stop)]
    more = OPTIONS | {"checkpoint_steps": 1, "listeners": listeners} | changed
    model.fit(X, Y, run=folder, progress=False, **more)
    return model


@pytest.fixture(scope="module")
def whole(tmp_path_factory, backend) -> dict[str, tuple[bytes, dict[str, Any]]]:
    """Uninterrupted fits."""
    result = {}
    for name in [*KINDS, *SCHEDULES]:
        folder = tmp_path_factory.mktemp(name)
        fit(folder, make(name))
        result[name] = outcome(folder)
    return result


@settings(max_examples=12)
@example([STEPS])
@example([3])
@example([STEPS - 1, STEPS])
@given(st.lists(st.integers(1, STEPS), min_size=1, max_size=3))
def test_stopped_anywhere(whole, stops):
    """Within an epoch, at its end, after the last step, several times over."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for i, stop in enumerate(sorted(set(stops))):
            fit(folder, stop=stop, resume=i > 0)
            if stop < STEPS:
                assert Run(folder).history().reason == "interrupted"
        model = fit(folder, resume=True)
        assert outcome(folder) == whole["adam"]
        assert list(model.parameters) == list(load(folder).parameters) == NAMES


@pytest.mark.parametrize("optimizer", [*KINDS, *SCHEDULES])
def test_every_optimizer(whole, tmp_path, optimizer):
    fit(tmp_path, make(optimizer), stop=5)
    model = fit(tmp_path, make(optimizer), resume=True)
    assert outcome(tmp_path) == whole[optimizer]
    assert list(model.parameters) == NAMES


@pytest.mark.parametrize("stopping", [None, EarlyStopping("val_loss", 9)])
def test_the_parameters_are_in_the_networks_order(tmp_path, stopping):
    """A file keeps no order; those of the best epoch come from one as well."""
    fit(tmp_path, stop=5, early_stopping=stopping)
    assert list(fit(tmp_path, resume=True, early_stopping=stopping).parameters) == NAMES
    ended = fit(tmp_path, resume=True, early_stopping=stopping)
    assert list(ended.parameters) == NAMES
    ended.fit(X, Y, epochs=1, progress=False)
    assert list(ended.parameters) == NAMES


@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize("step", [1, 3, 8, 11, 12])
def test_killed_without_a_word(whole, tmp_path, monkeypatch, every, step):
    """After a step the process is gone; what is on disk is the last checkpoint, some steps back."""

    def kill(self, count):
        original(self, 1)
        if self.state.step == step:
            raise Killed

    original = Training.run_steps
    monkeypatch.setattr(Training, "run_steps", kill)
    monkeypatch.setattr(Run, "finish", lambda *args: None)
    with pytest.raises(Killed):
        fit(tmp_path, checkpoint_steps=every)
    monkeypatch.undo()
    resume = Run(tmp_path).checkpoint.exists()
    assert resume == (step > every)
    fit(tmp_path, resume=resume, checkpoint_steps=every)
    assert outcome(tmp_path)[0] == whole["adam"][0]
    assert outcome(tmp_path)[1] == whole["adam"][1]
    assert [event["epoch"] for event in events(tmp_path, "EpochEnded")] == [1, 2, 3, 4]
    steps = [event["step"] for event in events(tmp_path, "CheckpointWritten")]
    assert steps[:-1] == list(range(every, STEPS + 1, every))  # and one at the end


@pytest.mark.parametrize("when", ["before", "at", "after"])
def test_early_stopping(tmp_path, when):
    options = {"early_stopping": EarlyStopping("val_loss", patience=2, min_delta=0.03), "epochs": 30}
    uninterrupted = fit(tmp_path / "whole", **options)
    history = Run(tmp_path / "whole").history()
    assert history.reason == "early stopping"
    steps = 3 * len(history)
    stop = {"before": steps - 4, "at": steps, "after": None}[when]
    fit(tmp_path / "parts", stop=stop, **options)
    resumed = fit(tmp_path / "parts", resume=True, **options)
    assert outcome(tmp_path / "parts") == outcome(tmp_path / "whole")
    for name, array in uninterrupted.parameters.items():
        np.testing.assert_array_equal(resumed.parameters[name], array)


def test_killed_between_the_last_checkpoint_and_the_model(whole, tmp_path, monkeypatch):
    def finish(*arguments: Any) -> None:
        raise Killed

    monkeypatch.setattr(Run, "finish", finish)
    with pytest.raises(Killed):
        fit(tmp_path)
    monkeypatch.undo()
    fit(tmp_path, resume=True)
    assert outcome(tmp_path) == whole["adam"]


def test_a_finished_run_stays_as_it_is(whole, tmp_path):
    fit(tmp_path)
    fit(tmp_path, resume=True)
    assert outcome(tmp_path) == whole["adam"]


def test_a_bound_on_steps(tmp_path):
    for stop in (5, 6, 8):
        folder = tmp_path / str(stop)
        fit(folder / "whole", steps=8)
        fit(folder / "parts", steps=8, stop=stop)
        fit(folder / "parts", steps=8, resume=True)
        assert outcome(folder / "parts") == outcome(folder / "whole")


def test_checkpoints_may_be_written_at_another_pace_from_now_on(whole, tmp_path):
    fit(tmp_path, stop=5)
    fit(tmp_path, resume=True, checkpoint_steps=4, checkpoint_seconds=1.0)
    assert outcome(tmp_path) == whole["adam"]


def test_seconds_of_checkpoints_do_not_change_the_result(whole, tmp_path):
    fit(tmp_path, checkpoint_steps=None, checkpoint_seconds=0.0)
    assert outcome(tmp_path) == whole["adam"]


def test_weights_are_part_of_the_data(tmp_path):
    weight = np.linspace(0.5, 2, 23)
    fit(tmp_path / "whole", sample_weight=weight)
    fit(tmp_path / "parts", sample_weight=weight, stop=12)
    fit(tmp_path / "parts", sample_weight=weight, resume=True)
    assert outcome(tmp_path / "parts") == outcome(tmp_path / "whole")
    with pytest.raises(DataError, match="the weights of its samples, have changed"):
        fit(tmp_path / "parts", sample_weight=weight[::-1], resume=True)


DATA, VALIDATION = "the data, or the weights of its samples, have changed", "the validation data"
NONE_HELD_OUT = {"validation_data": None}


@pytest.mark.parametrize(
    ("kind", "words", "changed", "made"),
    [
        (SettingsError, "batch_size was 8 and is 7", {"batch_size": 7}, {}),
        (SettingsError, "epochs was 4 and is 7", {"epochs": 7}, {}),
        (SettingsError, "metrics was ['accuracy'] and is []", {"metrics": []}, {}),
        (SettingsError, "early_stopping was None and is EarlyStopping", {"early_stopping": "val_loss"}, {}),
        (SettingsError, "shuffle was True and is False; order of the rows was .*", {"shuffle": False}, {}),
        (SettingsError, f"steps was None and is 9; {VALIDATION} is left out", {"steps": 9, **NONE_HELD_OUT}, {}),
        (SettingsError, "optimizer was Adam and is SGD", {}, {"optimizer": "sgd"}),
        (SettingsError, "seed was 3 and is 4", {}, {"seed": 4}),
        (SettingsError, "network.layers[0].units was 5 and is 6", {}, {"units": 6}),
        (DataError, f"{VALIDATION} has changed", {"validation_data": (V + 1e-9, U)}, {}),
        (DataError, f"{VALIDATION} is left out", NONE_HELD_OUT, {}),
        (DataError, DATA, {"class_weight": "balanced"}, {}),
    ],
)
def test_what_changed_is_refused_and_named(tmp_path, kind, words, changed, made):
    fit(tmp_path, stop=7)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    exactly = re.escape(words).replace(re.escape(".*"), ".*")
    with pytest.raises(kind, match=rf"checkpoint\.safetensors belongs to another run: {exactly}\. Resume with"):
        fit(tmp_path, make(**made), resume=True, **changed)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_changed_samples_are_refused(tmp_path):
    fit(tmp_path, stop=7)
    with pytest.raises(DataError, match=DATA):
        make().fit(X + 1e-12, Y, run=tmp_path, resume=True, progress=False, checkpoint_steps=1, **OPTIONS)
    with pytest.raises(DataError, match=DATA):
        make().fit(X, 1 - Y, run=tmp_path, resume=True, progress=False, checkpoint_steps=1, **OPTIONS)


def test_resume_needs_a_run_and_a_checkpoint(tmp_path):
    with pytest.raises(SettingsError, match="give run="):
        make().fit(X, Y, resume=True, progress=False)
    with pytest.raises(FileFormatError, match=r"checkpoint\.safetensors does not exist.*leave out resume"):
        make().fit(X, Y, resume=True, run=tmp_path, progress=False)


@pytest.mark.parametrize("file", ["checkpoint", "model_file"])
def test_a_new_run_does_not_replace_another(tmp_path, file):
    fit(tmp_path)
    getattr(Run(tmp_path), file).unlink()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    model = make()
    with pytest.raises(SettingsError, match="holds a run already: choose another folder, or go on with it by resume"):
        fit(tmp_path, model)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert not model.parameters


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_again(tmp_path):
    fit(tmp_path, stop=5)
    for file in (Run(tmp_path).checkpoint, Run(tmp_path).model_file):
        file.unlink()
    fit(tmp_path)
    assert [event["epoch"] for event in events(tmp_path, "EpochEnded")] == [1, 2, 3, 4]


def test_files_of_a_write_that_was_cut_off_are_removed(tmp_path):
    fit(tmp_path, stop=7)
    (tmp_path / ".checkpoint.safetensors.abc.part").write_bytes(b"half")
    with Run(tmp_path).events.open("a") as log:
        log.write('{"event": "EpochEn')
    fit(tmp_path, resume=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("checkpoint.safetensors", "events.jsonl", "history.json", "model.safetensors", "settings.json")
    ]
    assert len(events(tmp_path, "EpochEnded")) == 4


def test_a_damaged_checkpoint_is_refused(tmp_path):
    fit(tmp_path, stop=7)
    checkpoint = Run(tmp_path).checkpoint
    content = bytearray(checkpoint.read_bytes())
    content[-1] ^= 1
    checkpoint.write_bytes(content)
    with pytest.raises(FileFormatError, match="damaged"):
        fit(tmp_path, resume=True)
    checkpoint.write_bytes(Run(tmp_path).model_file.read_bytes())
    with pytest.raises(FileFormatError, match="holds a model, and a checkpoint was expected"):
        fit(tmp_path, resume=True)


def test_the_run_keeps_events_and_settings(tmp_path):
    fit(tmp_path, stop=7)
    fit(tmp_path, resume=True)
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds.count("FitStarted") == kinds.count("FitEnded") == 2
    assert kinds[-1] == FitEnded.__name__
    assert [event["epoch"] for event in events if event["event"] == EpochEnded.__name__] == list(range(1, 5))
    assert Run(tmp_path).read_settings()["fit"]["batch_size"] == 8


def test_without_a_run_nothing_need_be_describable():
    """A model that could not be saved can be trained."""

    class Mine(losses.Loss):
        def target_type(self, output, given):
            return output

        def per_sample(self, output, target):
            return losses.SquaredError().per_sample(output, target)

    model = Model([nn.Dense(1)], Mine(), dtype="float64")
    assert len(model.fit(X, X[:, :1], epochs=1, progress=False)) == 1


class Second:
    """At the end of each epoch somebody else wants to train in the folder too."""

    def __init__(self, folder: Path, **how: Any) -> None:
        self.folder, self.how, self.refused = folder, how, 0

    def __call__(self, event: Event) -> None:
        if isinstance(event, EpochEnded):
            with pytest.raises(SettingsError, match="is being trained already, by another process or another fit"):
                fit(self.folder, **self.how)
            self.refused += 1


@pytest.mark.parametrize("resume", [True, False])
def test_two_at_once_are_refused(whole, tmp_path, resume):
    """The second one changes nothing: the first ends as if it had been alone, and has each event once."""
    fit(tmp_path, stop=2)
    second = Second(tmp_path, resume=resume)
    fit(tmp_path, resume=True, listeners=[second])
    assert second.refused == 4
    assert outcome(tmp_path) == whole["adam"]
    assert [line["epoch"] for line in events(tmp_path, "EpochEnded")] == [1, 2, 3, 4]
    assert not Run(tmp_path).lock.exists()
    fit(tmp_path, resume=True)


def test_two_new_runs_in_one_folder(tmp_path):
    second = Second(tmp_path / "run")
    make().fit(X, Y, run=tmp_path / "run", listeners=[second], progress=False, **OPTIONS)
    assert second.refused == 4


def test_a_fit_that_is_refused_leaves_no_folder(tmp_path):
    with pytest.raises(SettingsError, match="lies in"):
        make().fit(X, Y, run=tmp_path / "a" / "run", validation_split=2.0, progress=False)
    assert not list(tmp_path.iterdir())
