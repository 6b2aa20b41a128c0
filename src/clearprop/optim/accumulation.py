"""Accumulation: the step of a large batch, from the gradients of several small ones."""

from __future__ import annotations

from dataclasses import dataclass, field

from clearprop import ops
from clearprop.ops import Tensor
from clearprop.optim.adam import Adam
from clearprop.optim.optimizer import Optimizer, Slots, Tensors, whole_part, zeros_like
from clearprop.optim.wrapper import Wrapper
from clearprop.settings import whole


@dataclass(frozen=True)
class Accumulation(Wrapper):
    """The inner optimiser steps once every so many batches, on the mean of their gradients.

    In between nothing but the sum of gradients changes. To the inner optimiser only its own steps count; the
    schedule goes on with every batch. Batches after the last full group have no effect.
    """

    optimizer: Optimizer = field(default_factory=Adam)
    every: int = whole(4, 1)

    def init(self, parameter: Tensor) -> Slots:
        """The sum of gradients, zero."""
        return {"gathered": zeros_like(parameter)}

    def apply(self, parameters: Tensors, gradients: Tensors, slots: Tensors, hyper: Tensors) -> tuple[Slots, Slots]:
        """Write the inner optimiser on the mean gradient, and choose between its results and what was before."""
        inner_t = whole_part((hyper["t"] + (self.every - 1.0)) / float(self.every))
        due = hyper["t"] == inner_t * float(self.every)
        gathered = {name: slots[f"{name}.gathered"] + gradient for name, gradient in gradients.items()}
        mean = {name: total * (1.0 / self.every) for name, total in gathered.items()}
        new, after = self.optimizer.apply(parameters, mean, slots, {**hyper, "t": inner_t})
        new = {name: ops.where(due, tensor, parameters[name]) for name, tensor in new.items()}
        after = {name: ops.where(due, tensor, slots[name]) for name, tensor in after.items()}
        after |= {f"{name}.gathered": ops.where(due, 0.0, total) for name, total in gathered.items()}
        return new, after
