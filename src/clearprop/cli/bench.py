"""`clearprop bench`."""

from __future__ import annotations

import click

from clearprop.backends.native.peak import measure_peak
from clearprop.bench import cores, cpu_name, load
from clearprop.bench.summary import QUICK, Summary, summarize
from clearprop.cli.output import note, number, result, table, width_of

_EPILOG = """\b
Examples:
  clearprop bench
  clearprop bench --seconds 1
"""


@click.command(epilog=_EPILOG)
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    default=0.1,
    show_default=True,
    metavar="S",
    help="How long each side trains in a round.",
)
@click.option(
    "--rounds", type=click.IntRange(1), default=3, show_default=True, metavar="N", help="Figures are their medians."
)
def command(seconds: float, rounds: int) -> None:
    """Measure how fast this machine trains small networks, beside scikit-learn.

    A step is a batch forth and back and one update by Adam, in float32. The peak is that of fused multiply-adds,
    measured here and now; only matrix products count towards it. scikit-learn has no layers of sequences.
    """
    count = cores()
    note(f"{cpu_name()}, {count} core{'s' * (count > 1)}")
    busy = load()
    if busy > _BUSY:
        note(
            f"the machine is busy, {100 * busy:.0f} % of its cores over the last minute, which distorts the figures: "
            "measure again when it is idle"
        )
    peak = measure_peak(count)
    note(f"peak {peak:.0f} GFLOP/s in float32, {measure_peak(1):.0f} with one thread")
    rows = [_row(summary, peak) for summary in summarize(QUICK, seconds, rounds)]
    result(table([_HEADING, *rows], range(2, len(_HEADING)), width_of()))


_BUSY = 0.5
"""The load of each core from which on a note says that the figures are not those of an idle machine."""
_HEADING = (
    "workload",
    "network",
    "batch",
    "us a step",
    "samples/s",
    "of the peak",
    "one thread: us",
    "scikit-learn: us",
    "times as fast",
)


def _row(summary: Summary, peak: float) -> tuple[str, ...]:
    workload = summary.workload
    return (
        workload.name,
        workload.network,
        str(workload.batch),
        _microseconds(summary.ours),
        number(summary.samples),
        f"{100 * summary.rate / peak:.2g} %",
        _microseconds(summary.one_thread),
        _microseconds(summary.sklearn),
        "-" if summary.ratio is None else f"{summary.ratio:.1f}",
    )


def _microseconds(seconds: float | None) -> str:
    return "-" if seconds is None else number(1e6 * seconds)
