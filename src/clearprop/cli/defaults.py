"""What training takes when an option is left out: by the task and the number of samples."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from clearprop.cli.choices import Choices
from clearprop.errors import SettingsError
from clearprop.train import METRICS

LOSSES = {"classification": "cross_entropy", "regression": "squared_error"}
TEST_METRICS = {
    "classification": ("accuracy", "balanced_accuracy", "f1_macro"),
    "regression": ("r2", "mean_absolute_error", "root_mean_squared_error"),
}
"""What is measured on the test part."""


@dataclass(frozen=True)
class Sized:
    """Defaults for data of at least `samples` training samples."""

    samples: int
    layers: tuple[int, ...]
    lr: float
    epochs: int
    batch_size: int
    patience: int
    l2: float


SIZES = (
    Sized(20_000, (256, 128), 0.001, 20, 128, 5, 1e-5),
    Sized(1_000, (128, 64), 0.002, 100, 32, 15, 1e-4),
    Sized(0, (32, 16), 0.003, 200, 16, 30, 1e-3),
)


def complete(choices: Choices, task: str, samples: int) -> Choices:
    """Put a value in the place of every choice that was left open.

    Raises:
        SettingsError: the loss or a metric does not fit the task.
    """
    sized = next(size for size in SIZES if samples >= size.samples)
    open_choices = ("layers", "epochs", "batch_size", "l2", "lr")
    chosen = {name: getattr(sized, name) for name in open_choices if getattr(choices, name) is None}
    if choices.optimizer != "adam" and "lr" in chosen:
        chosen["lr"] = 0.01
    validation = 0.1 if choices.validation is None else choices.validation
    patience = sized.patience if choices.patience is None and validation else choices.patience
    check_metrics(choices.metrics, task)
    return dataclasses.replace(
        choices,
        **chosen,
        validation=validation,
        patience=patience,
        schedule=choices.schedule or "cosine",
        loss=_loss(choices.loss, task),
        metrics=choices.metrics or TEST_METRICS[task][:1],
    )


def _loss(loss: str, task: str) -> str:
    if loss == "auto":
        return LOSSES[task]
    if (loss == "squared_error") != (task == "regression"):
        raise SettingsError(
            f"--loss {loss} does not fit {task}: leave it out, or choose {LOSSES[task]}, or change --task"
        )
    return loss


def check_metrics(metrics: tuple[str, ...], task: str) -> None:
    """Raise `SettingsError` for a metric that is not known or does not fit the task."""
    fitting = [name for name, metric in METRICS.items() if (metric.takes == "values") == (task == "regression")]
    for name in metrics:
        if name not in fitting:
            why = "does not fit" if name in METRICS else "is not known; for"
            raise SettingsError(f"--metrics: {name!r} {why} {task}: choose among {', '.join(fitting)}")
