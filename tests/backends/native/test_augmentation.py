"""Layers that change images at random: machine code against the reference, at any number of threads, and resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from native_steps import TARGETS_HERE

from clearprop import nn, ops
from clearprop.backends.native import Native
from clearprop.backends.reference import Reference
from clearprop.ir import Batch, Program, Type
from clearprop.model import Model
from clearprop.randomness import Key
from clearprop.train import CheckpointWritten, Event, StopTraining

X = np.random.default_rng(0).random((37, 8, 9, 3))
LAYERS = [
    nn.RandomFlip(vertical=True),
    nn.RandomShift(3, 2),
    nn.RandomCrop(6, 10, 2),
    nn.RandomAffine(40.0, 0.3, 15.0, 0.2),
    nn.ColorJitter(0.5, 0.6, 0.7),
    nn.FancyPCA(),
    nn.Cutout(4),
]
Arrays = dict[str, Any]


def traced(layer: nn.Layer, dtype: str) -> tuple[Program, Arrays]:
    """The training form of a layer, and what it runs with."""
    context = nn.Context(training=True)
    with ops.tracing("layer") as builder, nn.applying(context):
        result = layer.apply({}, ops.placeholder("x", Type(dtype, (Batch(), *X.shape[1:]))))
        program = builder.finish([("result", result.value)])
    hyper = {name: np.asarray(value, np.float64) for name, value in context.hyper.items()}
    random = {"key": Key(5).words(), "step": np.asarray(11, np.int64)}
    return program, {"x": X.astype(dtype)} | hyper | random


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
def test_native_agrees_with_the_reference(layer, dtype, target):
    program, inputs = traced(layer, dtype)
    expected = Reference().compile(program)(inputs)["result"]
    result = Native(target=target).compile(program)(inputs)["result"]
    tolerance = {"float32": 2e-5, "float64": 1e-8}[dtype]  # normal draws are of float32
    np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance)


def model() -> Model:
    return Model([*LAYERS, nn.Mixup(), nn.Flatten(), nn.Dense(3)], "cross_entropy", seed=4)


class StopAt:
    """End training after a step, where a checkpoint is written."""

    def __init__(self, step: int) -> None:
        self.step = step

    def __call__(self, event: Event) -> None:
        if isinstance(event, CheckpointWritten) and event.step >= self.step:
            raise StopTraining


def test_the_same_bits_at_any_number_of_threads(monkeypatch):
    x, y = np.tile(X, (20, 1, 1, 1)).astype(np.float32), np.arange(740) % 3
    bits = []
    for threads in ("1", "2", "3"):
        monkeypatch.setenv("CLEARPROP_THREADS", threads)
        trained = model()
        trained.fit(x, y, epochs=2, batch_size=200, progress=False)
        bits.append({name: array.tobytes() for name, array in trained.parameters.items()})
    assert bits[0] == bits[1] == bits[2]


def test_a_resumed_run_sees_the_same_images(tmp_path: Path):
    x, y = X.astype(np.float32), np.arange(37) % 3
    options: Arrays = {"epochs": 4, "batch_size": 16, "progress": False, "checkpoint_steps": 1}
    whole, stopped, resumed = model(), model(), model()
    whole.fit(x, y, **options, run=tmp_path / "whole")
    stopped.fit(x, y, **options, run=tmp_path / "halved", listeners=[StopAt(7)])
    resumed.fit(x, y, **options, run=tmp_path / "halved", resume=True)
    assert any((whole.parameters[name] != stopped.parameters[name]).any() for name in whole.parameters)
    for name, array in whole.parameters.items():
        np.testing.assert_array_equal(resumed.parameters[name], array)
