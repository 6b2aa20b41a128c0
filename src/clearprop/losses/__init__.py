"""Losses: what training makes small. They write programs and never run them."""

from clearprop.description import choose
from clearprop.losses.cross_entropy import BinaryCrossEntropy, CrossEntropy
from clearprop.losses.loss import Loss, cost
from clearprop.losses.squared_error import SquaredError

LOSSES: dict[str, type[Loss]] = {
    "squared_error": SquaredError,
    "cross_entropy": CrossEntropy,
    "binary_cross_entropy": BinaryCrossEntropy,
}
"""The losses by name."""


def loss(choice: str | Loss) -> Loss:
    """Return the loss of a name, or one as it is."""
    return choose(choice, Loss, LOSSES, "loss")


__all__ = ["LOSSES", "BinaryCrossEntropy", "CrossEntropy", "Loss", "SquaredError", "cost", "loss"]
