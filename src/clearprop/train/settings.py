"""The settings of a fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import overload

from clearprop.optim.plateau import greater_is_better, improves
from clearprop.settings import check_settings, field, flag
from clearprop.train.metrics import check_metrics
from clearprop.train.parameters import PARAMETERS


@dataclass(frozen=True)
class EarlyStopping:
    """End training when a recorded quantity has not improved for a while, and take the best weights.

    Attributes:
        metric: "val_loss", "loss", or a metric's name with or without "val_"; losses and errors are to fall, scores
            such as accuracy to rise.
        patience: how many epochs without an improvement are borne.
        min_delta: by how much a value must be better to count.
        restore_best: whether the weights of the best epoch are put back at the end.
    """

    metric: str = "val_loss"
    patience: int = field(PARAMETERS["patience"], 10)
    min_delta: float = field(PARAMETERS["min_delta"], 0.0)
    restore_best: bool = flag(True)

    def __post_init__(self) -> None:
        check_settings(self)

    def improves(self, value: float, best: float | None) -> bool:
        """Tell whether a value is better than the best one by more than `min_delta`; NaN never is."""
        return improves(value, best, greater_is_better(self.metric), self.min_delta)


@dataclass(frozen=True)
class FitSettings:
    """How the loop goes through the data.

    Attributes:
        epochs: passes over the training samples.
        steps: a bound on the number of steps, or None.
        batch_size: samples a step; the last batch of an epoch holds what is left, exactly.
        shuffle: whether each epoch has its own order, a pure function of the seed and the epoch.
        seed: of the order and of the random numbers inside of the step.
        metrics: what is recorded beside the loss, by scikit-learn's names.
        early_stopping: when to end before the last epoch, or None.
        checkpoint_steps: write a checkpoint every so many steps, or None.
        checkpoint_seconds: write one when this long has gone by since the last.
        stateful: whether the states of recurrent layers go on from batch to batch (see `Model.fit`); nothing is
            shuffled then.
    """

    epochs: int = field(PARAMETERS["epochs"], 10)
    steps: int | None = field(PARAMETERS["steps"].or_else(None), None)
    batch_size: int = field(PARAMETERS["batch_size"], 32)
    shuffle: bool = flag(True)
    seed: int = field(PARAMETERS["seed"], 0)
    metrics: tuple[str, ...] = ()
    early_stopping: EarlyStopping | None = None
    checkpoint_steps: int | None = field(PARAMETERS["checkpoint_steps"].or_else(None), None)
    checkpoint_seconds: float = field(PARAMETERS["checkpoint_seconds"], 10.0)
    stateful: bool = flag(False)

    def __post_init__(self) -> None:
        check_settings(self)
        check_metrics(self.metrics)

    def steps_per_epoch(self, samples: int) -> int:
        """Return how many batches the samples make, the last small one included."""
        return -(-samples // self.batch_size)

    def total_steps(self, samples: int) -> int:
        """Return how many steps the whole fit takes, unless it ends early."""
        planned = self.epochs * self.steps_per_epoch(samples)
        return planned if self.steps is None else min(planned, self.steps)


Record = Mapping[str, float]
"""One epoch's figures: loss, metrics, and their validation forms led by val_."""


@dataclass(frozen=True)
class _Losses:
    """The losses of epochs from a number on: their sums over so many samples."""

    first: int
    sums: Sequence[float]
    samples: int

    def records(self) -> list[dict[str, float]]:
        return [{"epoch": float(i), "loss": loss / self.samples} for i, loss in enumerate(self.sums, self.first)]


class _Epochs:
    """The field `epochs` of a history: records of losses alone are made when they are first asked for."""

    @overload
    def __get__(self, history: None, owner: type[History]) -> tuple[()]: ...

    @overload
    def __get__(self, history: History, owner: type[History]) -> list[dict[str, float]]: ...

    def __get__(self, history: History | None, owner: type[History]) -> list[dict[str, float]] | tuple[()]:
        if history is None:
            return ()  # the default: no epochs
        for item in history.pending:
            history.records += [item] if isinstance(item, dict) else item.records()
        history.pending.clear()
        return history.records

    def __set__(self, history: History, records: Sequence[dict[str, float]]) -> None:
        history.records, history.pending = list(records), []


@dataclass
class History:
    """What a fit recorded, epoch by epoch.

    Attributes:
        epochs: one mapping an epoch: epoch, loss, metrics, and the same led by val_.
        seconds: how long each epoch took; apart, because it is not the same in a resumed run.
        reason: why the fit ended.
        best_epoch: the epoch, from 1, whose weights early stopping held for best.
    """

    epochs: _Epochs = _Epochs()
    seconds: list[float] = dataclasses.field(default_factory=list)
    reason: str = ""
    best_epoch: int | None = None

    def __post_init__(self) -> None:
        # set together with `epochs`, of which they are the parts; no fields, since nobody else is to see them
        self.records: list[dict[str, float]]
        self.pending: list[dict[str, float] | _Losses]

    def __len__(self) -> int:
        return len(self.records) + sum(1 if isinstance(item, dict) else len(item.sums) for item in self.pending)

    def add_losses(self, first: int, sums: Sequence[float], samples: int) -> None:
        """Record the losses of epochs from a number on, given their sums over so many samples.

        An epoch may be over in less time than it takes to make its mapping, so that waits until somebody reads it.
        """
        self.pending.append(_Losses(first, sums, samples))

    def add(self, record: dict[str, float]) -> None:
        """Record an epoch."""
        self.pending.append(record)

    @property
    def last(self) -> dict[str, float]:
        """The record of the last epoch."""
        last = self.pending[-1] if self.pending else None
        return last if isinstance(last, dict) else self.epochs[-1]

    @property
    def best(self) -> dict[str, float]:
        """The record of `best_epoch`, or without one of the last epoch; empty before the first."""
        if not self.epochs:
            return {}
        return self.epochs[self.best_epoch - 1] if self.best_epoch else self.last

    def __getitem__(self, name: str) -> list[float]:
        """Return one quantity over the epochs: history["val_loss"]."""
        if not self.epochs or name not in self.epochs[-1]:
            known = ", ".join(self.epochs[-1]) if self.epochs else "nothing yet"
            raise KeyError(f"{name!r} was not recorded; the history holds {known}")
        return [record[name] for record in self.epochs if name in record]
