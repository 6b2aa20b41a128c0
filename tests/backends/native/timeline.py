"""Where the time of a training step goes: `PYTHONPATH=src python tests/backends/native/timeline.py fashion [steps]`.

Every part of every kernel of a workload of the benchmark reads the CPU's time stamp when it begins and when it ends, in
a fit of so many steps (200 if not given). Prints for each kernel, as medians over the steps: how long it is from the
first part's begin to the last part's end, the pause before it, how many parts it has, the sum of their times, and the
shortest and the longest part; all in microseconds. `model.explain("kernels")` tells what they compute, in the same
order; functions of equal text have one name. A kernel in a loop over time has the parts of all of its steps, and is
as long as the loop.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
import sys
from collections.abc import Sequence

import numpy as np

from clearprop.backends.native import native
from clearprop.backends.native.module import Module
from clearprop.bench import IMAGES, SEQUENCES, WORKLOADS
from clearprop.bench.ours import Clearprop

MOST = 1 << 20
"""How many parts are recorded."""

FIELDS = ("call", "part", "worker", "begin", "end")

RECORD = """
define internal void @record(i64 %call, i64 %part, i64 %worker, i64 %begin) noinline nounwind {{
  %end = call i64 @llvm.readcyclecounter()
  %count = inttoptr i64 {count} to ptr
  %place = atomicrmw add ptr %count, i64 1 monotonic
  %fits = icmp slt i64 %place, {most}
  br i1 %fits, label %keep, label %leave
keep:
  %table = inttoptr i64 {table} to ptr
  {stores}
  br label %leave
leave:
  ret void
}}
declare i64 @llvm.readcyclecounter()
"""

CALL = re.compile(r"^  call void @(kernel\d+)\(i64 %n, i64 [%\w.]+, i64 ([%\w.]+), i64 ([%\w.]+).*$", re.M)
"""A kernel's call, in `program` or in a task."""


class Recorder:
    """Lets the modules of training steps record when their kernels' parts run."""

    def __init__(self) -> None:
        self.table = np.zeros((MOST, len(FIELDS)), np.int64)
        self.count = np.zeros(1, np.int64)
        self.names: list[str] = []

    def instrumented(self, module: Module) -> Module:
        """Return the module with every call of a kernel timed."""
        row = f"getelementptr [{len(FIELDS)} x i64], ptr %table, i64 %place"
        stores = "\n  ".join(f"%p{i} = {row}, i64 {i}\n  store i64 %{name}, ptr %p{i}" for i, name in enumerate(FIELDS))
        record = RECORD.format(count=self.count.ctypes.data, table=self.table.ctypes.data, most=MOST, stores=stores)
        return dataclasses.replace(module, text=CALL.sub(self._timed, module.text) + record)

    def _timed(self, found: re.Match[str]) -> str:
        number = len(self.names)
        self.names.append(found[1])
        begin = f"  %begin.{number} = call i64 @llvm.readcyclecounter()\n"
        return (
            f"{begin}{found[0]}\n  call void @record(i64 {number}, i64 {found[2]}, i64 {found[3]}, i64 %begin.{number})"
        )

    def rows(self) -> np.ndarray:
        """Return what was recorded, in the order in which parts began."""
        rows = self.table[: self.count[0]]
        return rows[np.argsort(rows[:, FIELDS.index("begin")], kind="stable")]


def steps(rows: np.ndarray) -> list[np.ndarray]:
    """Cut the record into steps: the first call comes again."""
    call = rows[:, 0]
    starts = np.flatnonzero((call == call[0]) & (np.concatenate([[-1], call[:-1]]) != call[0]))
    return [rows[a:b] for a, b in itertools.pairwise(starts)]


def measured(name: str, count: int) -> tuple[Recorder, float]:
    """Train a workload for so many steps; return the record of them, and the seconds of one."""
    os.environ["CLEARPROP_CACHE"] = "off"  # the code holds addresses
    recorder, write = Recorder(), native.write_step_module
    native.write_step_module = lambda *args: recorder.instrumented(write(*args))
    workloads = {item.name: item for item in (*WORKLOADS, *IMAGES, *SEQUENCES)}
    if name not in workloads:
        sys.exit(f"there is no workload {name!r}: choose one of {', '.join(workloads)}")
    workload = workloads[name]
    train = Clearprop().prepare(workload, workload.data())
    train(max(count // 4, 2))
    recorder.count[0] = 0
    return recorder, train(count)


def figures(found: Sequence[np.ndarray], call: int) -> np.ndarray:
    """Return a call's medians over steps: long, before, parts, sum, shortest, longest; times in counts."""
    result = []
    for rows in found:
        own = rows[rows[:, 0] == call]
        times, begin, end = own[:, 4] - own[:, 3], own[:, 3].min(), own[:, 4].max()
        earlier = rows[(rows[:, 3] < begin) & (rows[:, 0] != call)]
        before = begin - earlier[:, 4].max() if len(earlier) else 0
        result.append((end - begin, before, len(own), times.sum(), times.min(), times.max()))
    return np.median(result, axis=0)


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    recorder, seconds = measured(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 200)
    found = steps(recorder.rows())
    calls = [int(call) for call in dict.fromkeys(found[0][:, 0])]
    found = [rows for rows in found if set(rows[:, 0]) == set(calls)]
    scale = 1e6 * seconds / np.median(np.diff([rows[0, 3] for rows in found]))
    inside = scale * np.median([rows[:, 4].max() - rows[0, 3] for rows in found])
    print(f"{sys.argv[1]}: {1e6 * seconds:.1f} us a step, {inside:.1f} from its first kernel to its last")
    print(f"{'kernel':10} {'long':>9} {'before':>8} {'parts':>6} {'sum':>9} {'shortest':>9} {'longest':>9}")
    for call in calls:
        long, before, parts, total, least, most = figures(found, call) * [scale, scale, 1, scale, scale, scale]
        print(f"{recorder.names[call]:10} {long:9.1f} {before:8.1f} {parts:6.0f} {total:9.1f} {least:9.1f} {most:9.1f}")


if __name__ == "__main__":
    main()
