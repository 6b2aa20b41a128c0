"""Schedules: what the learning rate is multiplied by as training goes on."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from clearprop.description import choose
from clearprop.errors import SettingsError

Array = np.ndarray[Any, np.dtype[np.float64]]


class Position(NamedTuple):
    """Where training stands: the step from 0, the steps of an epoch, and the steps of the whole fit."""

    step: int
    steps_per_epoch: int
    total_steps: int

    @property
    def epoch(self) -> int:
        """The epoch from 0."""
        return self.step // max(self.steps_per_epoch, 1)


class Schedule(ABC):
    """A factor on the optimiser's learning rate."""

    @abstractmethod
    def __call__(self, position: Position) -> float:
        """Return the factor at a position."""

    def factors(self, first: Position, count: int) -> Array:
        """Return the factors at a position and the steps after it, float64 of shape (count,)."""
        return np.array([self(first._replace(step=step)) for step in range(first.step, first.step + count)])


@dataclass(frozen=True)
class Constant(Schedule):
    """1 throughout."""

    def __call__(self, position: Position) -> float:
        """Return 1."""
        return 1.0

    def factors(self, first: Position, count: int) -> Array:
        """Return ones."""
        return np.ones(count)


@dataclass(frozen=True)
class Step(Schedule):
    """factor^floor(epoch / every): drops once every so many epochs."""

    factor: float = 0.1
    every: int = 10

    def __post_init__(self) -> None:
        if not isinstance(self.every, int) or self.every < 1 or not 0 < self.factor < math.inf:
            raise SettingsError(f"a step schedule needs a whole every >= 1 and a factor > 0, received {self!r}")

    def __call__(self, position: Position) -> float:
        """Return the factor to the power of the number of drops so far."""
        return float(self.factor ** (position.epoch // self.every))

    def factors(self, first: Position, count: int) -> Array:
        """Return the factors at a position and the steps after it."""
        steps = np.arange(first.step, first.step + count)
        drops = steps // max(first.steps_per_epoch, 1) // self.every
        distinct, which = np.unique(drops, return_inverse=True)
        return np.array([float(self.factor**drop) for drop in distinct.tolist()])[which]


@dataclass(frozen=True)
class Cosine(Schedule):
    """final + (1 - final) (1 + cos(pi step / total)) / 2 (Loshchilov and Hutter, 2017, without restarts)."""

    final: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.final <= 1:
            raise SettingsError(f"a cosine schedule ends between 0 and 1, received {self.final!r}")

    def __call__(self, position: Position) -> float:
        """Return the factor; after the last step it stays at `final`."""
        return float(self.factors(position, 1)[0])

    def factors(self, first: Position, count: int) -> Array:
        """Return the factors at a position and the steps after it."""
        steps = np.arange(first.step, first.step + count)
        done = np.minimum(steps / max(first.total_steps, 1), 1.0)
        return self.final + (1.0 - self.final) * 0.5 * (1.0 + np.cos(np.pi * done))


SCHEDULES: dict[str, type[Schedule]] = {"constant": Constant, "step": Step, "cosine": Cosine}
"""The schedules by name."""


def schedule(choice: str | Schedule) -> Schedule:
    """Return the schedule of a name, or one as it is."""
    return choose(choice, Schedule, SCHEDULES, "schedule")
