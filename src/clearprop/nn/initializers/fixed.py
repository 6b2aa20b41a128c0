"""Initialisers that draw nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clearprop.errors import SettingsError, ShapeError
from clearprop.nn.initializers.initializer import Array, Initializer
from clearprop.randomness import Key
from clearprop.settings import real


@dataclass(frozen=True)
class Zeros(Initializer):
    """All zeros: right for biases; weights of hidden layers would never part from each other."""

    def __call__(self, key: Key, shape: Sequence[int], fan_in: int, fan_out: int) -> Array:
        """Return zeros."""
        return np.zeros(shape)


@dataclass(frozen=True)
class Fill(Initializer):
    """One constant everywhere; by name "constant"."""

    value: float = real(1.0, "(-inf, inf)")

    def __call__(self, key: Key, shape: Sequence[int], fan_in: int, fan_out: int) -> Array:
        """Return the value everywhere."""
        return np.full(shape, self.value, np.float64)


@dataclass(frozen=True)
class Eye(Initializer):
    """gain on the diagonal and 0 elsewhere, so that a layer starts as the identity; by name "identity"."""

    gain: float = real(1.0, "(-inf, inf)")

    def __call__(self, key: Key, shape: Sequence[int], fan_in: int, fan_out: int) -> Array:
        """Return gain times the identity matrix, cut to the shape."""
        if len(shape) != 2:
            raise ShapeError(f"Eye makes matrices, received the shape {tuple(shape)}")
        return np.asarray(self.gain * np.eye(shape[0], shape[1]))


@dataclass(frozen=True)
class Given(Initializer):
    """The user's own array, of the parameter's shape: `Dense(2, weights=Given(W))`.

    The numbers become part of the model's description. For large arrays `Model.set_parameters`, after `Model.init`, is
    lighter.
    """

    values: Any

    def __post_init__(self) -> None:
        try:
            array = np.asarray(self.values, np.float64)
        except (TypeError, ValueError) as error:
            raise SettingsError(f"Given: values is an array of numbers, received {self.values!r}") from error
        if not np.isfinite(array).all():
            raise SettingsError(f"Given: values is an array of finite numbers, received {self.values!r}")
        object.__setattr__(self, "values", _tuples(array.tolist()))

    def __call__(self, key: Key, shape: Sequence[int], fan_in: int, fan_out: int) -> Array:
        """Return the array."""
        array = np.array(self.values, np.float64)
        if array.shape != tuple(shape):
            raise ShapeError(f"Given holds an array of shape {array.shape}, and the parameter has {tuple(shape)}")
        return array


def _tuples(values: Any) -> Any:
    return tuple(_tuples(item) for item in values) if isinstance(values, list) else values
