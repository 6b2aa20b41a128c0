"""Every penalty and constraint beside its meaning in NumPy, and its derivative."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from clearprop import nn

Array = np.ndarray[Any, Any]

PENALTIES: dict[nn.Penalty, tuple[Callable[[Array], float], Callable[[Array], Array]]] = {
    nn.L1(0.0): (lambda w: 0.0, lambda w: 0 * w),
    nn.L1(2.5): (lambda w: 2.5 * np.abs(w).sum(), lambda w: 2.5 * np.sign(w)),
    nn.L2(1e-4): (lambda w: 1e-4 / 2 * (w**2).sum(), lambda w: 1e-4 * w),
    nn.L2(2.5): (lambda w: 2.5 / 2 * (w**2).sum(), lambda w: 2.5 * w),
    nn.ElasticNet(2.0, 0.25): (
        lambda w: 2.0 * (0.25 * np.abs(w).sum() + 0.375 * (w**2).sum()),
        lambda w: 2.0 * (0.25 * np.sign(w) + 0.75 * w),
    ),
    nn.ElasticNet(2.0, 1.0): (lambda w: 2.0 * np.abs(w).sum(), lambda w: 2.0 * np.sign(w)),
}


def norms(w: Array) -> Array:
    return np.linalg.norm(w, axis=0, keepdims=True)


CONSTRAINTS: dict[nn.Constraint, Callable[[Array], Array]] = {
    nn.MaxNorm(): lambda w: w * np.clip(norms(w), None, 3.0) / norms(w),
    nn.MaxNorm(0.5): lambda w: w * np.clip(norms(w), None, 0.5) / norms(w),
    nn.UnitNorm(): lambda w: w / norms(w),
    nn.NonNegative(): lambda w: np.where(w > 0, w, 0.0),
}
