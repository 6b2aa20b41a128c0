"""Recurrent layers: padding, stacks, dropout between them, starts, what is refused; values stand in `test_layers`."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from recurrent_table import ALL, FEATURES, TIMES, UNITS, drawn, lstm, walk

from clearprop import nn
from clearprop.errors import SettingsError, ShapeError
from clearprop.randomness import Key

LENGTHS = [4, 1, 3, 2, 0]
"""Of each sample; the last one is all padding."""


def padded(before: bool = False) -> tuple[Any, Any]:
    """Sequences of different lengths with zeros after (or before) them, and where they are."""
    rng = np.random.default_rng(4)
    x = rng.uniform(0.2, 1.5, (len(LENGTHS), TIMES, FEATURES)) * rng.choice([-1.0, 1.0], (1, TIMES, FEATURES))
    times = np.arange(TIMES)[::-1] if before else np.arange(TIMES)
    present = times < np.array(LENGTHS)[:, None]
    return x * present[:, :, None], present


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize(("layer", "expected"), ALL, ids=lambda item: repr(item) if isinstance(item, nn.Layer) else "")
def test_padding_is_left_out(apply, layer, expected, before):
    x, present = padded(before)
    params = drawn(layer)
    named = {f"layer.{name}": array for name, array in params.items()}
    run = apply(masked(layer), x, named)
    result = expected(params, x, present)
    np.testing.assert_allclose(run.outputs()["result"], result, rtol=1e-12, atol=1e-13)
    weights = np.random.default_rng(2).normal(size=result.shape)
    derived = run.gradients(weights, *named)
    for name, array in params.items():

        def scalar(values: Any, name: str = name) -> float:
            return float(np.sum(expected(params | {name: values}, x, present) * weights))

        numeric = centred(scalar, array)
        np.testing.assert_allclose(derived[f"layer.{name}"], numeric, rtol=1e-6, atol=1e-8)


def masked(layer: nn.Layer) -> nn.Sequential:
    """The layer, called layer, after one that tells of padding."""
    return nn.Sequential(nn.Masking(), dataclasses.replace(layer, name="layer"))


def centred(function: Any, at: Any, h: float = 1e-5) -> Any:
    result = np.zeros_like(at)
    for index in np.ndindex(at.shape):
        up, down = at.copy(), at.copy()
        up[index] += h
        down[index] -= h
        result[index] = (function(up) - function(down)) / (2 * h)
    return result


def test_each_sample_is_read_as_if_it_were_alone_and_as_long_as_it_is(apply):
    layer = nn.LSTM(UNITS)
    x, _ = padded()
    params = drawn(layer)
    named = {f"layer.{name}": array for name, array in params.items()}
    together = apply(masked(layer), x, named).outputs()["result"]
    for sample, length in enumerate(LENGTHS[:-1]):
        alone = apply(layer, x[sample : sample + 1, :length], params).outputs()["result"]
        np.testing.assert_allclose(together[sample], alone[0], rtol=1e-13)
    np.testing.assert_array_equal(together[-1], np.zeros(UNITS))


def test_padding_reaches_the_second_layer_of_a_stack(apply):
    first, second = nn.LSTM(FEATURES, outputs="all", name="a"), nn.LSTM(UNITS, name="b")
    x, _ = padded()
    network = nn.Sequential(nn.Masking(), first, nn.Dropout(0.5), second)
    params = network.init(Key(1), (TIMES, FEATURES))
    received = apply(network, x, params).outputs()["result"]
    for sample, length in enumerate(LENGTHS[:-1]):
        alone = nn.Sequential(first, second)
        own = apply(alone, x[sample : sample + 1, :length], params).outputs()["result"]
        np.testing.assert_allclose(received[sample], own[0], rtol=1e-13)


def test_the_padding_of_tokens_is_left_out(apply):
    network = nn.Sequential(nn.Embedding(6, FEATURES, padding=0), nn.LSTM(UNITS))
    params = network.init(Key(1), (TIMES,))
    tokens = np.array([[3, 5, 1, 2], [4, 2, 0, 0]], np.float64)
    received = apply(network, tokens, params).outputs()["result"]
    own = {name.removeprefix("lstm1."): array for name, array in params.items() if name.startswith("lstm1.")}
    x = params["embedding1.W"][tokens.astype(int)]
    finals, _ = walk(lstm, own, x, [np.zeros((2, UNITS))] * 2, False, tokens > 0)
    np.testing.assert_allclose(received, finals[0], rtol=1e-13)


def test_dropout_stands_between_layers_in_training(apply):
    network = nn.Sequential(nn.GRU(3, outputs="all"), nn.Dropout(0.5), nn.GRU(2))
    params = network.init(Key(1), (TIMES, FEATURES))
    x, _ = padded()
    quiet = apply(network, x, params).outputs()["result"]
    noisy = apply(network, x, params, training=True).outputs()["result"]
    assert quiet.shape == noisy.shape
    assert np.abs(quiet - noisy).max() > 1e-3


def test_more_memory_than_one_step_adds_weights_for_each_earlier_state():
    params = nn.SimpleRNN(5, memory=3).init(Key(0), (7, 2))
    assert {name: array.shape for name, array in params.items()} == {"W": (2, 5), "U": (15, 5), "b": (5,)}
    for block in np.split(params["U"] * np.sqrt(3), 3):
        np.testing.assert_allclose(block @ block.T, np.eye(5), atol=1e-12)


def test_the_first_values_are_drawn_gate_by_gate():
    params = nn.LSTM(5, start="learnt").init(Key(0), (7, 2))
    assert {name: array.shape for name, array in params.items()} == {
        "W": (2, 20),
        "U": (5, 20),
        "b": (20,),
        "start": (2, 5),
    }
    for block in np.split(params["U"], 4, axis=1):
        np.testing.assert_allclose(block @ block.T, np.eye(5), atol=1e-12)
    np.testing.assert_array_equal(params["b"], np.repeat([0.0, 1.0, 0.0, 0.0], 5))
    assert set(nn.GRU(5).init(Key(0), (7, 2))) == {"W", "U", "b", "c"}
    assert set(nn.GRU(5, reset="before").init(Key(0), (7, 2))) == {"W", "U", "b"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.LSTM(3, weights=nn.LSUV()), "initialisers that need no data"),
        (lambda: nn.SimpleRNN(3, activation="prelu"), "an activation without parameters"),
        (lambda: nn.Embedding(3, 2, padding=3), "one of the tokens or None, received 3"),
        (lambda: nn.Bidirectional(nn.Dense(3)), r"recurrent layers such as LSTM\(32\), received Dense"),
        (lambda: nn.EncoderDecoder(nn.LSTM(3), nn.GRU(3), 2), "theirs must be equal"),
        (lambda: nn.EncoderDecoder(nn.LSTM(3), nn.LSTM(4), 2), "theirs must be equal"),
    ],
)
def test_wrong_settings_are_refused(make, message):
    with pytest.raises(SettingsError, match=message):
        make()


def test_samples_that_are_no_sequences_are_refused(apply):
    with pytest.raises(ShapeError, match=r"expected sequences \(T, features\) as samples, received \(3,\)"):
        nn.LSTM(2).init(Key(0), (3,))
    with pytest.raises(ShapeError, match=r"expected sequences \(n, T, 3\), received \(n, 3\)"):
        apply(nn.LSTM(UNITS), np.zeros((2, 3)), drawn(nn.LSTM(UNITS)))
    with pytest.raises(ShapeError, match=r"expected sequences \(n, T, features\), received \(n, 3\)"):
        apply(nn.Masking(), np.zeros((2, 3)), {})


def test_attention_does_not_look_at_padding(apply):
    x, _ = padded()
    network = nn.Sequential(nn.Masking(), nn.MultiHeadAttention(3, causal=True))
    params = network.init(Key(1), (TIMES, FEATURES))
    together = apply(network, x, params).outputs()["result"]
    own = {name.removeprefix("multiheadattention1."): array for name, array in params.items()}
    for sample, length in enumerate(LENGTHS[:-1]):
        alone = apply(nn.MultiHeadAttention(3), x[sample : sample + 1, :length], own).outputs()["result"]
        np.testing.assert_allclose(together[sample, length - 1], alone[0, -1], rtol=1e-12)


def test_attention_needs_features_for_every_head():
    with pytest.raises(ShapeError, match=r"of a multiple of 2, received \(4, 3\)"):
        nn.MultiHeadAttention(2).init(Key(0), (4, 3))
