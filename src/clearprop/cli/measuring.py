"""Figures of a model on some samples, and the confusion of its classes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.cli.defaults import TEST_METRICS
from clearprop.cli.output import figures, table
from clearprop.cli.preparing import Part
from clearprop.data import Encoding
from clearprop.data.columns import Array, text_of
from clearprop.data.printable import listed
from clearprop.model import Model
from clearprop.train import History, evaluate, measure

_MOST_CLASSES = 20


def metrics_for(task: str, metrics: Sequence[str]) -> tuple[str, ...]:
    """Return what is measured at the end: the usual metrics of the task, and those asked for."""
    return tuple(dict.fromkeys([*TEST_METRICS[task], *metrics]))


def measured(model: Model, part: Part, metrics: Sequence[str]) -> tuple[dict[str, float], Array]:
    """Return loss and metrics of a model on samples, and its predictions, encoded."""
    samples = model.samples(part.features, part.target)
    loss, prediction = evaluate(model.compiled_evaluation(samples), model.parameters, samples)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "y_pred contains classes not in y_true")  # `report` names them
        return {"loss": loss} | measure(metrics, samples, prediction), prediction


def at_best(history: History) -> dict[str, float]:
    """Return the validation figures of the best epoch, or without one of the last."""
    return {name.removeprefix("val_"): value for name, value in history.best.items() if name.startswith("val_")}


def confusion(encoding: Encoding, part: Part, prediction: Array) -> Array:
    """Return how many samples of each class (row) were predicted as each (column)."""
    counts = np.zeros((encoding.n_outputs,) * 2, dtype=np.int64)
    np.add.at(counts, (encoding.target(part.target), scores(prediction).argmax(axis=1)), 1)
    return counts


def scores(prediction: Array) -> Array:
    """Return a probability for each class, also when the network gives that of the second of two alone."""
    return np.hstack([1 - prediction, prediction]) if prediction.shape[1] == 1 else prediction


def report(model: Model, part: Part, values: dict[str, float], prediction: Array, title: str, width: int | None) -> str:
    """Return figures as text, and for up to 20 classes their confusion."""
    text = figures(values, title, width)
    encoding = model.encoding
    if not isinstance(encoding, Encoding) or encoding.classes is None or len(encoding.classes) > _MOST_CLASSES:
        return text
    counts = confusion(encoding, part, prediction)
    absent = [text_of(label) for label, row in zip(encoding.classes, counts, strict=True) if not row.any()]
    if absent:
        text += f"\nnone of these rows is of class {listed(absent)}: the figures are about the other classes"
    rows: list[list[Any]] = [["actual \\ predicted", *encoding.classes]]
    rows += [[label, *row] for label, row in zip(encoding.classes, counts.tolist(), strict=True)]
    return f"{text}\n\n{table(rows, range(1, len(rows)), width)}"
