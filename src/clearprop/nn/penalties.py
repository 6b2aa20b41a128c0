"""Penalties: what large weights add to the objective."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from clearprop import ops
from clearprop.errors import SettingsError
from clearprop.nn.context import hyper
from clearprop.ops import Tensor


class Penalty(ABC):
    """A scalar function of one weight, added to the cost."""

    @abstractmethod
    def __call__(self, weight: Tensor) -> Tensor:
        """Write the penalty of a weight and return it, a scalar."""


def _check_factor(value: float) -> None:
    if not 0 <= value < math.inf:
        raise SettingsError(f"a penalty's factor is a number of at least 0, received {value!r}")


def _factor(name: str, value: float, weight: Tensor) -> Tensor:
    return ops.astype(hyper(name, value), weight.dtype)


@dataclass(frozen=True)
class L1(Penalty):
    """factor times sum |w|: drives weights to zero; its derivative at 0 is taken as 0."""

    factor: float = 1e-4

    def __post_init__(self) -> None:
        _check_factor(self.factor)

    def __call__(self, weight: Tensor) -> Tensor:
        """Return factor sum |w|."""
        return _factor("l1", self.factor, weight) * ops.sum(ops.abs(weight))


@dataclass(frozen=True)
class L2(Penalty):
    """factor / 2 times sum w^2, so that its derivative is factor times w (weight decay)."""

    factor: float = 1e-4

    def __post_init__(self) -> None:
        _check_factor(self.factor)

    def __call__(self, weight: Tensor) -> Tensor:
        """Return factor / 2 sum w^2."""
        return _factor("l2", self.factor, weight) * (0.5 * ops.sum(ops.square(weight)))
