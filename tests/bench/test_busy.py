"""`bench/busy.py`: a row of its table, and the loops that keep cores at work."""

import contextlib
import os
import subprocess

import busy
import pytest

from clearprop.bench import WORKLOADS


def test_a_quick_row() -> None:
    workload = next(workload for workload in WORKLOADS if workload.name == "digits")
    cells = [cell.strip() for cell in busy.row(workload, [], 0.01, 1).strip("|").split("|")]
    assert cells[:2] == ["digits", "0"]
    assert all(float(cell) > 0 for cell in cells[2:])


def test_every_workload_of_the_table_exists() -> None:
    assert set(busy.NAMES) <= {workload.name for workload in WORKLOADS}


def test_loops_end_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class Recorded(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, **kwargs)  # type: ignore[call-overload]
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    core = min(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    with contextlib.suppress(KeyError), busy.loops([core, core]):
        assert [process.poll() for process in started] == [None, None]
        raise KeyError
    assert all(process.poll() is not None for process in started)
