"""Initialisers that draw from one distribution, whatever the size of the layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clearprop.nn.initializers.initializer import Array, Initializer
from clearprop.randomness import Key
from clearprop.settings import real


@dataclass(frozen=True)
class Uniform(Initializer):
    """Uniform on [-eps, eps]."""

    eps: float = real(0.05, "(0, inf)")

    def __call__(self, key: Key, shape: Sequence[int], fan_in: int, fan_out: int) -> Array:
        """Return draws from U(-eps, eps)."""
        return key.generator().uniform(-self.eps, self.eps, shape)


@dataclass(frozen=True)
class Normal(Initializer):
    """Normal with mean 0 and a given standard deviation."""

    std: float = real(0.05, "(0, inf)")

    def __call__(self, key: Key, shape: Sequence[int], fan_in: int, fan_out: int) -> Array:
        """Return draws from N(0, std^2)."""
        return key.generator().normal(0.0, self.std, shape)


@dataclass(frozen=True)
class TruncatedNormal(Initializer):
    """Normal with mean 0, cut at `at` standard deviations on either side: draws beyond it are drawn again.

    Attributes:
        std: the standard deviation before the cut; at 2 it leaves 0.8796 of it.
        at: where the cut is, in standard deviations.
    """

    std: float = real(0.05, "(0, inf)")
    at: float = real(2.0, "[0.1, inf)")

    def __call__(self, key: Key, shape: Sequence[int], fan_in: int, fan_out: int) -> Array:
        """Return draws from N(0, std^2) that lie within at std."""
        generator = key.generator()
        draws = generator.standard_normal(math.prod(shape))
        while len(beyond := np.flatnonzero(np.abs(draws) > self.at)):
            draws[beyond] = generator.standard_normal(len(beyond))
        return self.std * draws.reshape(shape)
