"""The common metrics in NumPy, with scikit-learn's values: importing scikit-learn takes longer than many a fit.

A function returns None where scikit-learn has more to say: no samples, several labels a sample, a warning or an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def from_labels(function: str, options: dict[str, Any], target: Array, predicted: Array) -> float | None:
    """Compute a metric of class indices (n,) by the name and options of scikit-learn's function."""
    compute = _OF_LABELS.get((function, options.get("average")))
    if compute is None or target.ndim != 1 or target.shape != predicted.shape or not len(target):
        return None
    return compute(_confusion(target, predicted))


def from_values(function: str, target: Array, predicted: Array) -> float | None:
    """Compute a metric of values (n, outputs) by the name of scikit-learn's function: the mean over the outputs."""
    compute = _OF_VALUES.get(function)
    whole = np.isfinite(target).all() and np.isfinite(predicted).all()
    if compute is None or len(target) < 2 or target.shape != predicted.shape or not whole:
        return None
    return float(np.mean(compute(target.astype(np.float64), predicted.astype(np.float64))))


def _confusion(target: Array, predicted: Array) -> Array:
    """Return how many samples of each class (row) were predicted as each (column), for the classes that occur."""
    classes, places = np.unique(np.concatenate([target, predicted]), return_inverse=True)
    pairs = places[: len(target)] * len(classes) + places[len(target) :]
    return np.bincount(pairs, minlength=len(classes) ** 2).reshape(len(classes), -1).astype(np.float64)


def _ratio(right: Array, of: Array) -> Array:
    return np.divide(right, of, out=np.zeros_like(right), where=of != 0)


def _accuracy(counts: Array) -> float:
    return float(counts.trace() / counts.sum())


def _balanced_accuracy(counts: Array) -> float | None:
    actual = counts.sum(axis=1)
    return float(np.mean(counts.diagonal() / actual)) if actual.all() else None


def _precision(counts: Array) -> float:
    return float(np.mean(_ratio(counts.diagonal(), counts.sum(axis=0))))


def _recall(counts: Array) -> float:
    return float(np.mean(_ratio(counts.diagonal(), counts.sum(axis=1))))


def _f1(counts: Array) -> Array:
    return _ratio(2.0 * counts.diagonal(), counts.sum(axis=0) + counts.sum(axis=1))


def _f1_weighted(counts: Array) -> float:
    return float(np.average(_f1(counts), weights=counts.sum(axis=1)))


def _matthews(counts: Array) -> float:
    """The correlation of classes: Gorodkin (2004)."""
    actual, called, n = counts.sum(axis=1), counts.sum(axis=0), counts.sum()
    together = counts.trace() * n - actual @ called
    apart = (n**2 - called @ called) * (n**2 - actual @ actual)
    return float(together / np.sqrt(apart)) if apart else 0.0


def _explained(residual: Array, total: Array) -> Array:
    """1 - residual / total; of a constant target 1 if it is met, else 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(total > 0, 1 - residual / total, np.where(residual > 0, 0.0, 1.0))


_OF_LABELS: dict[tuple[str, str | None], Callable[[Array], float | None]] = {
    ("accuracy_score", None): _accuracy,
    ("balanced_accuracy_score", None): _balanced_accuracy,
    ("precision_score", "macro"): _precision,
    ("recall_score", "macro"): _recall,
    ("f1_score", "macro"): lambda counts: float(np.mean(_f1(counts))),
    ("f1_score", "weighted"): _f1_weighted,
    ("matthews_corrcoef", None): _matthews,
}

_OF_VALUES: dict[str, Callable[[Array, Array], Array]] = {
    "r2_score": lambda y, p: _explained(((y - p) ** 2).sum(axis=0), ((y - y.mean(axis=0)) ** 2).sum(axis=0)),
    "explained_variance_score": lambda y, p: _explained((y - p).var(axis=0), y.var(axis=0)),
    "mean_squared_error": lambda y, p: ((y - p) ** 2).mean(axis=0),
    "root_mean_squared_error": lambda y, p: np.sqrt(((y - p) ** 2).mean(axis=0)),
    "mean_absolute_error": lambda y, p: np.abs(y - p).mean(axis=0),
    "median_absolute_error": lambda y, p: np.median(np.abs(y - p), axis=0),
}
