"""AdaGrad and AdaDelta."""

from __future__ import annotations

from dataclasses import dataclass

from clearprop import ops
from clearprop.ops import Tensor
from clearprop.optim.optimizer import Optimizer, Slots, Tensors, average, scaled, zeros_like
from clearprop.settings import choice, real


@dataclass(frozen=True)
class AdaGrad(Optimizer):
    """v <- v + g^2;  w <- w - rate g / (sqrt(v) + epsilon) (Duchi, Hazan and Singer, 2011).

    `epsilon_form` says where epsilon stands: "outside" of the root (here above; PyTorch), or "inside",
    sqrt(v + epsilon) (Keras, optax). `initial` is the first v: 0 (PyTorch); Keras and optax take 0.1.
    """

    learning_rate: float = real(0.01, "[0, inf)")
    epsilon: float = real(1e-10, "[0, inf)")
    epsilon_form: str = choice("outside", "inside")
    initial: float = real(0.0, "[0, inf)")

    def init(self, parameter: Tensor) -> Slots:
        """The sum of squares, at first `initial`."""
        return {"v": ops.broadcast_to(ops.constant(self.initial, parameter.dtype), parameter.shape)}

    def update(self, parameter: Tensor, gradient: Tensor, slots: Tensors, hyper: Tensors) -> tuple[Tensor, Slots]:
        """Write the new sum of squares, and w less the scaled gradient."""
        v = slots["v"] + ops.square(gradient)
        step = scaled(hyper["learning_rate"], gradient) / root(v, hyper["epsilon"], self.epsilon_form)
        return parameter - step, {"v": v}


@dataclass(frozen=True)
class AdaDelta(Optimizer):
    """v <- rho v + (1 - rho) g^2;  d = g sqrt(u + epsilon) / sqrt(v + epsilon);  u <- rho u + (1 - rho) d^2.

    w <- w - rate d (Zeiler, 2012). The paper has no rate, which is the default of 1 (PyTorch's too; Keras' is 0.001).
    """

    learning_rate: float = real(1.0, "[0, inf)")
    rho: float = real(0.9, "[0, 1)")
    epsilon: float = real(1e-6, "[0, inf)")

    def init(self, parameter: Tensor) -> Slots:
        """The mean squares of gradients and of steps, zero."""
        return {"v": zeros_like(parameter), "u": zeros_like(parameter)}

    def update(self, parameter: Tensor, gradient: Tensor, slots: Tensors, hyper: Tensors) -> tuple[Tensor, Slots]:
        """Write the new mean squares, and w less the step in its own units."""
        v = average(hyper["rho"], slots["v"], ops.square(gradient))
        epsilon = hyper["epsilon"]
        step = gradient * root(slots["u"], epsilon, "inside") / root(v, epsilon, "inside")
        u = average(hyper["rho"], slots["u"], ops.square(step))
        return parameter - scaled(hyper["learning_rate"], step), {"v": v, "u": u}


def root(v: Tensor, epsilon: Tensor, form: str) -> Tensor:
    """sqrt(v) + epsilon ("outside"), or sqrt(v + epsilon) ("inside")."""
    small = ops.astype(epsilon, v.dtype)
    return ops.name(ops.sqrt(v), "root") + small if form == "outside" else ops.sqrt(v + small)
