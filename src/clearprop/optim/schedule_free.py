"""Schedule-free learning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from clearprop import ops
from clearprop.ops import Tensor
from clearprop.optim.adam import AdamW
from clearprop.optim.optimizer import Optimizer, Slots, Tensors, average
from clearprop.optim.wrapper import Wrapper
from clearprop.settings import real


@dataclass(frozen=True)
class ScheduleFree(Wrapper):
    """An average in the place of a falling rate (Defazio et al., 2024).

    The gradient is taken at y; the inner optimiser moves z by it; x averages z:
    z <- inner step at z with the gradient of y;  c = rate^power / (sum of rate^power so far);
    x <- (1 - c) x + c z;  y <- (1 - beta) z + beta x.

    The rate in c is the largest so far, so that a warm-up counts for little. Validation, early stopping and the fitted
    model use x. The inner optimiser should have no momentum of its own, as beta takes its place: AdamW with beta1 = 0
    (the default) or SGD. Its decoupled weight decay acts at z (the authors' code: at y by default), that of
    `WeightDecay` inside too.
    """

    optimizer: Optimizer = field(default_factory=lambda: AdamW(0.0025, beta1=0.0, weight_decay=0.0))
    beta: float = real(0.9, "[0, 1)")
    power: float = real(2.0, "[0, inf)")

    def init(self, parameter: Tensor) -> Slots:
        """x and z, the weights at the start; the largest rate and the sum of the averages' weights, 0."""
        zero = ops.constant(0.0, "float64")
        return {"x": parameter + 0.0, "z": parameter + 0.0, "largest_rate": zero, "weight_sum": zero}

    def apply(self, parameters: Tensors, gradients: Tensors, slots: Tensors, hyper: Tensors) -> tuple[Slots, Slots]:
        """Write the inner step at z, and the new x and y."""
        own = self.own(hyper)
        moved, after = self.optimizer.apply({name: slots[f"{name}.z"] for name in parameters}, gradients, slots, hyper)
        new: Slots = {}
        for name, z in moved.items():
            largest = ops.maximum(slots[f"{name}.largest_rate"], hyper["learning_rate"])
            weight = largest ** own["power"]
            total = slots[f"{name}.weight_sum"] + weight
            used = total > 0.0
            keep = ops.where(used, 1.0 - weight / ops.where(used, total, 1.0), 1.0)
            x = average(keep, slots[f"{name}.x"], z)
            new[name] = average(own["beta"], x, z)
            state = {"x": x, "z": z, "largest_rate": largest, "weight_sum": total}
            after |= {f"{name}.{slot}": value for slot, value in state.items()}
        return new, after

    def evaluated(self, names: Sequence[str]) -> dict[str, str]:
        """By the average x."""
        return {name: f"{name}.x" for name in names}
