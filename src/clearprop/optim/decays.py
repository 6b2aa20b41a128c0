"""Schedules that fall: constant, in steps, and smooth decays."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from clearprop.errors import SettingsError
from clearprop.optim.schedule import Array, Position, Schedule
from clearprop.settings import flag, real, whole


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

    factor: float = real(0.1, "(0, inf)")
    every: int = whole(10, 1)

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
class MultiStep(Schedule):
    """factor^(number of `epochs` that are over): drops when each of the given epochs begins, counted from 0."""

    epochs: tuple[int, ...] = (30, 60, 90)
    factor: float = real(0.1, "(0, inf)")

    def __post_init__(self) -> None:
        epochs = tuple(self.epochs)
        object.__setattr__(self, "epochs", epochs)
        super().__post_init__()
        counts = all(isinstance(epoch, int) and not isinstance(epoch, bool) for epoch in epochs)
        if not epochs or not counts or any(a >= b for a, b in pairwise((0, *epochs))):
            raise SettingsError(f"epochs are whole numbers that grow, such as (30, 60), received {epochs!r}")

    def __call__(self, position: Position) -> float:
        """Return the factor to the power of the number of drops so far."""
        return float(self.factor ** sum(epoch <= position.epoch for epoch in self.epochs))


@dataclass(frozen=True)
class ExponentialDecay(Schedule):
    """factor^e, with e the epochs done: smooth from step to step, or whole epochs with `staircase` (PyTorch)."""

    factor: float = real(0.95, "(0, inf)")
    staircase: bool = flag(False)

    def __call__(self, position: Position) -> float:
        """Return the factor to the power of the epochs done."""
        return float(self.factor ** (position.epoch if self.staircase else position.epochs))


@dataclass(frozen=True)
class InverseTimeDecay(Schedule):
    """1 / (1 + rate e), with e the epochs done: smooth, or whole epochs with `staircase` (Robbins and Monro, 1951)."""

    rate: float = real(0.1, "[0, inf)")
    staircase: bool = flag(False)

    def __call__(self, position: Position) -> float:
        """Return the factor."""
        return 1.0 / (1.0 + self.rate * (position.epoch if self.staircase else position.epochs))


@dataclass(frozen=True)
class InverseSquareRoot(Schedule):
    """sqrt(steps / max(step, steps)): 1 for so many steps, then falling as 1 / sqrt(step).

    After a warm-up of as many steps it is the schedule of Vaswani et al. (2017).
    """

    steps: int = whole(1000, 1)

    def __call__(self, position: Position) -> float:
        """Return the factor."""
        return math.sqrt(self.steps / max(position.step, self.steps))


@dataclass(frozen=True)
class PolynomialDecay(Schedule):
    """final + (1 - final) (1 - step / total)^power, over the whole fit."""

    power: float = real(1.0, "(0, inf)")
    final: float = real(0.0, "[0, 1]")

    def __call__(self, position: Position) -> float:
        """Return the factor; after the last step it stays at `final`."""
        return float(self.final + (1.0 - self.final) * (1.0 - position.done) ** self.power)


@dataclass(frozen=True)
class LinearDecay(Schedule):
    """1 - (1 - final) step / total: a straight line over the whole fit."""

    final: float = real(0.0, "[0, 1]")

    def __call__(self, position: Position) -> float:
        """Return the factor; after the last step it stays at `final`."""
        return 1.0 - (1.0 - self.final) * position.done


@dataclass(frozen=True)
class Cosine(Schedule):
    """final + (1 - final) (1 + cos(pi step / total)) / 2 (Loshchilov and Hutter, 2017, without restarts)."""

    final: float = real(0.0, "[0, 1]")

    def __call__(self, position: Position) -> float:
        """Return the factor; after the last step it stays at `final`."""
        return float(self.factors(position, 1)[0])

    def factors(self, first: Position, count: int) -> Array:
        """Return the factors at a position and the steps after it."""
        steps = np.arange(first.step, first.step + count)
        done = np.minimum(steps / max(first.total_steps, 1), 1.0)
        return self.final + (1.0 - self.final) * 0.5 * (1.0 + np.cos(np.pi * done))


def cosine(done: float, start: float, end: float) -> float:
    """Half a wave of the cosine from `start` (done is 0) to `end` (done is 1)."""
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * done))
