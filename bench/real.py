"""Workloads of real images: what random numbers do not show."""

from __future__ import annotations

from functools import cache

import numpy as np

import clearprop as cp
from clearprop.bench import Data, Workload

SECONDS = 2.0
"""How long each side trains in a round at least: thousands of steps, until means of vanished gradients are tiny."""


class Pictures(Workload):
    """A network on the 60 000 images of Fashion-MNIST, with the rate that it would be trained with."""

    def data(self) -> Data:
        """Return pixels from 0 to 1, and the classes or the pixels again.

        Raises:
            cp.DataError: Fashion-MNIST is not installed.
        """
        x, y = pictures()
        return x, x if self.classes is None else y


@cache
def pictures() -> Data:
    """Load the images."""
    dataset = cp.data.load("fashion-mnist")
    x = np.asarray(dataset.features, np.float32).reshape(len(dataset.features), -1) / np.float32(255)
    return x, np.unique(dataset.target, return_inverse=True)[1]


PICTURES = (
    Pictures("fashion, images", (784, 128, 10), 64, 60_000, 1.6, rate=1e-3),
    Pictures("fashion-xl, images", (784, 512, 512, 10), 128, 60_000, 1.4, rate=1e-3),
    Pictures("autoencoder, images", (784, 256, 64, 256, 784), 128, 60_000, 1.4, loss="squared_error", rate=1e-3),
)


def missing() -> str:
    """Return why the workloads cannot be had, or nothing."""
    try:
        pictures()
    except cp.DataError as reason:
        return f"networks on images are left out: {reason}"
    return ""
