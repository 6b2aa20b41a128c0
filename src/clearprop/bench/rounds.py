"""Timing: sides take turns, so that a busy moment of the machine meets them all; medians over the rounds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Hashable, Mapping
from typing import TypeVar

from clearprop.bench.sides import Train

Key = TypeVar("Key", bound=Hashable)

_REST = 0.02
"""Seconds between two sides: threads of the one before that still wait for work by spinning go to sleep."""
_MOST_STEPS = 1_000_000


def seconds_a_step(sides: Mapping[Key, Train], seconds: float, rounds: int) -> dict[Key, float]:
    """Return the median time of a step of each side: in each round each side trains for about `seconds`.

    The first call of each, which may compile, is not counted.
    """
    for train in sides.values():
        train(1)
    steps = {name: _steps_in(train, seconds) for name, train in sides.items()}
    found: dict[Key, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, train in sides.items():
            time.sleep(_REST)
            found[name].append(train(steps[name]))
    return {name: statistics.median(values) for name, values in found.items()}


def _steps_in(train: Train, seconds: float) -> int:
    """Return how many steps take about so long."""
    steps = 1
    while steps < _MOST_STEPS:
        step = train(steps)
        if step * steps >= seconds / 4:
            return max(1, round(seconds / step))
        steps *= 4
    return _MOST_STEPS
