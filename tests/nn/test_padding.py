"""Whose padding it is: networks for padded batches give what they give for each sequence alone, without padding."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import nn, ops
from clearprop.ir import Batch, Type

T, F = 4, 3
LENGTHS = [4, 1, 3, 2]


@dataclasses.dataclass(frozen=True)
class Gated(nn.Layer):
    """A layer of one's own with several inside: attention, times what a recurrent layer makes of the whole sequence."""

    name: str | None = None

    def init(self, key: Any, shapes: Any) -> Any:
        return nn.init_layer(nn.GRU(T), "gate", key, shapes) | nn.init_layer(
            nn.MultiHeadAttention(), "see", key, shapes
        )

    def apply(self, params: Any, x: Any) -> Any:
        gate = nn.apply_layer(nn.GRU(T), "gate", params, x)
        seen = nn.apply_layer(nn.MultiHeadAttention(), "see", params, x)
        return seen * ops.reshape(ops.sum(gate, 1), (-1, 1, 1))


@dataclasses.dataclass(frozen=True)
class Backwards(nn.Layer):
    """The time steps in the other order, which all count from here."""

    name: str | None = None

    def apply(self, params: Any, x: Any) -> Any:
        nn.mask_times(None)
        return ops.flip(x, (1,))


@dataclasses.dataclass(frozen=True)
class AllCount(nn.Layer):
    """x, of which every step counts."""

    name: str | None = None

    def apply(self, params: Any, x: Any) -> Any:
        nn.mask_times(None)
        return x


def gru(outputs: str = "all", units: int = F, **more: Any) -> nn.GRU:
    return nn.GRU(units, outputs=outputs, biases="normal", **more)


def model_of(*layers: nn.Layer, shape: tuple[int, ...] = (T, F), backend: str = "reference") -> cp.Model:
    model = cp.Model(list(layers), dtype="float64", backend=backend, seed=3)
    model.init(shape)
    return model


def padded(before: bool = False) -> Any:
    """Sequences of different lengths, with zeros after or before them."""
    x = np.random.default_rng(4).uniform(0.2, 1.5, (len(LENGTHS), T, F))
    times = np.arange(T)[::-1] if before else np.arange(T)
    return x * (times < np.array(LENGTHS)[:, None])[:, :, None]


def of_length(model: cp.Model, shape: tuple[int, ...]) -> cp.Model:
    """The same network and parameters for samples of another length."""
    other = model_of(*model.network.layers, shape=shape)
    other.set_parameters(model.parameters)
    return other


SEQUENCES = {
    "residual": (nn.Masking(), nn.Residual(gru()), gru("last")),
    "shortcut": (nn.Masking(), nn.Residual(gru(), shortcut=cp.Dense(F)), gru("last")),
    "mask inside of a residual": (nn.Residual(nn.Sequential(nn.Masking(), gru())), gru("last")),
    "parallel": (nn.Masking(), nn.Parallel(gru(), gru(reverse=True), join="add"), gru("last")),
    "masks in both branches": (nn.Parallel(nn.Masking(), nn.Sequential(nn.Masking(), gru())), gru("last")),
    "mask in the first branch": (nn.Parallel(nn.Masking(), cp.Dense(F, "tanh")), gru("last")),
    "mask in the last branch": (nn.Parallel(cp.Dense(F, "tanh"), nn.Masking()), gru("last")),
    "bidirectional": (nn.Masking(), nn.Bidirectional(gru()), gru("last")),
    "transformer": (nn.Masking(), nn.TransformerBlock(1, 5), nn.TransformerBlock(1, 5, norm="post"), gru("last")),
    "nested": (nn.Sequential(nn.Sequential(nn.Masking()), cp.Dropout(0.5)), nn.Sequential(gru()), gru("last")),
    "encoder and decoder": (nn.Masking(), nn.EncoderDecoder(gru(), gru(), T), gru("last")),
    "encoder and decoder, then all together": (
        nn.Masking(),
        nn.EncoderDecoder(gru(), gru(), T),
        nn.Residual(nn.Bidirectional(gru()), shortcut=cp.Dense(2 * F)),
        nn.MultiHeadAttention(),
    ),
    "as many units as steps": (nn.Masking(), gru("last", T), lambda x: ops.reshape(x, (-1, T, 1)), gru("last")),
    "a function": (nn.Masking(), lambda x: 2 * ops.tanh(x), gru("last")),
    "a layer of one's own": (nn.Masking(), Gated(), gru("last")),
}


@pytest.mark.parametrize("before", [False, True], ids=["after", "before"])
@pytest.mark.parametrize("layers", SEQUENCES.values(), ids=SEQUENCES)
def test_a_batch_with_padding_is_as_each_sequence_alone(layers, before):
    x = padded(before)
    model = model_of(*layers)
    together = model.predict(x)
    for row, result in zip(x, together, strict=True):
        alone = row[row.any(axis=1)][None]
        expected = of_length(model, alone.shape[1:]).predict(alone)[0]
        np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_tokens_in_two_embeddings(backend):
    both = nn.Parallel(nn.Embedding(6, 2, padding=0), nn.Embedding(6, 3, padding=0))
    model = model_of(both, nn.EncoderDecoder(gru(), gru(), T), gru(), nn.Residual(gru()), shape=(T,), backend=backend)
    tokens = np.array([[3, 1, 0, 0], [0, 0, 3, 1], [2, 5, 4, 0], [5, 0, 0, 0]])
    together = model.predict(tokens)
    for row, result in zip(tokens, together, strict=True):
        alone = row[row > 0][None]
        np.testing.assert_allclose(result, of_length(model, alone.shape[1:]).predict(alone)[0], rtol=1e-12)


@pytest.mark.parametrize("inner", [nn.Masking(), nn.Sequential(nn.Masking(), gru())], ids=["mask", "sequential"])
def test_a_mask_in_one_branch_is_not_seen_by_the_other(inner):
    x = padded()
    plain = model_of(gru("all"), shape=(T, F))
    expected = plain.predict(x)
    own = {f"plain.{name.removeprefix('gru1.')}": array for name, array in plain.parameters.items()}
    named = dataclasses.replace(inner, name="masked"), gru(name="plain")
    for branches in (named, named[::-1]):
        model = model_of(nn.Parallel(*branches))
        model.set_parameters({f"parallel1.{name}": array for name, array in own.items()})
        result = model.predict(x)
        at = slice(0, F) if branches[0].name == "plain" else slice(F, None)
        np.testing.assert_array_equal(result[..., at], expected)


ENDS = {
    "pooled and upsampled": (nn.MaxPool1D(2), nn.Upsample(2)),
    "upsampled and pooled": (nn.Upsample(2), nn.AveragePool1D(2)),
    "as many channels as steps": (cp.Dense(T), nn.GlobalAveragePool(), lambda x: ops.reshape(x, (-1, T, 1))),
    "the largest of each channel": (cp.Dense(T), nn.GlobalMaxPool(), lambda x: ops.reshape(x, (-1, T, 1))),
    "channels last": (cp.Dense(T), nn.ChannelsLast()),
    "told by a layer of one's own": (Backwards(),),
    "told, and given on as it is": (AllCount(),),
}


@pytest.mark.parametrize("layers", ENDS.values(), ids=ENDS)
def test_the_mask_ends_with_its_sequence(layers):
    x = padded()
    with_mask, without = (model_of(*first, *layers, gru("last")) for first in ((nn.Masking(),), (AllCount(),)))
    np.testing.assert_array_equal(with_mask.predict(x), without.predict(x))


def test_noise_on_weights_between_leaves_the_mask():
    model = model_of(nn.Masking(), cp.Dense(F, weight_noise=nn.GaussianNoise(0.1)), gru("last"))
    types = {name: Type("float64", array.shape) for name, array in model.parameters.items()}
    with ops.tracing("training") as builder, nn.applying(nn.Context(training=True)):
        values = {name: ops.placeholder(name, type_) for name, type_ in types.items()}
        result = model.network.apply(values, ops.placeholder("x", Type("float64", (Batch(), T, F))))
        program = builder.finish([("result", result.value)])
    (loop,) = (node for node in program.nodes if node.op == "scan")
    assert any(value.type.dtype == "bool" for value in loop.inputs)
