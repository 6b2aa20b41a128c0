"""The learning-rate range test."""

from __future__ import annotations

import copy
import importlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from clearprop.errors import SettingsError
from clearprop.model.fitting import make_training, prepare
from clearprop.optim import FunctionOfStep, Optimizer
from clearprop.settings import check_value, whole_number
from clearprop.train import FitSettings, Training

if TYPE_CHECKING:
    from clearprop.model.model import Model

Array = np.ndarray[Any, Any]
_SMOOTHING = 0.9
_BLOWN_UP = 4.0
"""The test ends when the smoothed loss is so many times the smallest one."""


@dataclass(frozen=True)
class RateTest:
    """What a learning-rate range test found.

    Attributes:
        rates: the learning rate of each step, growing by the same factor.
        losses: the cost of each step's batch.
        smoothed: its exponential average, without the bias of its start.
        suggestion: a tenth of the rate at which the smoothed loss is smallest.
    """

    rates: Array
    losses: Array
    smoothed: Array
    suggestion: float

    def __repr__(self) -> str:
        low, high = self.rates[0], self.rates[-1]
        return f"RateTest({len(self.rates)} rates from {low:.3g} to {high:.3g}, suggestion={self.suggestion:.3g})"

    def text(self, width: int = 64, height: int = 12) -> str:
        """Return the plot of the smoothed loss over the logarithm of the rate, for a terminal; ^ is the suggestion."""
        column = np.linspace(0, width - 1, len(self.rates)).round().astype(int)
        shown = np.minimum(self.smoothed, self.smoothed[0] + (self.smoothed[0] - self.smoothed.min()))
        span = max(float(shown.max() - shown.min()), 1e-300)
        row = ((shown.max() - shown) / span * (height - 1)).round().astype(int)
        grid = np.full((height, width), " ")
        grid[row, column] = "*"
        place = int(column[int(np.argmin(np.abs(np.log(self.rates / self.suggestion))))])
        lines = [f"{shown.max():10.4g} |{''.join(grid[0])}", *(f"{'':10} |{''.join(line)}" for line in grid[1:-1])]
        lines += [f"{shown.min():10.4g} |{''.join(grid[-1])}", f"{'':10} +{'-' * place}^{'-' * (width - place - 1)}"]
        ends = f"{self.rates[0]:<10.3g}{'rate':^{width - 20}}{self.rates[-1]:>10.3g}"
        return "\n".join(line.rstrip() for line in [*lines, f"{'':12}{ends}", f"{'':12}^ {self.suggestion:.3g}"])

    def plot(self, axes: Any = None) -> Any:
        """Draw losses over rates with matplotlib, which `pip install clearprop[plots]` brings, and return the axes.

        Raises:
            SettingsError: matplotlib is not installed.
        """
        if axes is None:
            try:
                axes = importlib.import_module("matplotlib.pyplot").subplots()[1]
            except ImportError as error:
                raise SettingsError(
                    "plot needs matplotlib, which is not installed: pip install clearprop[plots], or print(test.text())"
                ) from error
        axes.plot(self.rates, self.losses, alpha=0.3, label="loss")
        axes.plot(self.rates, self.smoothed, label="smoothed")
        axes.axvline(self.suggestion, linestyle=":", label=f"suggestion {self.suggestion:.3g}")
        axes.set_xscale("log")
        axes.set_xlabel("learning rate")
        axes.set_ylabel("loss")
        axes.legend()
        return axes


def rate_test(
    model: Model, features: Any, target: Any, low: float, high: float, steps: int, batch_size: int
) -> RateTest:
    """Run a learning-rate range test: steps on batches, with rates that grow by the same factor from `low` to `high`.

    It runs on a copy: the model's weights, optimiser, schedule and random numbers stay exactly as they were.
    """
    optimizer = model.optimizer
    if not isinstance(optimizer, Optimizer) or optimizer.learning_rate <= 0:
        raise SettingsError("a range test needs an optimiser of steps with a learning rate above 0")
    if not 0 < low < high < math.inf:
        raise SettingsError(f"the rates run from low to high, 0 < low < high, received {low!r} and {high!r}")
    check_value("find_learning_rate", "steps", whole_number(2), steps)
    trial = copy.copy(model)
    trial.parameters, trial._executables = dict(model.parameters), {}
    rates = np.geomspace(low, high, steps)
    trial.schedule = FunctionOfStep(lambda step: float(rates[step]) / optimizer.learning_rate)
    train, _ = prepare(trial, features, target, 0.0, None, None, None)
    settings = FitSettings(epochs=steps, steps=steps, batch_size=batch_size, seed=model.seed)
    training = make_training(trial, train, None, settings, None, resume=False)
    assert isinstance(training, Training)  # make_training gives one for an optimiser of steps
    return _result(rates, _losses(training))


def _losses(training: Training) -> list[float]:
    """Run step after step until the loss has blown up; return the cost of each batch."""
    losses: list[float] = []
    state, size = training.state, training.settings.batch_size
    total, lowest = 0.0, math.inf
    while state.step < training.total_steps:
        done = state.step % training.steps_per_epoch * size
        stretch = training.stepper.run(state.step, 1, training.varying(1), 0.0)
        if stretch.diverged:
            break
        losses.append(stretch.losses[-1] / min(size, len(training.train) - done))
        state.step += 1
        total = _SMOOTHING * total + (1 - _SMOOTHING) * losses[-1]
        smooth = total / (1 - _SMOOTHING ** len(losses))
        lowest = min(lowest, smooth)
        if smooth > _BLOWN_UP * lowest:
            break
    return losses


def _smoothed(losses: Array) -> Array:
    """The exponential average, over what its weights add up to."""
    total, result = 0.0, []
    for count, loss in enumerate(losses, 1):
        total = _SMOOTHING * total + (1 - _SMOOTHING) * float(loss)
        result.append(total / (1 - _SMOOTHING**count))
    return np.array(result)


def _result(rates: Array, losses: list[float]) -> RateTest:
    if len(losses) < 2:
        raise SettingsError(f"the loss is not finite at the rate {rates[0]:g}: begin lower, or scale the data")
    seen, smooth = rates[: len(losses)], _smoothed(np.array(losses))
    return RateTest(seen, np.array(losses), smooth, float(seen[int(np.argmin(smooth))]) / 10)
