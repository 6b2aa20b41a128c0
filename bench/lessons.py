"""What `learning.py` lets clearprop and PyTorch learn: data, a network and settings, the same for both."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

import clearprop as cp
from clearprop.backends.native.threads import VARIABLE
from clearprop.bench.sides import Train
from clearprop.data import TextEncoding, next_token_windows, split_by_position, text_figures
from clearprop.description import brief
from clearprop.nn import ARCHITECTURES, LSTM, Embedding, Layer, Normal

Array = np.ndarray
VERSES = ("bible", "-f", "gen1:1-rev22:21")
"""The command, of Debian's package bible-kjv, that prints the text."""
WINDOW, UNITS = 64, 128


@dataclass(frozen=True)
class Material:
    """Encoded samples to learn and to test on, and how many classes or tokens there are."""

    x: Array
    y: Array
    test_x: Array
    test_y: Array
    outputs: int

    def first(self, count: int) -> Material:
        """Return the first samples of both parts."""
        return Material(self.x[:count], self.y[:count], self.test_x[:count], self.test_y[:count], self.outputs)


@dataclass(frozen=True)
class Lesson:
    """Data, the network that learns them, and how.

    Attributes:
        name: of the lesson.
        data: "fashion-mnist", or "kjv", the King James Bible.
        network: makes the layers for so many outputs.
        epochs, batch, rate, schedule: of Adam; the schedule is "one_cycle" or "cosine".
        wanted: the test figure to reach on the average, if there is one.
    """

    name: str
    data: str
    network: Callable[[int], list[Layer]]
    epochs: int
    batch: int
    rate: float
    schedule: str
    wanted: float | None = None

    @property
    def figure(self) -> str:
        """What is measured on the test part."""
        return "accuracy" if self.data == "fashion-mnist" else "bits a character"

    def model(self, material: Material, seed: int) -> cp.Model:
        """Return clearprop's model with its first values."""
        model = cp.Model(
            self.network(material.outputs), "cross_entropy", cp.Adam(self.rate), schedule=self.schedule, seed=seed
        )
        model.init(material.x.shape[1:])
        return model

    def settings(self, material: Material) -> dict:
        """Return what decides the outcome besides the library and the seed, as JSON data."""
        numbers = {"epochs": self.epochs, "batch": self.batch, "rate": self.rate, "schedule": self.schedule}
        return numbers | {"network": brief(self.network(material.outputs)), "samples": len(material.x)}


def vgg_small(outputs: int) -> list[Layer]:
    """The network `vgg-small`."""
    return [cp.RandomFlip(), *ARCHITECTURES["vgg-small"](outputs).layers]


def resnet_small(outputs: int) -> list[Layer]:
    """The network `resnet-small`."""
    return [cp.RandomFlip(), *ARCHITECTURES["resnet-small"](outputs).layers]


def characters(outputs: int) -> list[Layer]:
    """What `clearprop train FILE.txt` takes: an embedding and one LSTM."""
    return [Embedding(outputs, UNITS, weights=Normal(1.0)), LSTM(UNITS, outputs="all"), cp.Dense(outputs)]


LESSONS = (
    Lesson("vgg-small", "fashion-mnist", vgg_small, 4, 64, 0.003, "one_cycle", 0.92),
    Lesson("resnet-small", "fashion-mnist", resnet_small, 10, 64, 0.02, "one_cycle", 0.93),
    Lesson("char-lstm", "kjv", characters, 1, 32, 0.003, "cosine"),
)


@cache
def material(data: str) -> Material:
    """Return a lesson's data.

    Raises:
        cp.DataError: they are not installed.
    """
    if data == "fashion-mnist":
        dataset = cp.data.load(data)
        encoding = cp.Encoding.fit(dataset.features, dataset.target)
        parts = [
            (encoding.features(x), encoding.target(y)) for x, y in ((dataset.features, dataset.target), dataset.test)
        ]
        return Material(*parts[0], *parts[1], encoding.n_outputs)
    text = _verses()
    train, _, test = split_by_position(len(text), 0.1, 0.2)
    tokens = TextEncoding.fit(text[train])
    windows = [next_token_windows(tokens.tokens(text[part]), WINDOW) for part in (train, test)]
    return Material(*windows[0], *windows[1], tokens.n_outputs)


def _verses() -> str:
    if shutil.which(VERSES[0]) is None:
        raise cp.DataError(f"there is no command {VERSES[0]!r}: install the package bible-kjv")
    return subprocess.run(VERSES, check=True, capture_output=True, text=True).stdout


def steps_of_an_epoch(lesson: Lesson, data: Material) -> int:
    """Return the steps of an epoch, a last small batch counted."""
    return -(-len(data.x) // lesson.batch)


def figure(lesson: Lesson, loss: float, accuracy: float) -> float:
    """Return what the lesson measures, from the mean loss and the share of right answers on the test part."""
    return accuracy if lesson.figure == "accuracy" else text_figures(loss, 1.0)["bits_per_character"]


class Clearprop:
    """clearprop as a pupil."""

    name = "clearprop"

    def __init__(self, threads: int) -> None:
        os.environ[VARIABLE] = str(threads)

    def learn(self, lesson: Lesson, data: Material, seed: int) -> float:
        """Return the test figure after a whole fit."""
        model = lesson.model(data, seed)
        model.fit(data.x, data.y, epochs=lesson.epochs, batch_size=lesson.batch, progress="quiet")
        metrics = ["accuracy"] if lesson.figure == "accuracy" else []
        result = model.evaluate(data.test_x, data.test_y, metrics)
        return figure(lesson, result["loss"], result.get("accuracy", 0.0))

    def trainer(self, lesson: Lesson, data: Material) -> Train:
        """Return what trains the lesson's network."""
        model = lesson.model(data, 0)

        def train(steps: int) -> float:
            epochs = -(-steps // steps_of_an_epoch(lesson, data))
            history = model.fit(data.x, data.y, epochs=epochs, steps=steps, batch_size=lesson.batch, progress="quiet")
            return sum(history.seconds) / steps

        return train
