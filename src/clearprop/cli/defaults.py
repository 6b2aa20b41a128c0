"""What training takes when an option is left out: by the task and the number of samples."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from clearprop.cli.choices import Choices
from clearprop.compile import choose_backend
from clearprop.errors import SettingsError
from clearprop.losses import LOSSES, CrossEntropy, Focal, MultiMargin, OutputLoss, Poisson
from clearprop.optim import OPTIMIZERS, Adam
from clearprop.train import METRICS

USUAL_LOSS = {"classification": "cross_entropy", "regression": "squared_error"}
TABLE_LOSSES = tuple(
    name
    for name, kind in LOSSES.items()
    if issubclass(kind, (OutputLoss, CrossEntropy, Focal, MultiMargin)) and kind is not Poisson
)
"""The losses that fit one output a class or a standardised target, which is what the command builds."""
TEST_METRICS = {
    "classification": ("accuracy", "balanced_accuracy", "f1_macro"),
    "regression": ("r2", "mean_absolute_error", "root_mean_squared_error"),
}
"""What is measured on the test part."""


@dataclass(frozen=True)
class Sized:
    """Defaults for data of at least `samples` rows, the test part left out.

    They were chosen by test figures over several seeds on the bundled sets. Below 1000 rows a validation part is
    too small to tell epochs apart, and the rows are worth more in training: all epochs are run, with a strong
    penalty.
    """

    samples: int
    layers: tuple[int, ...]
    lr: float
    epochs: int
    batch_size: int
    l2: float
    validation: float
    patience: int


SIZES = (
    Sized(20_000, (256, 128), 0.001, 20, 128, 1e-5, 0.1, 5),
    Sized(1_000, (128, 64), 0.002, 60, 32, 1e-3, 0.1, 15),
    Sized(0, (32,), 0.01, 100, 32, 3e-2, 0.0, 30),
)
"""From large to small."""


def sized(samples: int) -> Sized:
    """Return the defaults for so many rows."""
    return next(size for size in SIZES if samples >= size.samples)


def complete(choices: Choices, task: str, samples: int) -> Choices:
    """Put a value in the place of every choice that was left open.

    Args:
        choices: what was asked for.
        task: "classification" or "regression".
        samples: the number of rows, the test part left out.

    Raises:
        SettingsError: the loss or a metric does not fit the task.
    """
    size = sized(samples)
    names = ("layers", "epochs", "batch_size", "l2", "lr", "validation")
    chosen = {name: getattr(size, name) for name in names if getattr(choices, name) is None}
    if "lr" in chosen:
        chosen["lr"] = _rate(choices.optimizer, size)
    validation = chosen.get("validation", choices.validation)
    check_metrics(choices.metrics, task)
    return dataclasses.replace(
        choices,
        **chosen,
        patience=size.patience if choices.patience is None and validation else choices.patience,
        schedule=choices.schedule or "cosine",
        loss=_loss(choices.loss, task),
        backend=choose_backend(choices.backend),
        metrics=choices.metrics or TEST_METRICS[task][:1],
    )


def _rate(optimizer: str, size: Sized) -> float:
    """Return the size's learning rate, which is one of Adam's, or the own one of an optimiser on another scale."""
    own = OPTIMIZERS[optimizer]().learning_rate
    return size.lr if own == Adam().learning_rate else own


def _loss(loss: str, task: str) -> str:
    if loss == "auto":
        return USUAL_LOSS[task]
    if LOSSES[loss].task != task:
        raise SettingsError(
            f"--loss {loss} does not fit {task}: leave it out, or choose {USUAL_LOSS[task]}, or change --task"
        )
    return loss


def check_metrics(metrics: tuple[str, ...], task: str) -> None:
    """Raise `SettingsError` for a metric that is not known or does not fit the task."""
    fitting = [name for name, metric in METRICS.items() if (metric.takes == "values") == (task == "regression")]
    for name in metrics:
        if name not in fitting:
            why = "does not fit" if name in METRICS else "is not known; for"
            raise SettingsError(f"--metrics: {name!r} {why} {task}: choose among {', '.join(fitting)}")
