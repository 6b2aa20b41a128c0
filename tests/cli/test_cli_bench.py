"""`clearprop bench`."""

import os

import pytest

from clearprop.bench import Workload, load
from clearprop.cli import bench


def test_bench(call, monkeypatch):
    monkeypatch.setattr(bench, "QUICK", (Workload("tiny", (3, 4, 2), 5, 12), Workload("small", (3, 2), 5, 12)))
    answer = call("bench", "--seconds", "0.001", "--rounds", "1")
    heading, *rows = answer.stdout.splitlines()
    assert "us a step" in heading
    assert [row.split()[:3] for row in rows] == [["tiny", "3-4-2", "5"], ["small", "3-2", "5"]]
    assert all(" %" in row for row in rows)
    assert "peak" in answer.stderr


@pytest.mark.parametrize(("average", "busy"), [(0.4, False), (3.0, True)])
def test_a_busy_machine_is_told(call, monkeypatch, average, busy):
    monkeypatch.setattr(bench, "QUICK", (Workload("tiny", (3, 2), 5, 12),))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(os, "getloadavg", lambda: (average, 0.0, 0.0), raising=False)
    answer = call("bench", "--seconds", "0.001", "--rounds", "1")
    assert ("the machine is busy, 150 % of its cores" in answer.stderr) is busy


def test_a_system_that_does_not_tell_its_load_is_not_busy(monkeypatch):
    monkeypatch.delattr(os, "getloadavg", raising=False)
    assert load() == 0.0


def test_bad_options(call):
    assert "--seconds" in call("bench", "--seconds", "0", status=2).stderr
    assert "--rounds" in call("bench", "--rounds", "0", status=2).stderr
