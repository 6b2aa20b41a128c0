"""Lookahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from clearprop import ops
from clearprop.ops import Tensor
from clearprop.optim.adam import Adam
from clearprop.optim.optimizer import Optimizer, Slots, Tensors, scaled, whole_part
from clearprop.optim.wrapper import Wrapper
from clearprop.settings import real, whole


@dataclass(frozen=True)
class Lookahead(Wrapper):
    """k steps forward, one step back (Zhang et al., 2019).

    The inner optimiser moves the fast weights w; after every `every` steps the slow ones follow,
    s <- s + pull (w - s), and w <- s. The inner optimiser's slots stay. Validation, early stopping and the fitted model
    use the slow weights.
    """

    optimizer: Optimizer = field(default_factory=Adam)
    every: int = whole(5, 1)
    pull: float = real(0.5, "[0, 1]")

    def init(self, parameter: Tensor) -> Slots:
        """The slow weights: those at the start."""
        return {"slow": parameter + 0.0}

    def apply(self, parameters: Tensors, gradients: Tensors, slots: Tensors, hyper: Tensors) -> tuple[Slots, Slots]:
        """Write the inner optimiser, and where it is time, the slow weights' step."""
        new, after = self.optimizer.apply(parameters, gradients, slots, hyper)
        due = hyper["t"] == whole_part(hyper["t"] / float(self.every)) * float(self.every)
        for name, fast in new.items():
            slow = slots[f"{name}.slow"]
            moved = slow + scaled(self.own(hyper)["pull"], fast - slow)
            after[f"{name}.slow"] = ops.where(due, moved, slow)
            new[name] = ops.where(due, moved, fast)
        return new, after

    def evaluated(self, names: Sequence[str]) -> dict[str, str]:
        """By the slow weights."""
        return {name: f"{name}.slow" for name in names}
