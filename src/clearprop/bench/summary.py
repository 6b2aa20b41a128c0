"""How fast clearprop is on this machine, beside scikit-learn, in a few seconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clearprop.bench.ours import Clearprop
from clearprop.bench.rounds import seconds_a_step
from clearprop.bench.scikit import ScikitLearn
from clearprop.bench.workloads import WORKLOADS, Workload

QUICK = tuple(workload for workload in WORKLOADS if workload.quick)
"""The workloads that take seconds."""


@dataclass(frozen=True)
class Summary:
    """The seconds of a step of one workload: ours, ours with one thread, and scikit-learn's."""

    workload: Workload
    ours: float
    one_thread: float
    sklearn: float

    @property
    def samples(self) -> float:
        """Samples a second."""
        return self.workload.batch / self.ours

    @property
    def rate(self) -> float:
        """GFLOP/s of the matrix products."""
        return 1e-9 * self.workload.flops / self.ours

    @property
    def ratio(self) -> float:
        """How many times as fast as scikit-learn."""
        return self.sklearn / self.ours


def summarize(workloads: Sequence[Workload], seconds: float, rounds: int) -> Iterator[Summary]:
    """Measure one workload after another, each side for so many rounds of about so many seconds."""
    for workload in workloads:
        data = workload.data()
        sides = (Clearprop(), Clearprop(threads=1), ScikitLearn())
        times = seconds_a_step(dict(enumerate(side.prepare(workload, data) for side in sides)), seconds, rounds)
        yield Summary(workload, *times.values())
