"""The gradient certificate of networks with loops, and the search for the time step that is to blame."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import clearprop as cp
from clearprop import nn, ops
from clearprop.checks import check_gradients


def sequences(times: int, features: int = 2, n: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, times, features)), rng.normal(size=(n, 1))


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_the_certificate_of_an_lstm_over_fifty_steps(backend):
    model = cp.Model([nn.LSTM(4), nn.Dense(1)], loss="squared_error", seed=1)
    report = check_gradients(model, *sequences(50), backend=backend)
    report.raise_if_wrong()
    assert {tensor.name for tensor in report.tensors} >= {"lstm1.W", "lstm1.U", "lstm1.b", "dense1.W", "dense1.b"}
    assert {tensor.verdict for tensor in report.tensors} == {"right"}


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_the_kinks_of_every_time_step_are_seen(backend):
    model = cp.Model([nn.SimpleRNN(6, activation="relu"), nn.Dense(1)], loss="squared_error", seed=1)
    check_gradients(model, *sequences(8), backend=backend).raise_if_wrong()


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_the_certificate_of_every_kind_of_layer(backend):
    layers = [
        nn.SimpleRNN(2, outputs="all", memory=2, start="learnt", recurrent_penalty=nn.L2(0.1)),
        nn.GRU(2, reset="before", reverse=True, checkpoint=2, recurrent_dropout=0.3),
    ]
    x, y = sequences(3)
    x[1, 2:], x[2] = 0.0, 0.0  # padding, and a sequence of no time steps
    model = cp.Model([nn.Masking(), *layers, nn.Dense(1)], loss="squared_error", seed=1)
    check_gradients(model, x, y, backend=backend).raise_if_wrong()


def test_a_wrong_derivative_inside_of_a_loop_is_named(monkeypatch):
    record = ops.PRIMITIVES["tanh"]
    wrong = dataclasses.replace(record, vjp=lambda g, ans, x: (g * (1.0 - ans),))
    monkeypatch.setitem(ops.PRIMITIVES, "tanh", wrong)
    model = cp.Model([nn.SimpleRNN(3), nn.Dense(1)], loss="squared_error", seed=1)
    report = check_gradients(model, *sequences(4), backend="reference")
    assert "wrong" in {tensor.verdict for tensor in report.tensors}
    assert report.suspects
    assert all(suspect.startswith("tanh in layer simplernn1") for suspect in report.suspects)
    with pytest.raises(AssertionError):
        report.raise_if_wrong()
