"""What more cores bring, and what they cost while they are busy with something else.

    python bench/busy.py            the table
    python bench/busy.py --quick    short rounds: a pass for continuous integration

Each workload is trained on one thread and on as many as the library chooses, by turns: on an idle machine, and beside
loops that keep the last core, or every core, at work.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

from clearprop.bench import WORKLOADS, Workload, seconds_a_step
from clearprop.bench.ours import Clearprop

NAMES = ("xor", "digits", "tabular", "fashion", "fashion-xl")
LOOP = """
import os, sys
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {int(sys.argv[1])})
while True:
    pass
"""


@contextlib.contextmanager
def loops(cores: list[int]) -> Iterator[None]:
    """Keep these cores busy, each with a process."""
    running = [subprocess.Popen([sys.executable, "-c", LOOP, str(core)]) for core in cores]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def row(workload: Workload, busy: list[int], seconds: float, rounds: int) -> str:
    """Return a row of the table: microseconds a step on one thread and on all, and how they compare."""
    data = workload.data()
    sides = {name: side.prepare(workload, data) for name, side in (("one", Clearprop(threads=1)), ("all", Clearprop()))}
    with loops(busy):
        times = seconds_a_step(sides, seconds, rounds)
    one, every = 1e6 * times["one"], 1e6 * times["all"]
    return f"| {workload.name} | {len(busy)} | {one:.1f} | {every:.1f} | {one / every:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--workloads", nargs="*", metavar="NAME", default=NAMES)
    options = parser.parse_args()
    seconds, rounds = (0.01, 1) if options.quick else (0.3, 3)
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    print("| workload | busy cores | one thread, us a step | all threads, us a step | times as fast |")
    print("|---|---:|---:|---:|---:|")
    for workload in WORKLOADS:
        if workload.name in options.workloads:
            for busy in ([], cores[-1:], cores):
                print(row(workload, busy, seconds, rounds), flush=True)


if __name__ == "__main__":
    main()
