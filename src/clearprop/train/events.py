"""What happens in training, as typed facts. The loop publishes them; listeners are functions of one event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class FitStarted:
    """A fit begins, or goes on from a checkpoint (then `step` is not 0)."""

    step: int
    epochs: int
    total_steps: int
    steps_per_epoch: int
    samples: int
    validation_samples: int
    parameters: int


@dataclass(frozen=True)
class Progressed:
    """Some steps are done; published a few times a second, and at the end of an epoch.

    `epoch` is the one at work, from 1; `batch` counts its batches that are done; `loss` is the mean cost of its samples
    so far; `samples_per_second` is that of this stretch.
    """

    step: int
    epoch: int
    batch: int
    loss: float
    learning_rate: float
    samples_per_second: float


@dataclass(frozen=True)
class EpochEnded:
    """An epoch, from 1, is done; `record` holds loss, metrics and their validation forms (val_loss ...)."""

    epoch: int
    step: int
    record: Mapping[str, float]
    seconds: float
    best: bool


@dataclass(frozen=True)
class CheckpointWritten:
    """The state up to this step lies on disk."""

    step: int
    path: str


@dataclass(frozen=True)
class Diverged:
    """The loss or a parameter became non-finite at this step; the weights before it are kept."""

    step: int
    message: str


@dataclass(frozen=True)
class FitEnded:
    """The fit is over: "finished", "converged", "early stopping", "interrupted", "terminated" or "diverged"."""

    reason: str
    step: int
    epochs: int
    best_epoch: int | None
    seconds: float


Event = FitStarted | Progressed | EpochEnded | CheckpointWritten | Diverged | FitEnded
Listener = Callable[[Event], None]
"""Called with each event when it happens.

One with an attribute `patient` that is True may hear of the end of an epoch up to a twentieth of a second late, when
the state is that of later steps. If all are, and nothing else needs the state at the end of an epoch, short epochs run
many at a time.
"""


class StopTraining(Exception):  # noqa: N818 - a request, not an error
    """A listener raises this to end training after the current step."""


def is_patient(listener: Listener) -> bool:
    """Tell whether a listener says that it may hear of the end of an epoch late."""
    return getattr(listener, "patient", False) is True
