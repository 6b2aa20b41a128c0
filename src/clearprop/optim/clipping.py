"""Clipping of gradients, by value and by their global norm."""

from __future__ import annotations

from dataclasses import dataclass, field

from clearprop import ops
from clearprop.ops import Tensor
from clearprop.optim.adam import Adam
from clearprop.optim.optimizer import Optimizer, Slots, Tensors, scaled
from clearprop.optim.wrapper import Wrapper
from clearprop.settings import real


@dataclass(frozen=True)
class ClipByValue(Wrapper):
    """g <- min(max(g, -limit), limit), elementwise; then the inner optimiser."""

    optimizer: Optimizer = field(default_factory=Adam)
    limit: float = real(1.0, "[0, inf)")

    def apply(self, parameters: Tensors, gradients: Tensors, slots: Tensors, hyper: Tensors) -> tuple[Slots, Slots]:
        """Write the clipped gradients and the inner optimiser on them."""
        clipped: Slots = {}
        for name, gradient in gradients.items():
            limit = ops.astype(self.own(hyper)["limit"], gradient.dtype)
            clipped[name] = ops.minimum(ops.maximum(gradient, -limit), limit)
        return self.optimizer.apply(parameters, clipped, slots, hyper)


@dataclass(frozen=True)
class ClipByNorm(Wrapper):
    """g <- g min(1, limit / (|g| + epsilon)), with |g| the norm over all gradients together (Pascanu et al., 2013).

    The direction stays. Epsilon is 0 (optax, Keras); PyTorch takes 1e-6.
    """

    optimizer: Optimizer = field(default_factory=Adam)
    limit: float = real(1.0, "[0, inf)")
    epsilon: float = real(0.0, "[0, inf)")

    def apply(self, parameters: Tensors, gradients: Tensors, slots: Tensors, hyper: Tensors) -> tuple[Slots, Slots]:
        """Write the norm, in float64, the scaled gradients, and the inner optimiser on them."""
        own = self.own(hyper)
        norm = ops.name(ops.sqrt(_sum_of_squares(list(gradients.values()))), "gradient_norm")
        over = own["limit"] < norm + own["epsilon"]
        factor = ops.where(over, own["limit"] / ops.where(over, norm + own["epsilon"], 1.0), 1.0)
        clipped = {name: scaled(factor, gradient) for name, gradient in gradients.items()}
        return self.optimizer.apply(parameters, clipped, slots, hyper)


def _sum_of_squares(tensors: list[Tensor]) -> Tensor:
    total = ops.constant(0.0, "float64")
    for tensor in tensors:
        total = total + ops.astype(ops.sum(ops.square(tensor)), "float64")
    return total
