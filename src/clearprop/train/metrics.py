"""Metrics by scikit-learn's names, with its values."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from clearprop.description import instead
from clearprop.errors import SettingsError
from clearprop.train.scores import from_labels, from_values

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Metric:
    """One metric: the function of `sklearn.metrics`, and what it takes."""

    function: str
    takes: str  # "labels", "probabilities" or "values"
    options: Mapping[str, Any] = field(default_factory=dict)
    weighted: bool = True  # whether samples may have weights


METRICS: dict[str, Metric] = {
    "accuracy": Metric("accuracy_score", "labels"),
    "balanced_accuracy": Metric("balanced_accuracy_score", "labels"),
    "f1_macro": Metric("f1_score", "labels", options={"average": "macro", "zero_division": 0.0}),
    "f1_weighted": Metric("f1_score", "labels", options={"average": "weighted", "zero_division": 0.0}),
    "precision_macro": Metric("precision_score", "labels", options={"average": "macro", "zero_division": 0.0}),
    "recall_macro": Metric("recall_score", "labels", options={"average": "macro", "zero_division": 0.0}),
    "matthews_corrcoef": Metric("matthews_corrcoef", "labels"),
    "log_loss": Metric("log_loss", "probabilities"),
    "roc_auc": Metric("roc_auc_score", "probabilities", options={"multi_class": "ovr"}),
    "r2": Metric("r2_score", "values"),
    "explained_variance": Metric("explained_variance_score", "values"),
    "mean_squared_error": Metric("mean_squared_error", "values"),
    "root_mean_squared_error": Metric("root_mean_squared_error", "values"),
    "mean_absolute_error": Metric("mean_absolute_error", "values"),
    "median_absolute_error": Metric("median_absolute_error", "values"),
    "max_error": Metric("max_error", "values", weighted=False),
}
"""The metrics by name."""


def check_metrics(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names as a tuple; `SettingsError` for an unknown one."""
    for name in names:
        if name not in METRICS:
            raise SettingsError(f"there is no metric {name!r}{instead(name, METRICS, 'choose among')}")
    return tuple(names)


def compute(
    names: Sequence[str], target: Array, prediction: Array, weight: Array | None = None, answers: bool = False
) -> dict[str, float]:
    """Compute metrics of predictions.

    Args:
        names: names of `METRICS`.
        target: class indices (n,), 0/1 indicators, or values.
        prediction: probabilities (n, classes), the probability of class 1 (n, 1), those of several yes-or-no
            questions (n, questions), or values.
        weight: a weight for each sample, scikit-learn's `sample_weight`, or None. The largest error has none.
        answers: whether 0/1 indicators (n, k) answer k questions each; else they do unless each row adds up to 1, as
            those of classes that exclude each other.

    Raises:
        SettingsError: a metric does not fit the target, as scikit-learn says.
    """
    results = {}
    for name in check_metrics(names):
        metric = METRICS[name]
        try:
            arguments, options = _arguments(metric, target, prediction, answers)
            results[name] = _score(metric, arguments, options, weight if metric.weighted else None)
        except ValueError as error:
            raise SettingsError(f"the metric {name} does not fit these targets: {error}") from error
    return results


def _score(metric: Metric, arguments: tuple[Array, Array], options: dict[str, Any], weight: Array | None) -> float:
    value = None
    if weight is not None:
        options = options | {"sample_weight": weight.astype(np.float64)}
    elif metric.takes == "labels":
        value = from_labels(metric.function, options, *arguments)
    elif metric.takes == "values":
        value = from_values(metric.function, *arguments)
    if value is None:
        functions = importlib.import_module("sklearn.metrics")  # two seconds, for those who need it
        value = float(getattr(functions, metric.function)(*arguments, **options))
    return value


def _exclude_each_other(target: Array) -> bool:
    """Tell whether targets are probabilities of classes that exclude each other."""
    return bool(np.allclose(target.sum(axis=-1), 1.0, atol=1e-3))


def _arguments(
    metric: Metric, target: Array, prediction: Array, answers: bool
) -> tuple[tuple[Array, Array], dict[str, Any]]:
    options = dict(metric.options)
    if metric.takes == "values":
        return (target.reshape(len(target), -1), prediction.reshape(len(prediction), -1)), options
    single = prediction.ndim == 1 or prediction.shape[-1] == 1
    indicators = target.dtype.kind == "f" and target.ndim == 2 and not single
    if indicators and (answers or not _exclude_each_other(target)):
        several = (target > 0.5).astype(np.int64)  # several yes-or-no questions a sample
        if metric.takes == "labels":
            return (several, (prediction > 0.5).astype(np.int64)), options
        return (several, prediction.astype(np.float64)), {}
    if target.dtype.kind == "f" and target.ndim == 2 and target.shape[-1] > 1:
        target = target.argmax(axis=-1)
    labels = target.reshape(len(target)).astype(np.int64)
    if (labels != target.reshape(len(target))).any():
        raise ValueError("it compares classes, and the targets are not whole numbers")
    target = labels
    if metric.takes == "labels":
        flat = prediction.reshape(-1) > 0.5 if single else prediction.argmax(axis=-1)
        return (target, flat.astype(np.int64)), options
    # scikit-learn checks that probabilities add up to one in the precision of their dtype
    probabilities = prediction.astype(np.float64)
    if single:
        return (target, probabilities.reshape(-1)), {k: v for k, v in options.items() if k != "multi_class"}
    probabilities /= probabilities.sum(axis=-1, keepdims=True)
    if probabilities.shape[1] == 2 and metric.function == "roc_auc_score":
        return (target, probabilities[:, 1]), {}
    return (target, probabilities), options | {"labels": np.arange(probabilities.shape[1])}
