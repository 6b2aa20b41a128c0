"""Schedules that rise and fall: cosine with restarts, cyclic, one-cycle."""

from __future__ import annotations

from dataclasses import dataclass

from clearprop.optim.decays import cosine
from clearprop.optim.schedule import Position, Schedule
from clearprop.settings import choice, flag, real


@dataclass(frozen=True)
class CosineRestarts(Schedule):
    """A cosine from 1 to `final`, again and again (Loshchilov and Hutter, 2017, SGDR).

    The first cycle lasts `epochs`, each other one `growth` times as long as the one before.
    """

    epochs: float = real(10.0, "(0, inf)")
    growth: float = real(1.0, "[1, inf)")
    final: float = real(0.0, "[0, 1]")

    def __call__(self, position: Position) -> float:
        """Return the factor."""
        length, start = float(self.epochs), 0.0
        if self.growth == 1.0:
            start = position.epochs // length * length
        while position.epochs >= start + length:
            start, length = start + length, length * self.growth
        return cosine((position.epochs - start) / length, 1.0, self.final)


@dataclass(frozen=True)
class Cyclic(Schedule):
    """Up from `low` to 1 in `epochs` and down again in as many, over and over (Smith, 2017).

    `form` is "triangular", the same cycle each time; "halving", each cycle half as high (triangular2); or
    "exponential", the height multiplied by decay^(epochs done) (exp_range).
    """

    epochs: float = real(2.0, "(0, inf)")
    low: float = real(0.1, "[0, 1]")
    form: str = choice("triangular", "halving", "exponential")
    decay: float = real(0.95, "[0, 1]")

    def __call__(self, position: Position) -> float:
        """Return the factor."""
        cycle, within = divmod(position.epochs / self.epochs, 2.0)
        height = 1.0 - abs(within - 1.0)
        if self.form == "halving":
            height *= 0.5**cycle
        elif self.form == "exponential":
            height *= self.decay**position.epochs
        return self.low + (1.0 - self.low) * height


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up from `start` to 1 in the part `rise` of the fit, then down to `final`; the last step stands at it.

    Momentum goes the other way, from `momentum_high` to `momentum_low` and back, unless `cycle_momentum` is False: the
    optimiser's `momentum`, or `beta1`. Both follow a cosine, or a straight line with `form` "linear" (Smith, 2018; the
    convention is PyTorch's).
    """

    rise: float = real(0.3, "[0, 1]")
    start: float = real(0.04, "[0, 1]")
    final: float = real(4e-6, "[0, 1]")
    form: str = choice("cosine", "linear")
    cycle_momentum: bool = flag(True)
    momentum_low: float = real(0.85, "[0, 1]")
    momentum_high: float = real(0.95, "[0, 1]")

    def __call__(self, position: Position) -> float:
        """Return the factor."""
        return self._between(position, self.start, 1.0, self.final)

    @property
    def moves_others(self) -> bool:
        """Whether momentum goes the other way."""
        return self.cycle_momentum

    def others(self, position: Position) -> dict[str, float]:
        """Return the momentum, under the names that optimisers have for it."""
        if not self.cycle_momentum:
            return {}
        momentum = self._between(position, self.momentum_high, self.momentum_low, self.momentum_high)
        return {"momentum": momentum, "beta1": momentum}

    def _between(self, position: Position, start: float, top: float, end: float) -> float:
        peak, last = self.rise * position.total_steps - 1.0, position.total_steps - 1.0
        if position.step <= peak:
            done, first, second = position.step / peak if peak else 1.0, start, top
        else:
            done, first, second = min((position.step - max(peak, 0.0)) / max(last - peak, 1.0), 1.0), top, end
        return cosine(done, first, second) if self.form == "cosine" else first + (second - first) * done
