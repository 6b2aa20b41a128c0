"""What is trained: networks, batches and data of the sizes that are met in practice."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Data = tuple[Array, Array]
"""Features (rows, inputs) in float32, and class indices (rows,) or values."""

RATE = 1e-5
"""Adam's rate: small, so that long runs on random targets reach no vanishing gradients, which are slow for some."""


@dataclass(frozen=True)
class Workload:
    """A network of dense layers and its data, trained with Adam in float32.

    Attributes:
        name: what it is called.
        sizes: the units from the input to the output.
        batch: samples a step.
        rows: samples in all; every step gathers its batch out of all of them, in an order that is new each epoch.
        goal: how many times as fast as the fastest peer it ought to be.
        activation: of the hidden layers: "relu" or "tanh".
        loss: "cross_entropy", or "squared_error" between the input and the output.
        dropout: the rate after each hidden layer.
        norm: whether the values of each hidden layer are normalised over the batch, in place of a bias.
        rate: Adam's.
        quick: whether it belongs to the few that show in seconds how fast a machine is.
    """

    name: str
    sizes: tuple[int, ...]
    batch: int
    rows: int
    goal: float = 1.0
    activation: str = "relu"
    loss: str = "cross_entropy"
    dropout: float = 0.0
    norm: bool = False
    rate: float = RATE
    quick: bool = False

    @property
    def network(self) -> str:
        """The sizes as people write them: 64-32-10."""
        return "-".join(map(str, self.sizes))

    @property
    def classes(self) -> int | None:
        """How many classes there are; None where values are learnt."""
        return self.sizes[-1] if self.loss == "cross_entropy" else None

    @property
    def steps_per_epoch(self) -> int:
        """How many batches the samples make, the last small one included."""
        return -(-self.rows // self.batch)

    @property
    def flops(self) -> int:
        """Floating-point operations of the matrix products of a step.

        2 b m k each for a layer's value, for its weights' gradient, and but for the first layer for its input's.
        """
        layers = [2 * self.batch * m * k for m, k in itertools.pairwise(self.sizes)]
        return 3 * sum(layers) - layers[0]

    def data(self) -> Data:
        """Make the samples: random, and the same every time. Each class comes as often as any other."""
        x = np.random.default_rng(0).standard_normal((self.rows, self.sizes[0]), np.float32)
        return x, x if self.classes is None else np.arange(self.rows) % self.classes


WORKLOADS = (
    Workload("xor", (2, 8, 2), 4, 4, 10.0, activation="tanh", quick=True),
    Workload("digits", (64, 32, 10), 32, 1437, 3.5, quick=True),
    Workload("tabular", (30, 64, 64, 2), 32, 455, 3.0, quick=True),
    Workload("tabular, dropout", (30, 64, 64, 2), 32, 455, dropout=0.2),
    Workload("tabular, batch norm", (30, 64, 64, 2), 32, 455, norm=True),
    Workload("fashion", (784, 128, 10), 64, 60_000, 1.6, quick=True),
    Workload("fashion-xl", (784, 512, 512, 10), 128, 60_000, 1.4),
    Workload("autoencoder", (784, 256, 64, 256, 784), 128, 60_000, 1.4, loss="squared_error"),
    Workload("wide", (1024, 2048, 2048, 1000), 256, 10_000, 1.3),
)
