"""Losses: what training makes small. They write programs and never run them."""

from clearprop.errors import SettingsError
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
    if isinstance(choice, Loss):
        return choice
    if choice not in LOSSES:
        raise SettingsError(f"there is no loss {choice!r}; choose one of {', '.join(LOSSES)}")
    return LOSSES[choice]()


__all__ = ["LOSSES", "BinaryCrossEntropy", "CrossEntropy", "Loss", "SquaredError", "cost", "loss"]
