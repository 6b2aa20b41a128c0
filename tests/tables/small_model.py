"""A small classifier, and samples for it."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop import nn, optim
from clearprop.model import Model

X = np.random.default_rng(0).normal(size=(40, 4))
Y = (X[:, 0] > 0.3).astype(np.int64) + (X[:, 1] > 1.0)


def make(units: int = 3, loss: Any = "cross_entropy", **more: Any) -> Model:
    options = {"dtype": "float64", "seed": 3} | more
    return Model([nn.Dense(6, "tanh"), nn.Dense(units)], loss, optim.SGD(0.1), **options)
