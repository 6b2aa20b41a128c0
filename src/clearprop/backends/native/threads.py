"""Teams of threads for this process: how many, when they start, and how they end."""

from __future__ import annotations

import atexit
import ctypes
import functools
import math
import os
import threading
import time
import weakref
from pathlib import Path

import numpy as np

from clearprop.backends.native import team as layout
from clearprop.backends.native.forks import renew_in_child
from clearprop.backends.native.jit import MachineCode, compile_text, host_features, host_machine
from clearprop.backends.native.partition import SHARED
from clearprop.backends.native.targets import choose
from clearprop.backends.native.team import write_team
from clearprop.backends.protocol import Array
from clearprop.errors import SettingsError

VARIABLE = "CLEARPROP_THREADS"
"""The environment variable that says how many threads a program may use."""

_MOST = 1024
_PATIENCE = 2.0
"""Seconds that the interpreter's end waits for a worker; each is in the middle of one part at most."""

_TEAMS: weakref.WeakSet[Team] = weakref.WeakSet()
"""Every team there is: a worker keeps its team alive."""


class Team:
    """The threads that share the kernels of programs; one team a number of threads and process.

    The workers start when a program first has a use for them. Where the system lacks what they need, or refuses a
    thread, programs run on the thread that calls them, with the same results.

    Attributes:
        threads: how many work, the caller included.
        threshold: the cost in picoseconds from which a kernel is shared.
    """

    def __init__(self, threads: int, threshold: int = SHARED) -> None:
        self.threads, self.threshold = threads, threshold
        self._forget()
        _TEAMS.add(self)

    def _forget(self) -> None:
        """Be as new: in a child process there are no workers, whatever the block of its parent says."""
        self._lock = threading.Lock()
        self._block: Array | None = None
        self._workers: list[threading.Thread] = []
        self.address = 0

    def start(self) -> int:
        """Return the address of the block, or 0 where programs have to run alone; start the workers once."""
        if self.address or self.threads == 1:
            return self.address
        with self._lock:
            if self._block is None:
                self._block = _new_block(self.threshold)
                self.address = self._start(self._block)
        return self.address

    def _start(self, block: Array) -> int:
        if not block[layout.FUNCTIONS]:
            return 0
        address = int(block.ctypes.data)
        ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p)(_team_code().address)(0, address)
        for number in range(1, self.threads):
            worker = threading.Thread(target=self._work, args=(number,), name=f"clearprop-{number}", daemon=True)
            try:
                worker.start()
            except RuntimeError:  # the system gives no more threads
                break
            self._workers.append(worker)
        return address if self._workers else 0

    def _work(self, number: int) -> None:
        """Be a worker, until the team stops."""
        assert self._block is not None
        work = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(int(self._block[layout.WORKER]))
        work(int(self._block.ctypes.data), number)

    def stop(self) -> None:
        """End the workers; a program that runs at this moment does its parts alone."""
        with self._lock:
            block, self.address = self._block, 0
            if block is None or not self._workers:
                return
            block[layout.STOP] = 1
            _wake_all(int(block.ctypes.data))
            for worker in self._workers:
                worker.join(_PATIENCE)
            self._workers.clear()


@functools.cache
def team_of(threads: int) -> Team:
    """Return this process's team of a number of threads."""
    return Team(threads)


@functools.cache
def _team_code() -> MachineCode:
    target = choose(host_features(), host_machine())
    return compile_text(write_team(target.family), target)


def number_of_threads(wanted: int | None = None) -> int:
    """Return how many threads to use: what is wanted, what CLEARPROP_THREADS says, or one a core of this process.

    Raises:
        SettingsError: the number is not one from 1 to 1024.
    """
    text = os.environ.get(VARIABLE, "") if wanted is None else str(wanted)
    if not text:
        return available_cores()
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= _MOST:
        name = f"the environment variable {VARIABLE}" if wanted is None else "threads"
        raise SettingsError(f"{name} must be a whole number from 1 to {_MOST}, received {text!r}; 1 uses one core")
    return int(text)


def available_cores(limit: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Return how many cores this process may use: those it is bound to, or less where its control group says so."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = limit.read_text().split()[:2]
        return max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no such group, or the quota is "max"
        return cores


def _new_block(threshold: int) -> Array:
    """Return a team's block, with what it needs of the C library, or with zeros there if something is missing."""
    memory = np.zeros(layout.SIZE + 16, np.int64)
    first = -int(memory.ctypes.data) % 128 // 8
    block = memory[first : first + layout.SIZE]
    block[layout.THRESHOLD] = threshold
    try:
        library = ctypes.CDLL(None)
        functions = [_address(library, name) for name in (*layout.LIBRARY, "clock_gettime")]
        library.pthread_mutex_init(ctypes.c_void_p(block[layout.MUTEX :].ctypes.data), None)
        library.pthread_cond_init(ctypes.c_void_p(block[layout.CONDITION :].ctypes.data), None)
        block[layout.CLOCK_NUMBER] = time.CLOCK_MONOTONIC
        block[layout.FUNCTIONS : layout.FUNCTIONS + len(functions)] = functions
    except (TypeError, OSError, AttributeError):  # Windows has no such library; others may lack a function
        pass
    return block


def _address(library: ctypes.CDLL, name: str) -> int:
    return ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0


def _wake_all(address: int) -> None:
    library = ctypes.CDLL(None)
    mutex, condition = (ctypes.c_void_p(address + 8 * place) for place in (layout.MUTEX, layout.CONDITION))
    library.pthread_mutex_lock(mutex)
    library.pthread_cond_broadcast(condition)
    library.pthread_mutex_unlock(mutex)


def _stop_all() -> None:
    for team in list(_TEAMS):
        team.stop()


def _forget_all() -> None:
    for team in list(_TEAMS):
        team._forget()


atexit.register(_stop_all)
renew_in_child(_forget_all)
