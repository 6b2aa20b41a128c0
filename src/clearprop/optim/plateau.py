"""Reduce on plateau."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from clearprop.optim.schedule import Memory, Position, Schedule
from clearprop.settings import choice, real, whole


@dataclass(frozen=True)
class ReduceOnPlateau(Schedule):
    """Multiplies by `factor` when a recorded quantity has not improved for more than `patience` epochs.

    Attributes:
        metric: "val_loss", "loss", or a recorded metric's name with or without "val_".
        factor: what the rate is multiplied by each time.
        patience: how many epochs without an improvement are borne.
        min_delta: by how much a value must be better to count (an absolute difference, as in Keras).
        cooldown: epochs after a reduction that do not count.
        lowest: the factor goes no lower.
        mode: "min" when smaller is better, "max" when larger is.
    """

    metric: str = "val_loss"
    factor: float = real(0.1, "[0, 1]")
    patience: int = whole(10, 0)
    min_delta: float = real(0.0, "[0, inf)")
    cooldown: int = whole(0, 0)
    lowest: float = real(0.0, "[0, 1]")
    mode: str = choice("min", "max")

    def __call__(self, position: Position) -> float:
        """Return the factor so far."""
        return float(position.memory[0]) if position.memory else 1.0

    @property
    def watched(self) -> tuple[str, ...]:
        """The quantity it watches."""
        return (self.metric,)

    def first(self) -> Memory:
        """The factor, the best value, the epochs waited, the epochs of cooldown left."""
        return (1.0, None, 0, 0)

    def observe(self, memory: Memory, record: Mapping[str, float]) -> Memory:
        """Take in one epoch; a NaN is no improvement."""
        factor, best, waited, cooldown = memory
        value = record[self.metric]
        if self._improves(value, best):
            best, waited = value, 0
        else:
            waited += 1
        if cooldown:
            cooldown, waited = cooldown - 1, 0
        if waited > self.patience:
            factor, waited, cooldown = max(factor * self.factor, self.lowest), 0, self.cooldown
        return (factor, best, waited, cooldown)

    def _improves(self, value: float, best: float | None) -> bool:
        if best is None:
            return value == value
        return (best - value if self.mode == "min" else value - best) > self.min_delta
