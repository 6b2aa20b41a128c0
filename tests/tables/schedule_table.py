"""Schedules and their closed forms, as functions of the step; an epoch has 10 steps, and the fit 80."""

from __future__ import annotations

import math
from collections.abc import Callable

from clearprop.optim import (
    Constant,
    Cosine,
    CosineRestarts,
    Cyclic,
    ExponentialDecay,
    FunctionOfStep,
    InverseSquareRoot,
    InverseTimeDecay,
    LinearDecay,
    MultiStep,
    OneCycle,
    Phases,
    PolynomialDecay,
    Schedule,
    Step,
    Warmup,
)


def half_after_ten(step: int) -> float:
    return 1.0 if step < 10 else 0.5


FORMULAS: list[tuple[Schedule, Callable[[int], float]]] = [
    (ExponentialDecay(0.8), lambda s: 0.8 ** (s / 10)),
    (ExponentialDecay(0.8, staircase=True), lambda s: 0.8 ** (s // 10)),
    (InverseTimeDecay(0.5), lambda s: 1 / (1 + 0.05 * s)),
    (InverseTimeDecay(0.5, staircase=True), lambda s: 1 / (1 + 0.5 * (s // 10))),
    (InverseSquareRoot(20), lambda s: min(1.0, (20 / s) ** 0.5) if s else 1.0),
    (PolynomialDecay(3.0, 0.2), lambda s: 0.2 + 0.8 * max(1 - s / 80, 0) ** 3),
    (LinearDecay(0.2), lambda s: max(1 - 0.8 * s / 80, 0.2)),
    (MultiStep([2, 5], 0.5), lambda s: 0.5 ** ((s >= 20) + (s >= 50))),
    (CosineRestarts(1.5, final=0.5), lambda s: 0.5 + 0.5 * math.cos(math.pi * (s % 15) / 30) ** 2),
    (Cyclic(2.0, 0.5, "exponential", 0.9), lambda s: 0.5 + 0.5 * (1 - abs(s % 40 - 20) / 20) * 0.9 ** (s / 10)),
    (OneCycle(0.5, 0.2, 0.0, "linear"), lambda s: 0.2 + 0.8 * s / 39 if s <= 39 else max(1 - (s - 39) / 40, 0)),
    (Warmup(Constant(), 0.5, 0.2), lambda s: 0.2 + 0.8 * min(s / 5, 1)),
    (Warmup(LinearDecay(), 1.0, 0.0), lambda s: s / 10 if s < 10 else max(1 - (s - 10) / 70, 0)),
    (Phases([(LinearDecay(0.5), 2), (Step(0.1, 3), 4), (Cosine(), None)]), lambda s: (
        1 - 0.5 * s / 20 if s < 20 else 0.1 ** ((s - 20) // 30) if s < 60
        else math.cos(math.pi * min((s - 60) / 20, 1) / 2) ** 2)),
    (FunctionOfStep(half_after_ten), half_after_ten),
]  # fmt: skip
