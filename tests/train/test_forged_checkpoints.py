"""Checkpoints that somebody made up, with a right digest, are refused before anything runs or is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clearprop import files, nn, optim
from clearprop.errors import FileFormatError
from clearprop.model import Model
from clearprop.train import CheckpointWritten, FitStarted, StopTraining

RNG = np.random.default_rng(0)
X = RNG.normal(size=(23, 4))
Y = X @ RNG.normal(size=(4, 2))
KINDS = {"adam": lambda: optim.Adam(), "levenberg-marquardt": lambda: optim.LevenbergMarquardt()}


class StopAt:
    """End training at a checkpoint of a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def __call__(self, event: Any) -> None:
        if isinstance(event, CheckpointWritten) and event.step >= self.step:
            raise StopTraining


def fit(run: Path, kind: str, **more: Any) -> Model:
    model = Model([nn.Dense(3, "tanh"), nn.Dense(2)], optimizer=KINDS[kind](), dtype="float64", backend="reference")
    options = {"epochs": 4, "batch_size": 8, "early_stopping": "loss", "checkpoint_steps": 1, "progress": False}
    model.fit(X, Y, run=run, **options, **more)
    return model


def without(name: str) -> Any:
    return lambda arrays, description: arrays.pop(name)


def number(name: str, value: Any) -> Any:
    return lambda arrays, description: description.update({name: value})


def array(name: str, value: Any) -> Any:
    return lambda arrays, description: arrays.update({name: value})


def recorded(**history: Any) -> Any:
    return lambda arrays, description: description["history"].update(history)


FORGED = {
    "many batches": number("batch", 10**9),
    "a batch of the next epoch": number("batch", 4),
    "many steps": number("step", 10**12),
    "a step before": number("step", 4),
    "many epochs": number("epoch", 10**12),
    "an epoch before": number("epoch", 0),
    "a negative number": number("batch", -1),
    "no whole number": number("step", 5.0),
    "a truth value": number("waited", True),
    "a word": number("epoch", "1"),
    "nothing": number("step", None),
    "a list": number("loss_sum", [1.0]),
    "a best value in words": number("best_value", "low"),
    "a parameter more": array("parameters/other.W", np.zeros(3)),
    "a parameter less": without("parameters/dense1.W"),
    "a parameter of another shape": array("parameters/dense1.W", np.zeros((4, 4))),
    "a parameter of another dtype": array("parameters/dense1.W", np.zeros((4, 3), np.float32)),
    "a slot more": array("slots/other", np.zeros(3)),
    "a parameter more in the best ones": array("best/other.W", np.zeros(3)),
    "a parameter less in the best ones": without("best/dense1.W"),
    "another group": array("other/dense1.W", np.zeros(3)),
    "no epochs recorded": recorded(epochs=[]),
    "epochs that are no records": recorded(epochs=[1.0]),
    "records without numbers": recorded(epochs=[{"loss": "low"}]),
    "epochs that are no list": recorded(epochs=1),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_refused(tmp_path, kind, forge):
    fit(tmp_path, kind, listeners=[StopAt(5 if kind == "adam" else 2)])
    path = tmp_path / "checkpoint.safetensors"
    arrays, description = files.read_arrays(path, "checkpoint")
    if kind == "adam":
        assert [description[name] for name in ("step", "epoch", "batch")] == [5, 1, 2]
    forge(arrays, description)
    files.write_arrays(path, "checkpoint", arrays, description)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(FileFormatError, match=r"checkpoint\.safetensors is damaged"):
        fit(tmp_path, kind, resume=True)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize("slot", ["damping", "scale", "weight_penalty"])
def test_slots_of_levenberg_marquardt(tmp_path, slot):
    fit(tmp_path, "levenberg-marquardt", listeners=[StopAt(2)])
    path = tmp_path / "checkpoint.safetensors"
    arrays, description = files.read_arrays(path, "checkpoint")
    arrays[f"slots/{slot}"] = np.zeros(2)
    files.write_arrays(path, "checkpoint", arrays, description)
    with pytest.raises(FileFormatError, match=f"its arrays {slot} do not fit the optimiser"):
        fit(tmp_path, "levenberg-marquardt", resume=True)


@pytest.mark.parametrize("steps", [6, 7, 8, 9])
def test_a_bound_on_steps_that_ends_an_epoch_early(tmp_path, steps):
    """The last epoch, of fewer steps than the others, is a place of its fit."""
    fit(tmp_path, "adam", steps=steps)
    again = fit(tmp_path, "adam", steps=steps, resume=True)
    expected = fit(tmp_path / "other", "adam", steps=steps)
    np.testing.assert_array_equal(again.parameters["dense1.W"], expected.parameters["dense1.W"])


def test_a_request_to_stop_is_seen_before_the_next_steps(tmp_path):
    def stop(event: Any) -> None:
        if isinstance(event, FitStarted):
            raise StopTraining

    model = Model([nn.Dense(2)], dtype="float64")
    history = model.fit(X, Y, epochs=3, listeners=[stop], progress=False)
    assert (history.reason, len(history)) == ("interrupted", 0)
