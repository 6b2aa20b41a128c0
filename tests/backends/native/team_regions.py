"""A program of many small regions for a team, written by hand: every part of every region checks that it is the first.

Its buffers are the number of the last region that each part has seen and who ran it, a cache line each; the number of
errors and how many parts a worker ran; and the number of parts, the first region, how often `run` was refused and how
long a part spins.
"""

from __future__ import annotations

import ctypes
import time

import numpy as np

from clearprop.backends.native.jit import MachineCode, compile_text, host_features, host_machine
from clearprop.backends.native.targets import choose
from clearprop.backends.native.team import RUN
from clearprop.backends.native.threads import Team

_TEXT = f"""\
define internal void @task(i64 %n, i64 %part, i64 %worker, ptr %buffers) nounwind {{
  %seen = load ptr, ptr %buffers
  %errors.at = getelementptr ptr, ptr %buffers, i64 1
  %errors = load ptr, ptr %errors.at
  %far = mul i64 %part, 8
  %place = getelementptr i64, ptr %seen, i64 %far
  %numbers.at = getelementptr ptr, ptr %buffers, i64 2
  %numbers = load ptr, ptr %numbers.at
  %spin.at = getelementptr i64, ptr %numbers, i64 3
  %spin = load i64, ptr %spin.at
  %helped.at = getelementptr i64, ptr %errors, i64 1
  %other = icmp ne i64 %worker, 0
  %one = zext i1 %other to i64
  %ignored = atomicrmw add ptr %helped.at, i64 %one seq_cst
  br label %turn
turn:
  %t = phi i64 [ 0, %0 ], [ %u, %turn ]
  %u = add i64 %t, 1
  %on = icmp slt i64 %u, %spin
  br i1 %on, label %turn, label %look
look:
  %by = getelementptr i64, ptr %place, i64 1
  store i64 %worker, ptr %by
  %before = atomicrmw xchg ptr %place, i64 %n seq_cst
  %due = add i64 %before, 1
  %right = icmp eq i64 %due, %n
  br i1 %right, label %leave, label %wrong
wrong:
  %old = atomicrmw add ptr %errors, i64 1 seq_cst
  br label %leave
leave:
  ret void
}}

define void @program(i64 %n, ptr %buffers, ptr %team) nounwind {{
  %run.at = getelementptr i64, ptr %team, i64 {RUN}
  %run = load ptr, ptr %run.at
  %parts.at = getelementptr ptr, ptr %buffers, i64 2
  %parts.in = load ptr, ptr %parts.at
  %parts = load i64, ptr %parts.in
  %first.in = getelementptr i64, ptr %parts.in, i64 1
  %first = load i64, ptr %first.in
  %last = add i64 %first, %n
  %refused.in = getelementptr i64, ptr %parts.in, i64 2
  br label %next
next:
  %i = phi i64 [ %first, %0 ], [ %j, %after ]
  %more = icmp slt i64 %i, %last
  br i1 %more, label %region, label %leave
region:
  %j = add i64 %i, 1
  %done = call i1 %run(ptr %team, ptr @task, i64 %j, i64 %parts, ptr %buffers, i64 1000000000)
  br i1 %done, label %after, label %alone
alone:
  %part = phi i64 [ 0, %region ], [ %following, %alone ]
  call void @task(i64 %j, i64 %part, i64 0, ptr %buffers)
  %following = add i64 %part, 1
  %again = icmp slt i64 %following, %parts
  br i1 %again, label %alone, label %count
count:
  %refused = load i64, ptr %refused.in
  %refused.more = add i64 %refused, 1
  store i64 %refused.more, ptr %refused.in
  br label %after
after:
  br label %next
leave:
  ret void
}}
"""


class Regions:
    """Calls the program; `errors` counts parts that did not run exactly once a region."""

    def __init__(self, team: Team, parts: int, code: MachineCode | None = None, spin: int = 0) -> None:
        self.code = code or compile_text(_TEXT, choose(host_features(), host_machine()))
        self.team, self.parts = team, parts
        self.seen, self.errors_, self.numbers = (
            np.zeros((parts, 8), "i8"),
            np.zeros(2, "i8"),
            np.array([parts, 0, 0, spin]),
        )
        self.table = np.array([a.ctypes.data for a in (self.seen, self.errors_, self.numbers)], np.uintp)
        self.function = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(self.code.address)

    def run(self, regions: int) -> float:
        """Run this many regions and return the seconds that one took."""
        address = self.team.start()
        assert address
        start = time.perf_counter()
        self.function(regions, self.table.ctypes.data, address)
        seconds = time.perf_counter() - start
        self.numbers[1] += regions
        return seconds / regions

    @property
    def errors(self) -> int:
        """How many parts did not follow the region before, and how many have not seen the last."""
        return int(self.errors_[0]) + int(np.sum(self.seen[:, 0] != self.numbers[1]))

    @property
    def by(self) -> list[int]:
        """For each part who ran it last."""
        return self.seen[:, 1].tolist()

    @property
    def helped(self) -> int:
        """How many parts a worker ran."""
        return int(self.errors_[1])

    @property
    def refused(self) -> int:
        """How many regions found the team busy."""
        return int(self.numbers[2])
