"""What training takes when an option is left out: by the task and the number of samples."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from clearprop.cli.choices import DENSE, Choices
from clearprop.compile import choose_backend
from clearprop.errors import SettingsError
from clearprop.losses import LOSSES, BinaryLoss, Loss
from clearprop.optim import OPTIMIZERS, WHOLE_BATCH, Adam, LevenbergMarquardt
from clearprop.train import METRICS

USUAL_LOSS = {
    "classification": "cross_entropy",
    "regression": "squared_error",
    "multilabel": "binary_cross_entropy",
}
TEST_METRICS = {
    "classification": ("accuracy", "balanced_accuracy", "f1_macro"),
    "regression": ("r2", "mean_absolute_error", "root_mean_squared_error"),
    "multilabel": ("accuracy", "f1_macro"),
}
"""What is measured on the test part."""
_ACTIVATION = "relu"
_OF_ONE_LABEL = ("balanced_accuracy", "matthews_corrcoef", "log_loss")
"""The metrics of classes that scikit-learn does not take of several labels a sample."""


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

CONVOLUTIONAL = (
    Sized(20_000, (), 0.002, 6, 64, 1e-4, 0.1, 3),
    Sized(1_000, (), 0.002, 20, 32, 1e-3, 0.1, 8),
    Sized(0, (), 0.002, 40, 32, 1e-3, 0.0, 20),
)
"""The same for convolutional and described networks, by test figures on parts of fashion-mnist."""


def sized(samples: int, arch: str = DENSE) -> Sized:
    """Return the defaults for so many rows; what is held out of them does not depend on the architecture."""
    return next(size for size in (SIZES if arch == DENSE else CONVOLUTIONAL) if samples >= size.samples)


def complete(
    choices: Choices, task: str, samples: int, suited: str = DENSE, own_validation: float | None = None
) -> Choices:
    """Put a value in the place of every choice that was left open.

    Args:
        choices: what was asked for.
        task: "classification" or "regression".
        samples: the number of rows, the test part left out.
        suited: the architecture that suits the samples (`networks.suited`).
        own_validation: which part of these rows the data's own validation part is; None if the data has none.

    Raises:
        SettingsError: the loss, a metric or an initialiser does not fit the task, or an option not the architecture.
    """
    if task != "classification":
        given = [option for option, is_odd in _of_classes(choices).items() if is_odd]
        if given:
            raise SettingsError(f"{' and '.join(given)} goes by how frequent each class is, and {task} has none")
    arch = _arch(choices, suited)
    size = sized(samples, arch)
    names = (*(("layers",) if arch == DENSE else ()), "epochs", "batch_size", "l2", "lr", "validation", "schedule")
    usual = {name: getattr(size, name) for name in names if name != "schedule"} | {"schedule": "cosine"}
    if arch == DENSE and choices.activation is None:
        choices = dataclasses.replace(choices, activation=_ACTIVATION)
    usual |= {} if own_validation is None else {"validation": own_validation}
    usual |= _of_whole_batches(choices) if choices.optimizer in WHOLE_BATCH else {"lr": _rate(choices.optimizer, size)}
    chosen = {name: usual[name] for name in names if getattr(choices, name) is None}
    validation = chosen.get("validation", choices.validation)
    check_metrics(choices.metrics, task)
    return dataclasses.replace(
        choices,
        **chosen,
        arch=arch,
        patience=size.patience if choices.patience is None and validation else choices.patience,
        loss=_loss(choices, task),
        backend=choose_backend(choices.backend),
        metrics=choices.metrics or TEST_METRICS[task][:1],
    )


def _of_classes(choices: Choices) -> dict[str, bool]:
    """Return by name the options that look at classes, and whether each was given."""
    return {
        "--output-bias class_prior": choices.output_bias == "class_prior",
        "--class-weight balanced": choices.class_weight == "balanced",
    }


def _arch(choices: Choices, suited: str) -> str:
    """Return the architecture; "auto" for a described network, and one that was trained."""
    arch, trained = choices.arch, choices.start_from
    described = choices.network is not None
    if not described and trained is None and arch == "auto":
        dense = choices.layers is not None or choices.optimizer in WHOLE_BATCH
        arch = DENSE if dense else suited
    given = {
        "--network": described and trained is not None,
        "--arch": (described or trained is not None) and arch != "auto",
        "--layers": choices.layers is not None and arch != DENSE,
        "--activation": choices.activation not in (None, _ACTIVATION) and arch != DENSE,
        "--weights": choices.weights != Choices.weights and arch != DENSE,
        "--dropout": choices.dropout and (described or trained is not None),
    }
    odd = [option for option, is_odd in given.items() if is_odd]
    if odd:
        network = "--network FILE" if described else f"--arch {arch}"
        network = network if trained is None else "--start-from RUN"
        raise SettingsError(f"{network} has layers of its own: leave out {', '.join(odd)}")
    return arch


def _rate(optimizer: str, size: Sized) -> float:
    """Return the size's learning rate, which is one of Adam's, or the own one of an optimiser on another scale."""
    own = OPTIMIZERS[optimizer]().learning_rate
    return size.lr if own == Adam().learning_rate else own


def _of_whole_batches(choices: Choices) -> dict[str, Any]:
    """Return what an optimiser of all samples at once takes in the place of the size's defaults.

    Raises:
        SettingsError: something was asked for that it has no use for.
    """
    idle: dict[str, object] = {"--lr": choices.lr, "--batch-size": choices.batch_size, "--schedule": choices.schedule}
    idle |= {name: getattr(choices, name[2:]) or None for name in ("--dropout", "--augment", "--rates")}
    idle |= {"--clip-norm": choices.clip_norm}
    squares = issubclass(WHOLE_BATCH[choices.optimizer], LevenbergMarquardt)
    if squares:
        idle |= {"--l1": choices.l1 or None, "--l2": choices.l2 or None}
    given = [option for option, value in idle.items() if value is not None]
    if given:
        raise SettingsError(
            f"--optimizer {choices.optimizer} takes all samples at once, finds its own steps"
            f"{' and makes a sum of squares small, with no penalty' if squares else ''}: leave out {', '.join(given)}"
        )
    return {"lr": None, "batch_size": None, "schedule": None} | ({"l2": 0.0} if squares else {})


def _loss(choices: Choices, task: str) -> str:
    loss = USUAL_LOSS[task] if choices.loss == "auto" else choices.loss
    kind = WHOLE_BATCH.get(choices.optimizer)
    if kind is not None and issubclass(kind, LevenbergMarquardt) and loss != USUAL_LOSS["regression"]:
        raise SettingsError(
            f"--optimizer {choices.optimizer} makes a sum of squares small, as squared_error of numbers is, "
            f"and not {loss}: choose another"
        )
    if task not in _tasks(LOSSES[loss]):
        raise SettingsError(
            f"--loss {loss} does not fit {task}: leave it out, or choose {USUAL_LOSS[task]}, or change --task"
        )
    return loss


def _tasks(loss: type[Loss]) -> tuple[str, ...]:
    """Return the tasks that a loss fits."""
    if issubclass(loss, BinaryLoss):
        return "classification", "multilabel"
    return ("multilabel",) if loss.answers else (loss.task,)


def check_metrics(metrics: tuple[str, ...], task: str) -> None:
    """Raise `SettingsError` for a metric that is not known or does not fit the task."""
    fitting = [name for name, metric in METRICS.items() if (metric.takes == "values") == (task == "regression")]
    if task == "multilabel":
        fitting = [name for name in fitting if name not in _OF_ONE_LABEL]
    for name in metrics:
        if name not in fitting:
            why = "does not fit" if name in METRICS else "is not known; for"
            raise SettingsError(f"--metrics: {name!r} {why} {task}: choose among {', '.join(fitting)}")
