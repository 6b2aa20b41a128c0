"""Optimisers and schedules. They write programs and never run them."""

from clearprop.description import choose
from clearprop.optim.adam import Adam
from clearprop.optim.optimizer import Optimizer
from clearprop.optim.schedules import SCHEDULES, Constant, Cosine, Position, Schedule, Step, schedule
from clearprop.optim.sgd import SGD, Momentum, Nesterov

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "momentum": Momentum,
    "nesterov": Nesterov,
    "adam": Adam,
}
"""The optimisers by name."""


def optimizer(choice: str | Optimizer) -> Optimizer:
    """Return the optimiser of a name, or one as it is."""
    return choose(choice, Optimizer, OPTIMIZERS, "optimiser")


__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "SGD",
    "Adam",
    "Constant",
    "Cosine",
    "Momentum",
    "Nesterov",
    "Optimizer",
    "Position",
    "Schedule",
    "Step",
    "optimizer",
    "schedule",
]
