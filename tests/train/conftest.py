"""A small data set and a small network that many tests train."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from clearprop import nn, optim
from clearprop.model import Model

Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module", params=["reference", "native"])
def backend(request) -> Iterator[str]:
    """Every model of a module is on this backend; the module runs once for each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(Model.__init__.__kwdefaults__, "backend", request.param)
        yield request.param


@pytest.fixture
def samples() -> tuple[Array, Array]:
    """23 samples of 4 numbers in 3 classes."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(23, 4))
    return X, (X[:, 0] > 0).astype(np.int64) + (X[:, 1] > 0.5)


@pytest.fixture
def model() -> Model:
    """Dropout, a penalty, Adam and a schedule, in float64."""
    layers = [nn.Dense(5, "tanh", penalty=nn.L2(1e-3)), nn.Dropout(0.2), nn.Dense(3)]
    return Model(layers, "cross_entropy", optim.Adam(0.02), schedule=optim.Cosine(0.1), dtype="float64", seed=3)
