"""Where a classifier goes wrong: its confusion, and the samples it is most wrong about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from clearprop.errors import SettingsError
from clearprop.pictures.canvas import Array, as_images, brightened, new_figure, show

if TYPE_CHECKING:
    from clearprop.model import Model

_MOST_COUNTS = 15


def counted(model: Model, features: Any, target: Any) -> tuple[Array, tuple[str, ...], Array]:
    """Return how many samples of each class (row) were taken for each (column), the classes, and all probabilities.

    Raises:
        SettingsError: the model is not one of classes.
    """
    questions = model.loss.answers and model.output_type().shape[-1] != 1
    if model.loss.task != "classification" or questions:
        raise SettingsError(f"a model with {model.loss!r} has no classes that it could confuse")
    scores = model.predict(features)
    scores = np.hstack([1 - scores, scores]) if scores.ndim == 2 and scores.shape[1] == 1 else scores
    actual = _indices(model, target)
    counts = np.zeros((scores.shape[1],) * 2, np.int64)
    np.add.at(counts, (actual, scores.argmax(axis=1)), 1)
    classes = range(scores.shape[1]) if model.encoding is None else model.encoding.classes
    return counts, tuple(map(str, classes if classes is not None else ())), scores


def _indices(model: Model, target: Any) -> Array:
    return np.asarray(target) if model.encoding is None else model.encoding.target(np.asarray(target))


def most_confused(model: Model, features: Any, target: Any, most: int = 10) -> list[tuple[str, str, int]]:
    """Return the pairs (actual class, class it was taken for, how often), from the most to the least frequent.

    Raises:
        SettingsError: the model is not one of classes.
    """
    counts, classes, _ = counted(model, features, target)
    off = counts.copy()
    np.fill_diagonal(off, 0)
    order = np.argsort(-off, axis=None, kind="stable")[:most]
    pairs = [divmod(int(place), len(classes)) for place in order]
    return [(classes[row], classes[column], int(off[row, column])) for row, column in pairs if off[row, column]]


def confusion(model: Model, features: Any, target: Any) -> Any:
    """Draw the confusion of classes: a row for each actual class, a column for each predicted one.

    The shade is the part of the row; the numbers are counts, for up to 15 classes.

    Raises:
        SettingsError: the model is not one of classes, or matplotlib is missing.
    """
    counts, classes, _ = counted(model, features, target)
    figure = new_figure(7, 6.5)
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    drawn = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    figure.colorbar(drawn, ax=axes, label="part of the actual class")
    axes.set_xticks(range(len(classes)), classes, rotation=90)
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xlabel("predicted")
    axes.set_ylabel("actual")
    for place in np.ndindex(counts.shape) if len(classes) <= _MOST_COUNTS else ():
        if counts[place]:
            dark = shares[place] > 0.5
            axes.text(place[1], place[0], str(counts[place]), ha="center", va="center", color="w" if dark else "k")
    axes.set_title(f"accuracy {np.trace(counts) / max(counts.sum(), 1):.4f} of {counts.sum()} samples")
    return figure


def worst_mistakes(model: Model, features: Any, target: Any, most: int = 25, files: Sequence[str] = ()) -> Any:
    """Draw the images that are predicted wrong with the least probability of their own class, the worst first.

    Above each stand its actual class, the one it was taken for with that one's probability, and its file.

    Args:
        model: a trained classifier.
        features: images (n, height, width) or (n, height, width, channels), raw.
        target: their classes.
        most: the most images that are drawn.
        files: the name of each image's file, if it came from one.

    Raises:
        SettingsError: the model is not one of classes, or matplotlib is missing.
        DataError: the samples are no images.
    """
    images = as_images(np.asarray(features))
    _, classes, scores = counted(model, features, target)
    actual, predicted = _indices(model, target), scores.argmax(axis=1)
    wrong = np.flatnonzero(actual != predicted)
    worst = wrong[np.argsort(scores[wrong, actual[wrong]], kind="stable")][:most]
    figure = new_figure(9, 10)
    side = max(int(np.ceil(np.sqrt(len(worst)))), 1)
    grid = figure.subplots(side, side, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, row in zip(grid, worst, strict=False):
        show(axes, brightened(images[row : row + 1])[0])
        words = f"{classes[actual[row]]}\n{classes[predicted[row]]} {scores[row, predicted[row]]:.2f}"
        axes.set_title(f"{words}\n{files[row]}" if files else words, fontsize=7)
    figure.suptitle(f"{len(wrong)} of {len(images)} are wrong: actual class, then what it was taken for")
    return figure
