"""Constraints: what weights are brought back to after every update, inside of the training step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from clearprop import ops
from clearprop.description import choose
from clearprop.nn.context import hyper
from clearprop.ops import Tensor
from clearprop.settings import check_settings, real


class Constraint(ABC):
    """A projection of one weight onto the values that it may have."""

    def __post_init__(self) -> None:
        check_settings(self)

    @abstractmethod
    def __call__(self, weight: Tensor) -> Tensor:
        """Write the allowed weight that is nearest to (or stands for) a weight (inputs, units)."""


@dataclass(frozen=True)
class MaxNorm(Constraint):
    """The incoming weights of each unit, a column of W, are scaled to the norm `limit` where theirs is larger.

    Source: Srebro and Shraibman (2005); with dropout, Srivastava et al. (2014).
    """

    limit: float = real(3.0, "(0, inf)")

    def __call__(self, weight: Tensor) -> Tensor:
        """Return w min(1, limit / |w|), column by column."""
        limit = ops.astype(hyper("max_norm", self.limit), weight.dtype)
        size = ops.norm(weight, tuple(range(weight.rank - 1)), keepdims=True)
        return weight * (limit / ops.maximum(size, limit))


@dataclass(frozen=True)
class UnitNorm(Constraint):
    """The incoming weights of each unit, a column of W, are scaled to the norm 1; a column of zeros stays."""

    def __call__(self, weight: Tensor) -> Tensor:
        """Return w / |w|, column by column."""
        size = ops.norm(weight, tuple(range(weight.rank - 1)), keepdims=True)
        return weight / ops.where(size > 0.0, size, 1.0)


@dataclass(frozen=True)
class NonNegative(Constraint):
    """Negative weights become 0 (Lee and Seung, 1999, for whom parts only add up)."""

    def __call__(self, weight: Tensor) -> Tensor:
        """Return max(w, 0)."""
        return ops.maximum(weight, 0.0)


CONSTRAINTS: dict[str, type[Constraint]] = {"max_norm": MaxNorm, "unit_norm": UnitNorm, "non_negative": NonNegative}
"""The constraints by name."""


def constraint(choice: str | Constraint) -> Constraint:
    """Return the constraint of a name, or one as it is."""
    return choose(choice, Constraint, CONSTRAINTS, "constraint")
