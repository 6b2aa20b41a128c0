"""Whether network, loss, optimiser, schedule and target agree."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop.description import brief
from clearprop.errors import DataError, SettingsError
from clearprop.losses import (
    BinaryCrossEntropy,
    BinaryFocal,
    ClassLoss,
    CrossEntropy,
    Focal,
    KLDivergence,
    Loss,
    Poisson,
)
from clearprop.nn import Sequential, Sigmoid, Softmax, activation
from clearprop.nn.affine import Affine
from clearprop.optim import Constant, Optimizer, Schedule, WholeBatch

Array = np.ndarray[Any, Any]
_SUM_TOLERANCE = 1e-3


def check_target(loss: Loss, target: Array) -> None:
    """Raise `DataError` where targets are no probabilities, or no counts, and the loss takes such."""
    if isinstance(loss, Poisson) and (target < 0).any():
        place = tuple(np.argwhere(target < 0)[0].tolist())
        raise DataError(
            f"Poisson takes counts of at least 0, and the target at index {place} is {target[place]}; with a table "
            "targets are standardised, so give an array of features and the counts"
        )
    if not (isinstance(loss, ClassLoss) or loss.answers) or target.dtype.kind != "f":
        return
    odd = np.argwhere((target < 0) | (target > 1))
    if len(odd):
        place = tuple(odd[0].tolist())
        raise DataError(
            f"{type(loss).__name__} takes probabilities from 0 to 1, and the target at index {place} is "
            f"{target[place]}: give class indices as whole numbers, or (binary) renumber two classes as 0 and 1"
        )
    if isinstance(loss, ClassLoss):
        _check_sums(target)


def _check_sums(target: Array) -> None:
    sums = target.sum(axis=-1)
    odd = np.argwhere(np.abs(sums - 1) > _SUM_TOLERANCE)
    if len(odd):
        place = tuple(odd[0].tolist())
        raise DataError(
            f"the probabilities of a sample add up to 1, and those of the target at index {place} to {sums[place]:g}: "
            "divide them by their sum, or use sample_weight for samples that count more"
        )


def check_parts(network: Sequential, loss: Loss, optimizer: Optimizer | WholeBatch, schedule: Schedule) -> None:
    """Raise `SettingsError` where two parts of a model do the same, or one has no use for another."""
    _check_final_activation(network, loss)
    if isinstance(optimizer, WholeBatch) and schedule != Constant():
        raise SettingsError(
            f"{type(optimizer).__name__} takes all samples at once and finds its own steps: leave out "
            f"schedule={brief(schedule)}"
        )


def _check_final_activation(network: Sequential, loss: Loss) -> None:
    """Refuse softmax before cross-entropy: the loss applies it itself, in its safe form."""
    last = network.layers[-1]
    while isinstance(last, Sequential):
        last = last.layers[-1]
    final = activation(last.activation) if isinstance(last, Affine) else last
    for kinds, name in (((CrossEntropy, KLDivergence, Focal), Softmax), ((BinaryCrossEntropy, BinaryFocal), Sigmoid)):
        if isinstance(loss, kinds) and isinstance(final, name):
            raise SettingsError(
                f"the network ends in {name.__name__} and {type(loss).__name__} applies it again: leave it out, the "
                "loss takes logits and predict gives probabilities"
            )
