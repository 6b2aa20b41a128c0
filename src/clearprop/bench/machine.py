"""The machine: its CPU's name, its cores, and how to use only one of them."""

from __future__ import annotations

import multiprocessing
import os
import platform
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Result = TypeVar("Result")


def cpu_name() -> str:
    """Return what the CPU is called, or the kind of machine where the system does not say."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def on_one_core(function: Callable[Given, Result], *args: Given.args, **kwargs: Given.kwargs) -> Result | None:
    """Call a function in a new process that may use one core only; None where the system cannot say so."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _stay_on_one_core) as pool:
        return pool.submit(function, *args, **kwargs).result()


def _stay_on_one_core() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
