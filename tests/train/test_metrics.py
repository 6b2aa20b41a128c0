"""Metrics: scikit-learn's figures for our predictions, for every kind of target."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import scipy.special
import sklearn.metrics as sk

from clearprop.errors import SettingsError
from clearprop.train import METRICS, compute
from clearprop.train.scores import from_labels, from_values

RNG = np.random.default_rng(0)
CLASSES = RNG.integers(0, 3, 60)
PROBABILITIES = scipy.special.softmax(RNG.normal(size=(60, 3)) + 2 * np.eye(3)[CLASSES], axis=1)
BITS = RNG.integers(0, 2, 60)
CHANCES = scipy.special.expit(RNG.normal(size=60) + 2 * BITS - 1)
VALUES = RNG.normal(size=(60, 2))
GUESSES = VALUES + 0.3 * RNG.normal(size=(60, 2))
LABELS = PROBABILITIES.argmax(axis=1)
CALLS = (CHANCES > 0.5).astype(int)

MULTICLASS = {
    "accuracy": (LABELS == CLASSES).mean(),
    "balanced_accuracy": sk.balanced_accuracy_score(CLASSES, LABELS),
    "f1_macro": sk.f1_score(CLASSES, LABELS, average="macro"),
    "f1_weighted": sk.f1_score(CLASSES, LABELS, average="weighted"),
    "precision_macro": sk.precision_score(CLASSES, LABELS, average="macro"),
    "recall_macro": sk.recall_score(CLASSES, LABELS, average="macro"),
    "matthews_corrcoef": sk.matthews_corrcoef(CLASSES, LABELS),
    "log_loss": -np.log(PROBABILITIES[np.arange(60), CLASSES]).mean(),
    "roc_auc": sk.roc_auc_score(CLASSES, PROBABILITIES, multi_class="ovr"),
}
BINARY = {
    "accuracy": (CALLS == BITS).mean(),
    "balanced_accuracy": sk.balanced_accuracy_score(BITS, CALLS),
    "f1_macro": sk.f1_score(BITS, CALLS, average="macro"),
    "f1_weighted": sk.f1_score(BITS, CALLS, average="weighted"),
    "precision_macro": sk.precision_score(BITS, CALLS, average="macro"),
    "recall_macro": sk.recall_score(BITS, CALLS, average="macro"),
    "matthews_corrcoef": sk.matthews_corrcoef(BITS, CALLS),
    "log_loss": sk.log_loss(BITS, CHANCES),
    "roc_auc": sk.roc_auc_score(BITS, CHANCES),
}
REGRESSION = {
    "r2": sk.r2_score(VALUES, GUESSES),
    "explained_variance": sk.explained_variance_score(VALUES, GUESSES),
    "mean_squared_error": ((VALUES - GUESSES) ** 2).mean(),
    "root_mean_squared_error": sk.root_mean_squared_error(VALUES, GUESSES),
    "mean_absolute_error": np.abs(VALUES - GUESSES).mean(),
    "median_absolute_error": sk.median_absolute_error(VALUES, GUESSES),
}
SINGLE = {"max_error": np.abs(VALUES - GUESSES)[:, 0].max(), "r2": sk.r2_score(VALUES[:, 0], GUESSES[:, 0])}


def check(expected, target, prediction):
    assert compute(list(expected), target, prediction) == pytest.approx(expected, rel=1e-6)


def test_every_metric_is_compared():
    assert set(METRICS) == {*MULTICLASS, *BINARY, *REGRESSION, *SINGLE}


def test_classes():
    check(MULTICLASS, CLASSES, PROBABILITIES)
    check(MULTICLASS, CLASSES, PROBABILITIES.astype(np.float32))
    check(MULTICLASS, np.eye(3)[CLASSES], PROBABILITIES)


def test_one_binary_output():
    check(BINARY, BITS[:, None].astype(np.float32), CHANCES[:, None])
    check(BINARY, BITS, CHANCES)


def test_two_classes():
    check(BINARY, BITS, np.column_stack([1 - CHANCES, CHANCES]))


def test_several_binary_outputs():
    target, prediction = np.column_stack([BITS, 1 - BITS, BITS]), np.column_stack([CHANCES, 1 - CHANCES, 0.9 * CHANCES])
    called = (prediction > 0.5).astype(int)
    expected = {
        "accuracy": (called == target).all(axis=1).mean(),
        "f1_macro": sk.f1_score(target, called, average="macro"),
        "roc_auc": sk.roc_auc_score(target, prediction),
    }
    check(expected, target.astype(np.float32), prediction)


def test_one_hot_targets_of_values_are_classes_unless_they_are_answers():
    target, prediction = np.eye(3)[CLASSES], 2.0 * PROBABILITIES - 0.1
    check({"accuracy": (LABELS == CLASSES).mean()}, target, prediction)
    answers = compute(["accuracy"], target, prediction, answers=True)["accuracy"]
    assert answers == ((prediction > 0.5) == target).all(axis=1).mean()


def test_values():
    check(REGRESSION, VALUES, GUESSES)
    check(SINGLE, VALUES[:, :1], GUESSES[:, :1])
    check(SINGLE, VALUES[:, 0], GUESSES[:, 0])


def test_an_unknown_name():
    with pytest.raises(SettingsError, match=r"'acuracy'; did you mean 'accuracy'\? There are accuracy, "):
        compute(["acuracy"], VALUES, GUESSES)
    with pytest.raises(SettingsError, match=r"'mse'; choose among .*mean_squared_error"):
        compute(["mse"], VALUES, GUESSES)


@pytest.mark.parametrize(
    ("name", "target", "prediction"),
    [
        ("max_error", VALUES, GUESSES),
        ("accuracy", VALUES[:, 0], GUESSES[:, 0]),
        ("accuracy", np.tile(CLASSES[:, None], 5), np.tile(PROBABILITIES[:, None], (1, 5, 1))),
        ("roc_auc", np.arange(60) % 4, PROBABILITIES),
    ],
)
def test_a_metric_that_does_not_fit(name, target, prediction):
    with pytest.raises(SettingsError, match=f"the metric {name} does not fit these targets"):
        compute([name], target, prediction)


@pytest.mark.parametrize("seed", range(20))
def test_the_common_metrics_are_those_of_scikit_learn_to_rounding(seed):
    """Classes that are never predicted or never right, constant targets, few samples."""
    rng = np.random.default_rng(seed)
    n, k = int(rng.integers(2, 40)), int(rng.integers(1, 6))
    target, called = rng.integers(0, k, n), rng.integers(0, k + 1, n)
    labels = {name: metric for name, metric in METRICS.items() if metric.takes == "labels"}
    assert set(target) != {*target, *called} or len(compute(list(labels), target, np.eye(k + 1)[called])) == len(labels)
    for metric in labels.values():
        value = from_labels(metric.function, dict(metric.options), target, called)
        if value is not None:
            assert value == pytest.approx(getattr(sk, metric.function)(target, called, **metric.options), rel=1e-13)
        else:
            assert metric.function == "balanced_accuracy_score"
            assert set(called) - set(target)
    y = rng.normal(size=(n, 3)) * [1, 0, 1]
    p = np.where(rng.random((n, 3)) < 0.5, y, rng.normal(size=(n, 3))) if seed % 2 else y
    for name, metric in METRICS.items():
        if metric.takes == "values" and name != "max_error":
            expected = getattr(sk, metric.function)(y, p)
            assert from_values(metric.function, y, p) == pytest.approx(expected, rel=1e-13), name


@pytest.mark.parametrize(
    ("target", "prediction", "takes"),
    [
        (CLASSES, PROBABILITIES, "classes"),
        (BITS[:, None] * 1.0, CHANCES[:, None], "classes"),
        (VALUES, GUESSES, "values"),
    ],
    ids=["classes", "one question", "values"],
)
def test_a_whole_weight_is_so_many_copies_of_a_sample(target, prediction, takes):
    names = [name for name, metric in METRICS.items() if (metric.takes == "values") == (takes == "values")]
    names.remove("max_error") if takes == "values" else None
    weight = RNG.integers(1, 4, 60)
    copied = compute(names, np.repeat(target, weight, axis=0), np.repeat(prediction, weight, axis=0))
    weighted = compute(names, target, prediction, weight.astype(np.float32))
    assert weighted.pop("median_absolute_error", 0) == pytest.approx(copied.pop("median_absolute_error", 0), rel=0.1)
    assert weighted == pytest.approx(copied, rel=1e-12)


def test_the_largest_error_has_no_weight():
    weight = RNG.uniform(size=60)
    assert compute(["max_error"], VALUES[:, :1], GUESSES[:, :1], weight)["max_error"] == SINGLE["max_error"]


def test_the_common_metrics_do_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.metrics", None)
    compute(["accuracy", "balanced_accuracy", "f1_macro"], CLASSES, PROBABILITIES)
    compute(["r2", "mean_absolute_error", "root_mean_squared_error"], VALUES, GUESSES)
    with pytest.raises(ImportError):
        compute(["roc_auc"], CLASSES, PROBABILITIES)
