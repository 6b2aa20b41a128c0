"""Lion."""

from __future__ import annotations

from dataclasses import dataclass

from clearprop import ops
from clearprop.ops import Tensor
from clearprop.optim.optimizer import Optimizer, Slots, Tensors, average, scaled, zeros_like
from clearprop.settings import real


@dataclass(frozen=True)
class Lion(Optimizer):
    """The sign of an interpolated momentum (Chen et al., 2023).

    w <- w - rate (sign(beta1 m + (1 - beta1) g) + weight_decay w);  m <- beta2 m + (1 - beta2) g.

    The decay is decoupled. Rates want to be 3 to 10 times smaller than Adam's, and decays as much larger.
    """

    learning_rate: float = real(1e-4, "[0, inf)")
    beta1: float = real(0.9, "[0, 1)")
    beta2: float = real(0.99, "[0, 1)")
    weight_decay: float = real(0.0, "[0, inf)")

    def init(self, parameter: Tensor) -> Slots:
        """The momentum, zero."""
        return {"m": zeros_like(parameter)}

    def update(self, parameter: Tensor, gradient: Tensor, slots: Tensors, hyper: Tensors) -> tuple[Tensor, Slots]:
        """Write the new momentum, and w less rate times the sign and the decay."""
        direction = ops.sign(average(hyper["beta1"], slots["m"], gradient))
        step = scaled(hyper["learning_rate"], direction + scaled(hyper["weight_decay"], parameter))
        return parameter - step, {"m": average(hyper["beta2"], slots["m"], gradient)}
