"""Targets that a loss cannot take are refused, and functions stand for layers."""

from __future__ import annotations

import numpy as np
import pytest

from clearprop import ops
from clearprop.errors import DataError, FileFormatError, SettingsError
from clearprop.model import Model, Run, load
from clearprop.nn import Dense, Function, Sequential
from clearprop.train import CheckpointWritten, StopTraining

X = np.random.default_rng(0).normal(size=(12, 3))
CHANCES = np.full((12, 2), 0.5)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (CHANCES * 7, ["from 0 to 1", "(0, 0)", "3.5"]),
        (CHANCES - 0.6, ["from 0 to 1"]),
        (CHANCES * 0.9, ["add up to 1", "0.9"]),
    ],
)
def test_targets_that_are_no_probabilities(target, words):
    with pytest.raises(DataError) as caught:
        Model([Dense(2)], "cross_entropy").fit(X, target, progress=False)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("optimizer", ["lbfgs", "levenberg_marquardt"])
def test_a_schedule_for_an_optimizer_without_steps(optimizer):
    Model([Dense(2)], optimizer=optimizer, schedule="constant")
    with pytest.raises(SettingsError, match=r"finds its own steps: leave out schedule=Cosine\(\)"):
        Model([Dense(2)], optimizer=optimizer, schedule="cosine")


def double(x):
    return ops.tanh(x) * 2.0


def test_a_function_is_a_layer():
    assert Sequential(double, Dense(2)).layers[0] == Function(double)
    model = Model([double, Dense(2)], dtype="float64")
    model.init((3,))
    W, b = model.parameters["dense1.W"], model.parameters["dense1.b"]
    np.testing.assert_allclose(model.predict(X), 2 * np.tanh(X) @ W + b)


def test_a_run_that_was_killed_says_how_to_go_on(tmp_path):
    def stop(event):
        if isinstance(event, CheckpointWritten):
            raise StopTraining

    Model([Dense(1)]).fit(X, X[:, 0], run=tmp_path, checkpoint_steps=1, listeners=[stop], progress=False)
    Run(tmp_path).model_file.unlink()  # a kill leaves a checkpoint, and no model
    with pytest.raises(FileFormatError, match=r"has not ended.*--resume"):
        load(tmp_path)
