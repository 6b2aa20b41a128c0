"""How fast clearprop is on this machine, beside scikit-learn, in a few seconds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clearprop.bench.ours import Clearprop
from clearprop.bench.rounds import seconds_a_step
from clearprop.bench.scikit import ScikitLearn
from clearprop.bench.sequences import SEQUENCES
from clearprop.bench.sides import Side, Unavailable
from clearprop.bench.workloads import WORKLOADS, Workload

QUICK = tuple(workload for workload in (*WORKLOADS, *SEQUENCES) if workload.quick)
"""The workloads that take seconds."""


@dataclass(frozen=True)
class Summary:
    """The seconds of a step of one workload: ours, ours with one thread, and scikit-learn's if it has the layers."""

    workload: Workload
    ours: float
    one_thread: float
    sklearn: float | None = None

    @property
    def samples(self) -> float:
        """Samples a second."""
        return self.workload.batch / self.ours

    @property
    def rate(self) -> float:
        """GFLOP/s of the matrix products."""
        return 1e-9 * self.workload.flops / self.ours

    @property
    def ratio(self) -> float | None:
        """How many times as fast as scikit-learn."""
        return None if self.sklearn is None else self.sklearn / self.ours


def summarize(workloads: Sequence[Workload], seconds: float, rounds: int) -> Iterator[Summary]:
    """Measure one workload after another, each side for so many rounds of about so many seconds."""
    for workload in workloads:
        data = workload.data()
        sides: list[Side] = [Clearprop(), Clearprop(threads=1), ScikitLearn()]
        trains = {}
        for number, side in enumerate(sides):
            with contextlib.suppress(Unavailable):
                trains[number] = side.prepare(workload, data)
        yield Summary(workload, *seconds_a_step(trains, seconds, rounds).values())
