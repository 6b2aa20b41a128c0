"""Initialisers: how the parameters of a layer start."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clearprop.description import choose
from clearprop.errors import SettingsError
from clearprop.randomness import Key

Array = np.ndarray[Any, Any]
GAINS: dict[str, float] = {"relu": math.sqrt(2.0), "leaky_relu": math.sqrt(2.0), "tanh": 5.0 / 3.0}
"""The gain of an activation: what keeps the variance of a through z = x W; 1 where it is not listed."""


class Initializer(ABC):
    """Makes the first values of one parameter."""

    @abstractmethod
    def __call__(self, key: Key, shape: Sequence[int], fan_in: int, fan_out: int) -> Array:
        """Return float64 values of a shape.

        Args:
            key: the parameter's random stream.
            shape: the parameter's shape.
            fan_in: how many inputs feed one output of the layer.
            fan_out: how many outputs one input feeds.
        """


def _check_positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise SettingsError(f"{name} is a positive number, received {value!r}")


@dataclass(frozen=True)
class Zeros(Initializer):
    """All zeros: right for biases; weights of hidden layers would never part from each other."""

    def __call__(self, key: Key, shape: Sequence[int], fan_in: int, fan_out: int) -> Array:
        """Return zeros."""
        return np.zeros(shape)


@dataclass(frozen=True)
class Uniform(Initializer):
    """Uniform on [-eps, eps]."""

    eps: float = 0.05

    def __post_init__(self) -> None:
        _check_positive("eps", self.eps)

    def __call__(self, key: Key, shape: Sequence[int], fan_in: int, fan_out: int) -> Array:
        """Return draws from U(-eps, eps)."""
        return key.generator().uniform(-self.eps, self.eps, shape)


@dataclass(frozen=True)
class Normal(Initializer):
    """Normal with mean 0 and a given standard deviation."""

    std: float = 0.05

    def __post_init__(self) -> None:
        _check_positive("std", self.std)

    def __call__(self, key: Key, shape: Sequence[int], fan_in: int, fan_out: int) -> Array:
        """Return draws from N(0, std^2)."""
        return key.generator().normal(0.0, self.std, shape)


def _draw(key: Key, shape: Sequence[int], std: float, distribution: str) -> Array:
    """Draw with a standard deviation; a uniform distribution reaches sqrt(3) of it."""
    if distribution == "uniform":
        return Uniform(math.sqrt(3.0) * std)(key, shape, 1, 1)
    return Normal(std)(key, shape, 1, 1)


def _check_distribution(distribution: str, gain: float) -> None:
    if distribution not in ("uniform", "normal"):
        raise SettingsError(f"a distribution is 'uniform' or 'normal', received {distribution!r}")
    _check_positive("gain", gain)


@dataclass(frozen=True)
class Xavier(Initializer):
    """Variance gain^2 2 / (fan_in + fan_out) (Glorot and Bengio, 2010): for tanh, sigmoid and identity."""

    distribution: str = "uniform"
    gain: float = 1.0

    def __post_init__(self) -> None:
        _check_distribution(self.distribution, self.gain)

    def __call__(self, key: Key, shape: Sequence[int], fan_in: int, fan_out: int) -> Array:
        """Return draws with standard deviation gain sqrt(2 / (fan_in + fan_out))."""
        return _draw(key, shape, self.gain * math.sqrt(2.0 / max(fan_in + fan_out, 1)), self.distribution)


@dataclass(frozen=True)
class Kaiming(Initializer):
    """Variance gain^2 / fan_in (He et al., 2015): for ReLU and its kin, with gain sqrt(2)."""

    distribution: str = "normal"
    gain: float = math.sqrt(2.0)
    mode: str = "fan_in"

    def __post_init__(self) -> None:
        _check_distribution(self.distribution, self.gain)
        if self.mode not in ("fan_in", "fan_out"):
            raise SettingsError(f"mode is 'fan_in' or 'fan_out', received {self.mode!r}")

    def __call__(self, key: Key, shape: Sequence[int], fan_in: int, fan_out: int) -> Array:
        """Return draws with standard deviation gain / sqrt(fan)."""
        fan = fan_in if self.mode == "fan_in" else fan_out
        return _draw(key, shape, self.gain / math.sqrt(max(fan, 1)), self.distribution)


INITIALIZERS: dict[str, type[Initializer]] = {
    "zeros": Zeros,
    "uniform": Uniform,
    "normal": Normal,
    "xavier": Xavier,
    "kaiming": Kaiming,
}
"""The initialisers by name."""


def initializer(choice: str | Initializer) -> Initializer:
    """Return the initialiser of a name, or one as it is."""
    return choose(choice, Initializer, INITIALIZERS, "initialiser")
