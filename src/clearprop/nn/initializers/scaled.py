"""Initialisers whose variance follows the number of inputs and outputs of the layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clearprop.nn.activations import ACTIVATIONS
from clearprop.nn.initializers.initializer import Array, Initializer
from clearprop.nn.initializers.random import Normal, TruncatedNormal, Uniform
from clearprop.randomness import Key
from clearprop.settings import Allowed, choice, field, real

_CUT = 0.8796256610342398
"""The standard deviation of a standard normal cut at 2: sqrt(1 - 4 phi(2) / (2 Phi(2) - 1))."""


def _gain(default: float) -> Any:
    def holds(value: Any) -> bool:
        if isinstance(value, str):
            return value in ACTIVATIONS
        return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf

    return field(
        Allowed("lies in (0, inf) or names an activation", holds, (0.0, -1.0, math.inf, "relo", None)), default
    )


def gain_of(gain: float | str) -> float:
    """Return a gain as it is, and the gain of an activation by its name: sqrt(2) for "relu", 5/3 for "tanh"."""
    return ACTIVATIONS[gain]().gain if isinstance(gain, str) else gain


def draw(key: Key, shape: Sequence[int], std: float, distribution: str) -> Array:
    """Draw with mean 0 and a standard deviation from "uniform", "normal" or "truncated_normal" (cut at 2)."""
    if distribution == "uniform":
        return Uniform(math.sqrt(3.0) * std)(key, shape, 1, 1)
    if distribution == "truncated_normal":
        return TruncatedNormal(std / _CUT)(key, shape, 1, 1)
    return Normal(std)(key, shape, 1, 1)


def fan(mode: str, fan_in: int, fan_out: int) -> float:
    """Return the inputs of a unit, its outputs, or their average; at least 1."""
    return max({"fan_in": fan_in, "fan_out": fan_out, "fan_avg": 0.5 * (fan_in + fan_out)}[mode], 1.0)


@dataclass(frozen=True)
class VarianceScaling(Initializer):
    """Variance scale / fan, of which the three below are cases.

    Attributes:
        scale: the variance times the fan.
        mode: the fan: "fan_in", "fan_out" or their average, "fan_avg".
        distribution: "normal", "uniform" or "truncated_normal" (cut at two standard deviations; the variance is that
            after the cut).
    """

    scale: float = real(1.0, "(0, inf)")
    mode: str = choice("fan_in", "fan_out", "fan_avg")
    distribution: str = choice("normal", "uniform", "truncated_normal")

    def __call__(self, key: Key, shape: Sequence[int], fan_in: int, fan_out: int) -> Array:
        """Return draws with standard deviation sqrt(scale / fan)."""
        return draw(key, shape, math.sqrt(self.scale / fan(self.mode, fan_in, fan_out)), self.distribution)


@dataclass(frozen=True)
class Xavier(Initializer):
    """Variance gain^2 2 / (fan_in + fan_out) (Glorot and Bengio, 2010): for tanh, sigmoid and identity."""

    distribution: str = choice("uniform", "normal", "truncated_normal")
    gain: float | str = _gain(1.0)

    def __call__(self, key: Key, shape: Sequence[int], fan_in: int, fan_out: int) -> Array:
        """Return draws with standard deviation gain sqrt(2 / (fan_in + fan_out))."""
        std = gain_of(self.gain) * math.sqrt(2.0 / max(fan_in + fan_out, 1))
        return draw(key, shape, std, self.distribution)


@dataclass(frozen=True)
class Kaiming(Initializer):
    """Variance gain^2 / fan (He et al., 2015): for ReLU and its kin, with gain sqrt(2)."""

    distribution: str = choice("normal", "uniform", "truncated_normal")
    gain: float | str = _gain(math.sqrt(2.0))
    mode: str = choice("fan_in", "fan_out", "fan_avg")

    def __call__(self, key: Key, shape: Sequence[int], fan_in: int, fan_out: int) -> Array:
        """Return draws with standard deviation gain / sqrt(fan)."""
        std = gain_of(self.gain) / math.sqrt(fan(self.mode, fan_in, fan_out))
        return draw(key, shape, std, self.distribution)


@dataclass(frozen=True)
class LeCun(Initializer):
    """Variance 1 / fan_in (LeCun et al., 1998): for SELU, and for the scaled tanh."""

    distribution: str = choice("normal", "uniform", "truncated_normal")

    def __call__(self, key: Key, shape: Sequence[int], fan_in: int, fan_out: int) -> Array:
        """Return draws with standard deviation 1 / sqrt(fan_in)."""
        return draw(key, shape, math.sqrt(1.0 / max(fan_in, 1)), self.distribution)
