"""Reduce on plateau, and what counts as an improvement there and in early stopping."""

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
        mode: "min" when smaller is better, "max" when larger is, "auto" by the metric's name: losses and errors fall,
            scores such as accuracy rise.
    """

    metric: str = "val_loss"
    factor: float = real(0.1, "[0, 1]")
    patience: int = whole(10, 0)
    min_delta: float = real(0.0, "[0, inf)")
    cooldown: int = whole(0, 0)
    lowest: float = real(0.0, "[0, 1]")
    mode: str = choice("auto", "min", "max")

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
        if improves(value, best, self._greater, self.min_delta):
            best, waited = value, 0
        else:
            waited += 1
        if cooldown:
            cooldown, waited = cooldown - 1, 0
        if waited > self.patience:
            factor, waited, cooldown = max(factor * self.factor, self.lowest), 0, self.cooldown
        return (factor, best, waited, cooldown)

    @property
    def _greater(self) -> bool:
        return greater_is_better(self.metric) if self.mode == "auto" else self.mode == "max"


def greater_is_better(metric: str) -> bool:
    """Tell which way a recorded quantity is better, by scikit-learn's rule for names: losses and errors are to fall."""
    return not metric.endswith(("loss", "error"))


def improves(value: float, best: float | None, greater: bool, min_delta: float) -> bool:
    """Tell whether a value is better than the best one by more than `min_delta`; NaN never is."""
    if best is None:
        return value == value
    return (value - best if greater else best - value) > min_delta
