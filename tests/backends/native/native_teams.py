"""Teams that take every kernel that has parts: of several threads, and one that does the parts in another order."""

from __future__ import annotations

import ctypes

import numpy as np

from clearprop.backends.native import Native
from clearprop.backends.native import team as layout
from clearprop.backends.native.threads import Team

THREADS = (2, 4, 7)


class Backwards(Team):
    """A team of one that does the last part first: two parts that write to one place give other numbers, every time.

    Attributes:
        jobs: how many kernels it has taken.
    """

    def __init__(self) -> None:
        super().__init__(1, threshold=0)
        self.jobs = 0
        self._run = ctypes.CFUNCTYPE(ctypes.c_bool, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 2, ctypes.c_void_p)(
            self._share
        )
        self._block = np.zeros(layout.SIZE, np.int64)
        self._block[layout.RUN] = ctypes.cast(self._run, ctypes.c_void_p).value

    def start(self) -> int:
        assert self._block is not None
        return int(self._block.ctypes.data)

    def _share(self, team: int, task: int, n: int, parts: int, buffers: int) -> bool:
        do = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 3, ctypes.c_void_p)(task)
        for part in reversed(range(parts)):
            do(n, part, 0, buffers)
        self.jobs += 1
        return True


BACKWARDS = Backwards()
TEAMS = {0: BACKWARDS, **{threads: Team(threads, threshold=0) for threads in (1, *THREADS)}}
"""They live as long as the process: a team that was stopped would do everything alone."""


def backend(threads: int, target: str = "") -> Native:
    """Return a backend whose team takes every kernel that has parts; 0 threads do them backwards."""
    native = Native(target)
    native.team = TEAMS[threads]
    return native
