"""Rprop."""

from __future__ import annotations

from dataclasses import dataclass

from clearprop import ops
from clearprop.ops import Tensor
from clearprop.optim.optimizer import Optimizer, Slots, Tensors, zeros_like
from clearprop.settings import real


@dataclass(frozen=True)
class Rprop(Optimizer):
    """Resilient backpropagation: a step size for each weight, from signs alone (Riedmiller and Braun, 1993).

    Where the gradient keeps its sign, size <- min(grow size, largest); where it changes,
    size <- max(shrink size, smallest) and the gradient counts as 0, so that the next step neither grows nor shrinks;
    w <- w - size sign(g). That is iRprop- (Igel and Huesken, 2000), as in PyTorch. The rate is every weight's first
    size; a schedule has no effect later. For whole batches: signs of small ones are noise.
    """

    learning_rate: float = real(0.01, "[0, inf)")
    shrink: float = real(0.5, "[0, 1)")
    grow: float = real(1.2, "[1, inf)")
    smallest: float = real(1e-6, "[0, inf)")
    largest: float = real(50.0, "[0, inf)")

    def init(self, parameter: Tensor) -> Slots:
        """The gradient before, and the size, which the first step sets to the rate."""
        return {"before": zeros_like(parameter), "size": zeros_like(parameter)}

    def update(self, parameter: Tensor, gradient: Tensor, slots: Tensors, hyper: Tensors) -> tuple[Tensor, Slots]:
        """Write the new sizes, and w moved by them against the gradient's sign."""
        fields = ("learning_rate", "shrink", "grow", "smallest", "largest")
        number = {name: ops.astype(hyper[name], parameter.dtype) for name in fields}
        size = ops.where(hyper["t"] <= 1.0, number["learning_rate"], slots["size"])
        agreement = gradient * slots["before"]
        turned = agreement < 0.0
        grown = ops.where(agreement > 0.0, size * number["grow"], size)
        size = ops.where(turned, size * number["shrink"], grown)
        size = ops.minimum(ops.maximum(size, number["smallest"]), number["largest"])
        kept = ops.where(turned, 0.0, gradient)
        return parameter - ops.sign(kept) * size, {"before": kept, "size": size}
