"""The schedule contract: what the learning rate is multiplied by as training goes on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from clearprop.settings import check_settings

Array = np.ndarray[Any, np.dtype[np.float64]]
Memory = Any
"""What a schedule remembers of the epochs so far: numbers, and tuples of them."""


class Position(NamedTuple):
    """Where training stands.

    Attributes:
        step: the step from 0.
        steps_per_epoch: the steps of an epoch.
        total_steps: the steps of the whole fit, unless it ends early.
        memory: what the schedule's `observe` made of the epochs so far.
    """

    step: int
    steps_per_epoch: int
    total_steps: int
    memory: Memory = ()

    @property
    def epoch(self) -> int:
        """The epoch from 0."""
        return self.step // max(self.steps_per_epoch, 1)

    @property
    def epochs(self) -> float:
        """The epochs done, with the part of the one at hand."""
        return self.step / max(self.steps_per_epoch, 1)

    @property
    def done(self) -> float:
        """The part of the whole fit that is done, from 0 to 1."""
        return min(self.step / max(self.total_steps, 1), 1.0)

    def steps(self, epochs: float) -> int:
        """Return the steps of so many epochs."""
        return round(epochs * max(self.steps_per_epoch, 1))

    def part(self, start: int, end: int, memory: Memory) -> Position:
        """Return this position within the steps from `start` to `end`."""
        return self._replace(step=self.step - start, total_steps=end - start, memory=memory)


class Schedule(ABC):
    """A factor on the optimiser's learning rate, and on that of each of its groups.

    A pure function of the position. One that depends on what the epochs gave (the validation loss) folds their records
    into a memory with `first` and `observe`; as that is a pure function of the history, a resumed fit has the same.
    """

    def __post_init__(self) -> None:
        check_settings(self)

    @abstractmethod
    def __call__(self, position: Position) -> float:
        """Return the factor at a position."""

    def factors(self, first: Position, count: int) -> Array:
        """Return the factors at a position and the steps after it, float64 of shape (count,)."""
        return np.array([self(position) for position in _from(first, count)], np.float64)

    @property
    def moves_others(self) -> bool:
        """Tell whether it changes other hyper-parameters than learning rates."""
        return False

    def others(self, position: Position) -> dict[str, float]:
        """Return values of other hyper-parameters, such as `momentum`; none by default."""
        return {}

    @property
    def watched(self) -> tuple[str, ...]:
        """The quantities of an epoch's record that it needs."""
        return ()

    def first(self) -> Memory:
        """Return the memory before the first epoch."""
        return ()

    def observe(self, memory: Memory, record: Mapping[str, float]) -> Memory:
        """Return the memory after one more epoch, from its record."""
        return memory

    def values(self, first: Position, count: int, settings: Mapping[str, float]) -> dict[str, Array]:
        """Return those of an optimiser's hyper-parameters that change, at a position and the steps after it.

        Every `learning_rate`, that of a group too, is multiplied by the factor; the `others` are replaced.
        """
        factors = self.factors(first, count)
        named = [(name, name.rpartition(".")[2], value) for name, value in settings.items()]
        values = {name: value * factors for name, last, value in named if last == "learning_rate"}
        if self.moves_others:
            others = [self.others(position) for position in _from(first, count)]
            for name, last, value in named:
                if any(last in now for now in others):
                    values[name] = np.array([now.get(last, value) for now in others], np.float64)
        return values


def _from(first: Position, count: int) -> list[Position]:
    return [first._replace(step=step) for step in range(first.step, first.step + count)]
