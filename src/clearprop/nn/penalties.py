"""Penalties: what large weights add to the objective."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from clearprop import ops
from clearprop.description import choose
from clearprop.nn.context import hyper
from clearprop.ops import Tensor
from clearprop.settings import check_settings, real


class Penalty(ABC):
    """A scalar function of one tensor, a weight or (with `ActivityPenalty`) an activation, added to the cost."""

    def __post_init__(self) -> None:
        check_settings(self)

    @abstractmethod
    def __call__(self, weight: Tensor) -> Tensor:
        """Write the penalty of a weight and return it, a scalar."""


def _factor(name: str, value: float, weight: Tensor) -> Tensor:
    return ops.astype(hyper(name, value), weight.dtype)


@dataclass(frozen=True)
class L1(Penalty):
    """factor times sum |w|: drives weights to zero; its derivative at 0 is taken as 0 (Tibshirani, 1996)."""

    factor: float = real(1e-4, "[0, inf)")

    def __call__(self, weight: Tensor) -> Tensor:
        """Return factor sum |w|."""
        return _factor("l1", self.factor, weight) * ops.sum(ops.abs(weight))


@dataclass(frozen=True)
class L2(Penalty):
    """factor / 2 times sum w^2, so that its derivative is factor times w (weight decay)."""

    factor: float = real(1e-4, "[0, inf)")

    def __call__(self, weight: Tensor) -> Tensor:
        """Return factor / 2 sum w^2."""
        return _factor("l2", self.factor, weight) * (0.5 * ops.sum(ops.square(weight)))


@dataclass(frozen=True)
class ElasticNet(Penalty):
    """factor (ratio sum |w| + (1 - ratio) / 2 sum w^2) (Zou and Hastie, 2005), with scikit-learn's ratio.

    Attributes:
        factor: what both parts are multiplied by.
        ratio: 1 for L1 alone, 0 for L2 alone.
    """

    factor: float = real(1e-4, "[0, inf)")
    ratio: float = real(0.5, "[0, 1]")

    def __call__(self, weight: Tensor) -> Tensor:
        """Return factor (ratio sum |w| + (1 - ratio) / 2 sum w^2)."""
        ratio = _factor("l1_ratio", self.ratio, weight)
        first, second = ops.sum(ops.abs(weight)), 0.5 * ops.sum(ops.square(weight))
        return _factor("elastic_net", self.factor, weight) * (ratio * first + (1.0 - ratio) * second)


PENALTIES: dict[str, type[Penalty]] = {"l1": L1, "l2": L2, "elastic_net": ElasticNet}
"""The penalties by name."""


def penalty(choice: str | Penalty) -> Penalty:
    """Return the penalty of a name, or one as it is."""
    return choose(choice, Penalty, PENALTIES, "penalty")
