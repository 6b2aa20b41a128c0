"""What every initialiser is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.nn.allowance import count_values
from clearprop.randomness import Key
from clearprop.settings import check_settings

Array = np.ndarray[Any, Any]


class Initializer(ABC):
    """Makes the first values of one parameter."""

    def __post_init__(self) -> None:
        check_settings(self)

    @abstractmethod
    def __call__(self, key: Key, shape: Sequence[int], fan_in: int, fan_out: int) -> Array:
        """Return float64 values of a shape.

        Args:
            key: the parameter's random stream.
            shape: the parameter's shape.
            fan_in: how many inputs feed one output of the layer.
            fan_out: how many outputs one input feeds.
        """


class Counted(Initializer):
    """Another initialiser, whose values are counted before they are made."""

    def __init__(self, initializer: Initializer) -> None:
        self.initializer = initializer

    def __call__(self, key: Key, shape: Sequence[int], fan_in: int, fan_out: int) -> Array:
        """Return the other's values; `ShapeError` where they are more than there may be."""
        count_values(shape)
        return self.initializer(key, shape, fan_in, fan_out)
