"""From a data set and choices to what a fit takes: the parts, the encoding, the network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from clearprop.cli.about import about
from clearprop.cli.choices import Choices
from clearprop.cli.defaults import complete, sized
from clearprop.cli.networks import network, suited
from clearprop.cli.transfer import Origin
from clearprop.data import AnyEncoding, Dataset, Encoding, Table, split
from clearprop.data.columns import Array
from clearprop.data.storage import take_rows
from clearprop.errors import DataError
from clearprop.model import Model
from clearprop.nn import Layer
from clearprop.optim import (
    OPTIMIZERS,
    WHOLE_BATCH,
    ClipByNorm,
    Optimizer,
    ParameterGroups,
    ReduceOnPlateau,
    Schedule,
    Step,
    WholeBatch,
    schedule,
)

Features = Table | Array
E = TypeVar("E", bound=AnyEncoding)


@dataclass(frozen=True)
class Part:
    """Some samples, raw: features and target, and of images the file of each where it is known."""

    features: Features
    target: Array
    files: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.target)

    def take(self, rows: Array | slice) -> Part:
        """Return some of the samples."""
        features = self.features.take(rows) if isinstance(self.features, Table) else take_rows(self.features, rows)
        return Part(features, self.target[rows])


@dataclass(frozen=True)
class Parts:
    """A data set divided: what the weights, the choice of the epoch, and the final figures come from."""

    train: Part
    validation: Part | None
    test: Part | None


@dataclass(frozen=True)
class Prepared(Generic[E]):
    """A model that is ready to be fitted, its samples, and the choices that made it, complete."""

    model: Model
    encoding: E
    parts: Parts
    choices: Choices


def divide(dataset: Dataset, choices: Choices) -> Parts:
    """Hold out the test part (the official one where there is one) and the validation part, by the seed.

    Raises:
        DataError: there is no target, or there are too few samples to hold some out.
    """
    if dataset.target is None:
        raise DataError(f"{dataset.name} has no target to train on: name it with --target")
    train, test, validation = Part(dataset.features, dataset.target), None, None
    if dataset.validation is not None and choices.validation != 0:
        validation = Part(*dataset.validation)
    if choices.test and dataset.test is not None:
        test = Part(*dataset.test)
    elif choices.test:
        train, test = _hold_out(train, choices.test, choices)
    fraction = sized(len(train)).validation if choices.validation is None else choices.validation
    if fraction and validation is None:
        train, validation = _hold_out(train, fraction, choices)
    return Parts(train, validation, test)


def _hold_out(part: Part, fraction: float, choices: Choices) -> tuple[Part, Part]:
    stratify = None if choices.task == "auto" or part.target.ndim > 1 else choices.task == "classification"
    rest, held = split(part.target, fraction, seed=choices.seed, stratify=stratify)
    return part.take(rest), part.take(held)


def prepare(dataset: Dataset, choices: Choices) -> Prepared[Encoding]:
    """Divide, fit the encoding to the training part alone, and write the network.

    Raises:
        DataError, SettingsError, ShapeError: the data or a choice does not fit.
    """
    with about(dataset.name):
        _check_target(dataset, choices)
        return _prepared(dataset, choices)


def _check_target(dataset: Dataset, choices: Choices) -> None:
    """Refuse a target that cannot be learnt while all of its rows are there to be counted."""
    if len(dataset.features) > 1 and dataset.target is not None:
        rows = Table({"x": np.linspace(0.0, 1.0, len(dataset.features))})
        Encoding.fit(rows, dataset.target, target_name=dataset.target_name, task=choices.task)


def _prepared(dataset: Dataset, choices: Choices) -> Prepared[Encoding]:
    parts = divide(dataset, choices)
    encoding = Encoding.fit(
        parts.train.features,
        parts.train.target,
        target_name=dataset.target_name,
        task=choices.task,
        dtype=choices.dtype,
        scaling=choices.scaling,
        epsilon=choices.epsilon,
        form=dataset.form,
    )
    held_out = 0 if parts.validation is None else len(parts.validation)
    rows = len(parts.train) + held_out
    own = None if dataset.validation is None else held_out / rows
    choices = complete(choices, encoding.task, rows, suited(encoding, parts.train.features), own)
    origin = Origin.of(choices)
    encoding = encoding if origin is None else origin.encoded(encoding)
    shape = encoding.features(parts.train.take(slice(1)).features).shape[1:]
    model = made(network(encoding, choices, parts.train.features, origin), encoding, shape, choices)
    if origin is not None:
        origin.hand_over(model)
    for part in (parts.validation, parts.test):
        if part is not None:
            model.samples(part.features, part.target)
    return Prepared(model, encoding, parts, choices)


def made(layers: list[Layer], encoding: AnyEncoding, shape: tuple[int, ...], choices: Choices) -> Model:
    """Return a model of a network with the loss, optimiser and schedule of the choices, and its first parameters."""
    model = Model(
        layers,
        choices.loss,
        _optimizer(choices),
        schedule=_schedule(choices),
        dtype=choices.dtype,
        seed=choices.seed,
        frozen=choices.freeze,
        backend=choices.backend,
    )
    model.encoding = encoding
    model.init(shape)
    groups = model.optimizer.optimizer if isinstance(model.optimizer, ClipByNorm) else model.optimizer
    if isinstance(groups, ParameterGroups):
        groups.members(model.trainable)
    return model


def _optimizer(choices: Choices) -> Optimizer | WholeBatch:
    if choices.optimizer in WHOLE_BATCH:
        return WHOLE_BATCH[choices.optimizer]()
    kind: Callable[..., Optimizer] = OPTIMIZERS[choices.optimizer]
    groups = [(pattern, kind(learning_rate=rate)) for pattern, rate in choices.groups]
    rest = kind(learning_rate=choices.lr)
    steps = ParameterGroups(rest, tuple(groups)) if groups else rest
    return steps if choices.clip_norm is None else ClipByNorm(steps, choices.clip_norm)


def _schedule(choices: Choices) -> Schedule:
    if choices.schedule == "step":
        return Step(0.1, max(1, -(-(choices.epochs or 1) // 3)))
    if choices.schedule == "reduce_on_plateau" and not choices.validation:
        return ReduceOnPlateau("loss")
    return schedule(choices.schedule or "constant")
