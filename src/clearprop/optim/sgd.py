"""Stochastic gradient descent, with momentum and Nesterov's."""

from __future__ import annotations

from dataclasses import dataclass

from clearprop.ops import Tensor
from clearprop.optim.optimizer import Optimizer, Slots, Tensors, average, scaled, zeros_like
from clearprop.settings import choice, real


@dataclass(frozen=True)
class SGD(Optimizer):
    """w <- w - rate g (Robbins and Monro, 1951)."""

    learning_rate: float = real(0.01, "[0, inf)")

    def init(self, parameter: Tensor) -> Slots:
        """No slots."""
        return {}

    def update(self, parameter: Tensor, gradient: Tensor, slots: Tensors, hyper: Tensors) -> tuple[Tensor, Slots]:
        """Write w - rate g."""
        return parameter - scaled(hyper["learning_rate"], gradient), {}


@dataclass(frozen=True)
class _WithVelocity(Optimizer):
    """What Momentum and Nesterov share: the velocity, in one of three forms.

    "step", the default: v <- momentum v - rate g, with the rate inside (Polyak; Keras, scikit-learn).
    "gradient": v <- momentum v + g, and the step is -rate v (PyTorch). With a rate that stays the same both give the
    same path; when it changes, "step" remembers the rates at which the velocity was gathered.
    "average": v <- momentum v + (1 - momentum) g, and the step is -rate v (PyTorch's dampening), so that momentum does
    not lengthen the steps.
    """

    learning_rate: float = real(0.01, "[0, inf)")
    momentum: float = real(0.9, "[0, 1)")
    velocity: str = choice("step", "gradient", "average")

    def init(self, parameter: Tensor) -> Slots:
        """The velocity, zero."""
        return {"velocity": zeros_like(parameter)}

    def faster(self, gradient: Tensor, slots: Tensors, hyper: Tensors) -> Tensor:
        """Write the new velocity."""
        before = slots["velocity"]
        if self.velocity == "average":
            return average(hyper["momentum"], before, gradient)
        if self.velocity == "gradient":
            return scaled(hyper["momentum"], before) + gradient
        return scaled(hyper["momentum"], before) - scaled(hyper["learning_rate"], gradient)


@dataclass(frozen=True)
class Momentum(_WithVelocity):
    """v <- momentum v - rate g;  w <- w + v (Polyak, 1964).

    `velocity` says where the rate stands: "step" (here above), "gradient" (PyTorch: v <- momentum v + g;
    w <- w - rate v) or "average" (v <- momentum v + (1 - momentum) g;  w <- w - rate v).
    """

    def update(self, parameter: Tensor, gradient: Tensor, slots: Tensors, hyper: Tensors) -> tuple[Tensor, Slots]:
        """Write the new velocity and w moved by it."""
        velocity = self.faster(gradient, slots, hyper)
        if self.velocity == "step":
            return parameter + velocity, {"velocity": velocity}
        return parameter - scaled(hyper["learning_rate"], velocity), {"velocity": velocity}


@dataclass(frozen=True)
class Nesterov(_WithVelocity):
    """v <- momentum v - rate g;  w <- w + momentum v - rate g.

    Nesterov's accelerated gradient (1983) with the look-ahead folded into the parameters, as in Sutskever et
    al. (2013). `velocity` says where the rate stands: "step" (here above), "gradient" (PyTorch: v <- momentum v + g;
    w <- w - rate (momentum v + g)) or "average" (the same with v <- momentum v + (1 - momentum) g).
    """

    def update(self, parameter: Tensor, gradient: Tensor, slots: Tensors, hyper: Tensors) -> tuple[Tensor, Slots]:
        """Write the new velocity, and w plus momentum times it minus rate g."""
        velocity = self.faster(gradient, slots, hyper)
        rate = hyper["learning_rate"]
        ahead = scaled(hyper["momentum"], velocity)
        if self.velocity == "step":
            return parameter + (ahead - scaled(rate, gradient)), {"velocity": velocity}
        return parameter - scaled(rate, ahead + gradient), {"velocity": velocity}
