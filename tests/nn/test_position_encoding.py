"""Sines and cosines of the place, for sequences of any length."""

from __future__ import annotations

import numpy as np
import pytest

from clearprop import nn, ops
from clearprop.checks import check_gradients
from clearprop.compile import compile_program
from clearprop.ir import Batch, Program, Type
from clearprop.model import Model

BACKENDS = ["reference", "native"]
RNG = np.random.default_rng(0)


def program(times: int, d: int, dtype: str) -> Program:
    return ops.trace(lambda x: nn.PositionEncoding().apply({}, x), {"x": Type(dtype, (Batch(), times, d))})


def waves(times: int, d: int) -> np.ndarray:
    """The formula of the paper, in float64."""
    angle = np.arange(times)[:, None] / 10000.0 ** (np.arange(d) // 2 * 2 / d)
    return np.where(np.arange(d) % 2 == 0, np.sin(angle), np.cos(angle))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("dtype", "atol"), [("float32", 6e-8), ("float64", 4e-12)])
@pytest.mark.parametrize(("times", "d"), [(1, 1), (7, 5), (64, 32), (3000, 24), (9000, 9)])
def test_values_to_rounding(backend, dtype, atol, times, d):
    """The last two have more than 65 536 elements; at place 9000 an angle in float32 would be wrong by 0.0005."""
    run = compile_program(program(times, d, dtype), backend)
    got = run({"x": np.zeros((2, times, d), dtype)})["result"]
    assert got.dtype == dtype
    np.testing.assert_allclose(got, np.broadcast_to(waves(times, d), got.shape), rtol=0, atol=atol)


def test_a_program_does_not_grow_with_the_length():
    texts = [str(program(times, 8, "float32")) for times in (10, 100_000)]
    assert len(texts[1]) < 2 * len(texts[0])


@pytest.mark.parametrize("backend", BACKENDS)
def test_long_sequences_are_learnt(backend):
    times, d = 4200, 16
    x = RNG.normal(size=(24, times, d)).astype(np.float32) / 10
    network = [nn.PositionEncoding(), nn.Dense(4, "tanh"), nn.Flatten(), nn.Dense(1)]
    model = Model(network, "squared_error", backend=backend)
    history = model.fit(x, x[:, :100, 0].sum(axis=1), epochs=3, batch_size=8, progress=False)
    assert history["loss"][-1] < history["loss"][0]
    other = Model(network, "squared_error", backend="reference")
    other.init((times, d))
    other.set_parameters(model.parameters)
    np.testing.assert_allclose(model.predict(x), other.predict(x), rtol=1e-3, atol=1e-4)


def test_gradients_go_through():
    network = [nn.Dense(4), nn.PositionEncoding(), nn.TransformerBlock(2, 6, causal=True), nn.Dense(1)]
    model = Model(network, "squared_error", dtype="float64")
    assert check_gradients(model, RNG.normal(size=(3, 6, 2)), RNG.normal(size=(3, 6, 1))).ok
