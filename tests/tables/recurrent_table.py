"""Recurrent layers and what each is in NumPy: one sample and one time step after another, gate by gate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from clearprop import nn
from clearprop.randomness import Key

Array = np.ndarray[Any, Any]
Params = dict[str, Array]
Step = Callable[[Params, Array, list[Array]], list[Array]]

TIMES, FEATURES, UNITS = 4, 3, 2


def logistic(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


def columns(params: Params, name: str, place: int) -> Array:
    return params[name][..., place * UNITS : (place + 1) * UNITS]


def simple(f: Callable[[Array], Array]) -> Step:
    def step(p: Params, x: Array, states: list[Array]) -> list[Array]:
        z = x @ p["W"] + p["b"]
        for k, h in enumerate(states):
            z = z + h @ p["U"][k * UNITS : (k + 1) * UNITS]
        return [f(z), *states[:-1]]

    return step


def lstm(p: Params, x: Array, states: list[Array]) -> list[Array]:
    h, c = states
    i, f, g, o = (x @ columns(p, "W", k) + h @ columns(p, "U", k) + columns(p, "b", k) for k in range(4))
    c = logistic(f) * c + logistic(i) * np.tanh(g)
    return [logistic(o) * np.tanh(c), c]


def gru_after(p: Params, x: Array, states: list[Array]) -> list[Array]:
    (h,) = states
    r, u = (logistic(x @ columns(p, "W", k) + h @ columns(p, "U", k) + columns(p, "b", k)) for k in range(2))
    new = np.tanh(x @ columns(p, "W", 2) + columns(p, "b", 2) + r * (h @ columns(p, "U", 2) + p["c"]))
    return [(1 - u) * new + u * h]


def gru_before(p: Params, x: Array, states: list[Array]) -> list[Array]:
    (h,) = states
    r, u = (logistic(x @ columns(p, "W", k) + h @ columns(p, "U", k) + columns(p, "b", k)) for k in range(2))
    new = np.tanh(x @ columns(p, "W", 2) + columns(p, "b", 2) + (r * h) @ columns(p, "U", 2))
    return [(1 - u) * new + u * h]


def walk(
    step: Step, p: Params, x: Array, start: Sequence[Array], reverse: bool, present: Array | None = None
) -> tuple[list[Array], Array]:
    """Return the last states and all outputs (n, T, units), sample by sample."""
    n, times, _ = x.shape
    finals = [np.zeros((n, UNITS)) for _ in start]
    outputs = np.zeros((n, times, UNITS))
    for sample in range(n):
        states = [state[sample] for state in start]
        for t in range(times)[:: -1 if reverse else 1]:
            if present is None or present[sample, t]:
                states = step(p, x[sample, t], states)
            outputs[sample, t] = states[0]
        for k, state in enumerate(states):
            finals[k][sample] = state
    return finals, outputs


def meaning(layer: nn.Recurrent, step: Step) -> Callable[..., Array]:
    """Return the layer in NumPy."""

    def function(p: Params, x: Array, present: Array | None = None) -> Array:
        first = p.get("start", np.zeros((layer.states, UNITS)))
        start = [np.tile(row, (len(x), 1)) for row in first]
        finals, outputs = walk(step, p, x, start, layer.reverse, present)
        return finals[0] if layer.outputs == "last" else outputs

    return function


def below(params: Params, name: str) -> Params:
    return {key.removeprefix(f"{name}."): value for key, value in params.items() if key.startswith(f"{name}.")}


def both_ways(layer: nn.Recurrent, step: Step, join: str) -> Callable[..., Array]:
    def function(p: Params, x: Array, present: Array | None = None) -> Array:
        results = []
        for name, reverse in (("forward", layer.reverse), ("backward", not layer.reverse)):
            start = [np.zeros((len(x), UNITS))] * layer.states
            finals, outputs = walk(step, below(p, name), x, start, reverse, present)
            results.append(finals[0] if layer.outputs == "last" else outputs)
        return np.concatenate(results, axis=-1) if join == "concat" else results[0] + results[1]

    return function


def encode_decode(encoder: Step, decoder: Step, states: int, steps: int) -> Callable[..., Array]:
    def function(p: Params, x: Array, present: Array | None = None) -> Array:
        start = [np.zeros((len(x), UNITS))] * states
        finals, _ = walk(encoder, below(p, "encoder"), x, start, False, present)
        context = np.repeat(finals[0][:, None, :], steps, axis=1)
        return walk(decoder, below(p, "decoder"), context, finals, False)[1]

    return function


def drawn(layer: nn.Layer) -> Params:
    """Return parameters of which none is zero."""
    rng = np.random.default_rng(7)
    own = layer.init(Key(3), (TIMES, FEATURES))
    return {name: array + rng.normal(size=array.shape) * 0.5 for name, array in own.items()}


def relu(z: Array) -> Array:
    return np.maximum(z, 0.0)


CELLS: list[tuple[nn.Recurrent, Step]] = [
    (layer, step)
    for layers, step in (
        (
            (nn.SimpleRNN(UNITS), nn.SimpleRNN(UNITS, outputs="all", reverse=True)),
            simple(np.tanh),
        ),
        (
            (
                nn.SimpleRNN(UNITS, memory=3, outputs="all", start="learnt"),
                nn.SimpleRNN(UNITS, memory=2, reverse=True, checkpoint=2),
                nn.SimpleRNN(UNITS, outputs="all", checkpoint=3),
            ),
            simple(np.tanh),
        ),
        ((nn.SimpleRNN(UNITS, activation="relu", outputs="all"),), simple(relu)),
        (
            (
                nn.LSTM(UNITS),
                nn.LSTM(UNITS, outputs="all"),
                nn.LSTM(UNITS, outputs="all", reverse=True, start="learnt"),
                nn.LSTM(UNITS, reverse=True, checkpoint=1),
            ),
            lstm,
        ),
        (
            (nn.GRU(UNITS), nn.GRU(UNITS, outputs="all", start="learnt"), nn.GRU(UNITS, reverse=True, checkpoint=2)),
            gru_after,
        ),
        (
            (
                nn.GRU(UNITS, reset="before"),
                nn.GRU(UNITS, reset="before", outputs="all", reverse=True, start="learnt"),
            ),
            gru_before,
        ),
    )
    for layer in layers
]
"""Every cell, in both directions, with both kinds of outputs and starts."""

WIRED: list[tuple[nn.Layer, Callable[..., Array]]] = [
    (nn.Bidirectional(nn.LSTM(UNITS)), both_ways(nn.LSTM(UNITS), lstm, "concat")),
    (
        nn.Bidirectional(nn.GRU(UNITS, outputs="all"), join="add"),
        both_ways(nn.GRU(UNITS, outputs="all"), gru_after, "add"),
    ),
    (nn.EncoderDecoder(nn.LSTM(UNITS), nn.LSTM(UNITS), 3), encode_decode(lstm, lstm, 2, 3)),
    (
        nn.EncoderDecoder(nn.GRU(UNITS), nn.SimpleRNN(UNITS, outputs="all"), 5),
        encode_decode(gru_after, simple(np.tanh), 1, 5),
    ),
]
"""Layers of recurrent layers, and what they are in NumPy."""

ALL: list[tuple[nn.Layer, Callable[..., Array]]] = [(layer, meaning(layer, step)) for layer, step in CELLS] + WIRED
