"""Scoring a validation set after every epoch, with the best weights kept and an early end."""

from __future__ import annotations

import math
from collections.abc import Callable

from clearprop.train import EpochEnded, Event, StopTraining
from clearprop.train.state import Arrays, copies


class Watch:
    """A listener that scores each epoch; a larger score is better.

    Args:
        score: returns the score of the epoch that just ended.
        parameters: returns the parameters as they are evaluated.
        patience: how many epochs without a better score are borne; None only records.

    Attributes:
        scores: one an epoch.
        best: the best of them so far.
        parameters: those of the best epoch, where there is patience to lose.
        error: what the score raised, which ended training.
    """

    def __init__(
        self, score: Callable[[EpochEnded], float], parameters: Callable[[], Arrays], patience: int | None
    ) -> None:
        self._score, self._parameters, self._patience = score, parameters, patience
        self._waited = 0
        self.scores: list[float] = []
        self.best = -math.inf
        self.parameters: Arrays = {}
        self.error: Exception | None = None

    def __call__(self, event: Event) -> None:
        """Score an epoch that ended."""
        if isinstance(event, EpochEnded):
            try:
                self._keep(float(self._score(event)))
            except Exception as error:
                self.error = error
                raise StopTraining from error
            if self._patience is not None and self._waited >= self._patience:
                raise StopTraining

    def _keep(self, score: float) -> None:
        self.scores.append(score)
        if not score > self.best:
            self._waited += 1
            return
        self.best, self._waited = score, 0
        if self._patience is not None:
            self.parameters = copies(self._parameters())
