"""Penalties, constraints and dropout on the weights and the states of recurrent layers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from recurrent_table import CELLS, FEATURES, TIMES, UNITS, drawn, meaning

from clearprop import nn, ops, optim
from clearprop.backends.reference import Reference
from clearprop.errors import SettingsError
from clearprop.ir import Batch, Type
from clearprop.model import Model, load
from clearprop.nn.noise import dropout_mask
from clearprop.randomness import Key

X = np.random.default_rng(0).normal(size=(6, TIMES, FEATURES))
Y = np.random.default_rng(1).normal(size=(6, UNITS))
SEVERAL = [
    nn.SimpleRNN(UNITS, memory=2),
    nn.LSTM(UNITS),
    nn.GRU(UNITS),
    nn.GRU(UNITS, reset="before"),
    nn.Bidirectional(nn.LSTM(UNITS), join="add"),
]


def limited(layer, **settings):
    """The layer with settings, also where it is inside of another one."""
    if isinstance(layer, nn.Bidirectional):
        return dataclasses.replace(layer, layer=limited(layer.layer, **settings))
    return dataclasses.replace(layer, **settings)


@pytest.mark.parametrize("layer", SEVERAL, ids=repr)
def test_each_kernel_has_a_penalty_of_its_own(apply, layer):
    changed = limited(layer, penalty=nn.L2(0.1), recurrent_penalty=(nn.L1(0.3), nn.L2(0.7)))
    params = changed.init(Key(0), (TIMES, FEATURES))
    outputs = apply(changed, X, params, training=True).outputs()
    inputs = [w for name, w in params.items() if name[-1] == "W"]
    recurrent = [u for name, u in params.items() if name[-1] == "U"]
    expected = sum(0.05 * (w**2).sum() for w in inputs)
    expected += sum(0.3 * np.abs(u).sum() + 0.35 * (u**2).sum() for u in recurrent)
    total = sum(value for name, value in outputs.items() if name.startswith("penalty"))
    np.testing.assert_allclose(total, expected, rtol=1e-13)
    assert not [name for name in apply(changed, X, params).outputs() if name.startswith("penalty")]


@pytest.mark.parametrize("layer", SEVERAL, ids=repr)
@pytest.mark.parametrize("backend", ["reference", "native"])
def test_each_kernel_keeps_its_constraint(layer, backend):
    bound = limited(layer, constraint=nn.MaxNorm(0.2), recurrent_constraint=nn.NonNegative())
    model = Model([bound], optimizer=optim.SGD(0.5), dtype="float64", backend=backend)
    model.fit(X, Y, epochs=2, progress=False)
    for name, array in model.parameters.items():
        if name[-1] == "W":
            assert (np.linalg.norm(array, axis=0) <= 0.2 + 1e-12).all()
        if name[-1] == "U":
            assert (array >= 0).all()
            assert (array > 0).any()


def test_the_encoder_and_the_decoder_have_their_own(apply):
    layer = nn.EncoderDecoder(nn.GRU(UNITS, penalty=nn.L2(2.0)), nn.GRU(UNITS, recurrent_penalty=nn.L2(4.0)), 2)
    params = layer.init(Key(0), (TIMES, FEATURES))
    outputs = apply(layer, X, params, training=True).outputs()
    np.testing.assert_allclose(outputs["penalty0"], (params["encoder.W"] ** 2).sum())
    np.testing.assert_allclose(outputs["penalty1"], 2 * (params["decoder.U"] ** 2).sum())


def first_mask(shape, rate, key):
    """The mask that the first stream of random numbers gives."""
    with ops.tracing("rows") as builder, nn.applying(nn.Context(training=True)):
        x = ops.placeholder("x", Type("float64", (Batch(),)))
        mask = dropout_mask((Batch(), *shape[1:]), rate, "float64")
        program = builder.finish([("mask", mask.value), ("x", x.value)])
    given = {"x": np.zeros(shape[0]), "key": Key(key).words(), "step": np.int64(0), "rate": np.float64(rate)}
    return Reference().compile(program)({name: np.asarray(value) for name, value in given.items()})["mask"]


@pytest.mark.parametrize(("layer", "step"), CELLS, ids=lambda item: repr(item) if isinstance(item, nn.Layer) else "")
def test_recurrent_dropout_drops_the_same_units_at_every_step(apply, layer, step):
    """What the product with U does not see of the state is a row of U that is zero, for the whole sequence."""
    rate = 0.4
    params = drawn(layer)
    received = apply(dataclasses.replace(layer, recurrent_dropout=rate), X, params, training=True).outputs()["result"]
    mask = first_mask((len(X), UNITS), rate, 0)
    assert set(np.unique(mask)) == {0.0, 1 / (1 - rate)}
    expected = meaning(layer, step)
    for sample, own in enumerate(mask):
        rows = np.tile(own, len(params["U"]) // UNITS)[:, None]
        alone = expected(params | {"U": rows * params["U"]}, X[sample : sample + 1])
        np.testing.assert_allclose(received[sample], alone[0], rtol=1e-12, atol=1e-14)


def test_recurrent_dropout_is_for_training_alone(apply):
    layer = nn.LSTM(UNITS, recurrent_dropout=0.5)
    params = drawn(layer)
    quiet = apply(layer, X, params).outputs()["result"]
    np.testing.assert_array_equal(quiet, apply(nn.LSTM(UNITS), X, params).outputs()["result"])


@pytest.mark.parametrize("layer", SEVERAL, ids=repr)
def test_dropout_trains_alike_on_both_backends(layer):
    thinned = limited(layer, recurrent_dropout=0.5, recurrent_penalty=nn.L2(0.1), checkpoint=2)
    models = [Model([thinned], dtype="float64", backend=backend) for backend in ("reference", "native")]
    for model in models:
        model.fit(X, Y, epochs=2, batch_size=4, progress=False)
    for name, array in models[0].parameters.items():
        np.testing.assert_allclose(models[1].parameters[name], array, rtol=1e-9, atol=1e-12)


def test_they_are_kept_in_a_file(tmp_path):
    layer = nn.LSTM(3, penalty=(nn.L1(0.1),), recurrent_constraint=nn.MaxNorm(2.0), recurrent_dropout=0.25)
    model = Model([layer])
    model.init((TIMES, FEATURES))
    model.save(tmp_path / "model")
    assert load(tmp_path / "model").network.layers[0] == layer


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"penalty": 0.1}, "no penalty 0.1"),
        ({"recurrent_penalty": nn.MaxNorm(1.0)}, "no penalty MaxNorm"),
        ({"constraint": nn.L2(0.1)}, "no constraint L2"),
        ({"recurrent_constraint": (nn.UnitNorm(), 3)}, "no constraint 3"),
        ({"recurrent_dropout": 1.0}, r"lies in \[0, 1\)"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        nn.GRU(3, **settings)


def test_the_recurrent_weights_start_as_asked():
    params = nn.LSTM(4, weights="kaiming", recurrent=nn.Eye(), biases=nn.Fill(0.5), forget=0.0).init(
        Key(0), (TIMES, FEATURES)
    )
    for block in np.split(params["U"], 4, axis=1):
        np.testing.assert_array_equal(block, np.eye(4))
    np.testing.assert_array_equal(params["b"], np.full(16, 0.5))
