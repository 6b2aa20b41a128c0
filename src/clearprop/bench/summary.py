"""How fast clearprop is on this machine, beside scikit-learn, in a few seconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clearprop.bench.machine import on_one_core
from clearprop.bench.ours import Clearprop
from clearprop.bench.rounds import seconds_a_step
from clearprop.bench.scikit import ScikitLearn
from clearprop.bench.workloads import WORKLOADS, Workload

QUICK = tuple(workload for workload in WORKLOADS if workload.quick)
"""The workloads that take seconds."""


@dataclass(frozen=True)
class Summary:
    """The seconds of a step of one workload: ours with all cores, with one (None where it cannot be had), sklearn's."""

    workload: Workload
    ours: float
    one_core: float | None
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
    alone = on_one_core(measure_ours, workloads, seconds, rounds)
    for i, workload in enumerate(workloads):
        data = workload.data()
        sides = {side.name: side.prepare(workload, data) for side in (Clearprop(), ScikitLearn())}
        times = seconds_a_step(sides, seconds, rounds)
        yield Summary(workload, times["clearprop"], None if alone is None else alone[i], times["scikit-learn"])


def measure_ours(workloads: Sequence[Workload], seconds: float, rounds: int) -> list[float]:
    """Return our seconds of a step of each workload."""
    times = []
    for workload in workloads:
        train = Clearprop().prepare(workload, workload.data())
        times.append(seconds_a_step({"": train}, seconds, rounds)[""])
    return times
