"""Every activation, loss, noise and constraint: training on the native backend and on the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from loss_table import samples, shaped
from penalty_table import CONSTRAINTS, PENALTIES

from clearprop import losses, nn
from clearprop.model import Model
from clearprop.optim import SGD

X = np.random.default_rng(0).normal(size=(21, 4))
VALUES = np.random.default_rng(1).normal(size=(21, 3))


def agree(network: list[Any], loss: Any, y: Any, dtype: str) -> None:
    """Three epochs of three steps each end with the same parameters on both."""
    native, reference = (
        Model(network, loss, SGD(0.05), dtype=dtype, seed=2, backend=backend) for backend in ("native", "reference")
    )
    for model in (native, reference):
        model.fit(X, y, epochs=3, batch_size=8, progress=False)
    tolerance = {"float64": 1e-9, "float32": 2e-4}[dtype]
    for name, array in reference.parameters.items():
        np.testing.assert_allclose(native.parameters[name], array, rtol=tolerance, atol=tolerance, err_msg=name)
    np.testing.assert_allclose(native.predict(X), reference.predict(X), rtol=10 * tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", nn.ACTIVATIONS)
def test_activation(name, dtype):
    agree([nn.Dense(6, name), nn.Dense(3)], "squared_error", VALUES, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", losses.LOSSES)
def test_loss(name, dtype):
    output, y = samples(name, len(X))
    agree([nn.Dense(6, "tanh"), nn.Dense(12), shaped(output)], name, y, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", nn.NOISE)
def test_noise(name, dtype):
    agree([nn.NOISE[name](), nn.Dense(6, "tanh", weight_noise=nn.Dropout(0.2)), nn.Dense(3)], "huber", VALUES, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=str)
def test_constraint(constraint, dtype):
    agree([nn.Dense(6, "tanh", constraint=constraint), nn.Dense(3)], "squared_error", VALUES, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layer", [nn.KLSparsity(), *map(nn.ActivityPenalty, PENALTIES)], ids=str)
def test_activity(layer, dtype):
    agree([nn.Dense(6, "sigmoid"), layer, nn.Dense(3)], "squared_error", VALUES, dtype)
