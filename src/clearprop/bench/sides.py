"""The protocol of who trains a workload."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from clearprop.bench.workloads import Array, Data, Workload

Train = Callable[[int], float]
"""Trains about so many steps and returns the seconds of one: what an epoch costs is in it, what a fit costs once is
not. The first call may compile."""
Predict = Callable[[Array], Array]
"""Returns probabilities or values for rows of features."""


class Unavailable(Exception):  # noqa: N818 - an answer, not an error
    """A side cannot take part in a workload; the message says why."""


class Side(Protocol):
    """A library in one form of use.

    Attributes:
        name: the column it belongs to.
        form: what tells it apart from others of its name, of which the fastest counts; or "".
    """

    name: str
    form: str

    def prepare(self, workload: Workload, data: Data) -> Train:
        """Return what trains the workload; `Unavailable` where this side has nothing of the kind."""

    def predictor(self, workload: Workload, data: Data) -> Predict:
        """Return what predicts with the workload's network."""
