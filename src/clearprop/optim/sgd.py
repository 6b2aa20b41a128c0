"""Stochastic gradient descent, with momentum and Nesterov's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from clearprop.ops import Tensor
from clearprop.optim.optimizer import Optimizer, Slots, check_range, scaled, zeros_like


@dataclass(frozen=True)
class SGD(Optimizer):
    """w <- w - rate g (Robbins and Monro, 1951)."""

    learning_rate: float = 0.01

    def __post_init__(self) -> None:
        check_range("learning_rate", self.learning_rate, 0, math.inf)

    def init(self, parameter: Tensor) -> Slots:
        """No slots."""
        return {}

    def update(
        self, parameter: Tensor, gradient: Tensor, slots: Mapping[str, Tensor], hyper: Mapping[str, Tensor]
    ) -> tuple[Tensor, Slots]:
        """Write w - rate g."""
        return parameter - scaled(hyper["learning_rate"], gradient), {}


@dataclass(frozen=True)
class _WithVelocity(Optimizer):
    """What Momentum and Nesterov share: v <- momentum v - rate g."""

    learning_rate: float = 0.01
    momentum: float = 0.9

    def __post_init__(self) -> None:
        check_range("learning_rate", self.learning_rate, 0, math.inf)
        check_range("momentum", self.momentum, 0, 1)

    def init(self, parameter: Tensor) -> Slots:
        """The velocity, zero."""
        return {"velocity": zeros_like(parameter)}

    def velocity(self, gradient: Tensor, slots: Mapping[str, Tensor], hyper: Mapping[str, Tensor]) -> Tensor:
        """Write the new velocity."""
        return scaled(hyper["momentum"], slots["velocity"]) - scaled(hyper["learning_rate"], gradient)


@dataclass(frozen=True)
class Momentum(_WithVelocity):
    """v <- momentum v - rate g;  w <- w + v (Polyak, 1964), with the rate inside of the velocity."""

    def update(
        self, parameter: Tensor, gradient: Tensor, slots: Mapping[str, Tensor], hyper: Mapping[str, Tensor]
    ) -> tuple[Tensor, Slots]:
        """Write the new velocity and w plus it."""
        velocity = self.velocity(gradient, slots, hyper)
        return parameter + velocity, {"velocity": velocity}


@dataclass(frozen=True)
class Nesterov(_WithVelocity):
    """v <- momentum v - rate g;  w <- w + momentum v - rate g.

    Nesterov's accelerated gradient (1983) with the look-ahead folded into the parameters, as in Sutskever et
    al. (2013).
    """

    def update(
        self, parameter: Tensor, gradient: Tensor, slots: Mapping[str, Tensor], hyper: Mapping[str, Tensor]
    ) -> tuple[Tensor, Slots]:
        """Write the new velocity, and w plus momentum times it minus rate g."""
        velocity = self.velocity(gradient, slots, hyper)
        step = scaled(hyper["momentum"], velocity) - scaled(hyper["learning_rate"], gradient)
        return parameter + step, {"velocity": velocity}
