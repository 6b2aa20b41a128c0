"""RMSprop: plain, centred, with momentum."""

from __future__ import annotations

from dataclasses import dataclass

from clearprop import ops
from clearprop.ops import Tensor
from clearprop.optim.adagrad import root
from clearprop.optim.optimizer import Optimizer, Slots, Tensors, average, scaled, zeros_like
from clearprop.settings import choice, flag, real


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """v <- rho v + (1 - rho) g^2;  w <- w - rate g / (sqrt(v) + epsilon) (Hinton, 2012).

    `centred` subtracts the square of the gradient's mean from v (Graves, 2013). With `momentum` the step goes
    through a velocity: b <- momentum b + g / (sqrt(v) + epsilon);  w <- w - rate b (PyTorch; the rate stands outside).

    `epsilon_form` says where epsilon stands: "outside" of the root (here above; PyTorch), or "inside",
    sqrt(v + epsilon) (Keras, optax). rho is 0.99 as in PyTorch; Keras and optax take 0.9.
    """

    learning_rate: float = real(0.001, "[0, inf)")
    rho: float = real(0.99, "[0, 1)")
    epsilon: float = real(1e-8, "[0, inf)")
    momentum: float = real(0.0, "[0, 1)")
    centred: bool = flag(False)
    epsilon_form: str = choice("outside", "inside")

    def init(self, parameter: Tensor) -> Slots:
        """The mean square, and what is asked for of the mean and the velocity: all zero."""
        names = ["v", *(["mean"] if self.centred else []), *(["velocity"] if self.momentum else [])]
        return {name: zeros_like(parameter) for name in names}

    def hyper(self) -> dict[str, float]:
        """The hyper-parameters; `momentum` only where there is one, because a velocity is a slot."""
        return {name: value for name, value in super().hyper().items() if name != "momentum" or value}

    def update(self, parameter: Tensor, gradient: Tensor, slots: Tensors, hyper: Tensors) -> tuple[Tensor, Slots]:
        """Write the new slots, and w less the scaled gradient or velocity."""
        after = {"v": average(hyper["rho"], slots["v"], ops.square(gradient))}
        spread = after["v"]
        if self.centred:
            after["mean"] = average(hyper["rho"], slots["mean"], gradient)
            spread = ops.maximum(spread - ops.square(after["mean"]), 0.0)
        step = gradient / root(spread, hyper["epsilon"], self.epsilon_form)
        if self.momentum:
            step = after["velocity"] = scaled(hyper["momentum"], slots["velocity"]) + step
        return parameter - scaled(hyper["learning_rate"], step), after
