"""`clearprop bench`."""

from clearprop.bench import Workload
from clearprop.cli import bench


def test_bench(call, monkeypatch):
    monkeypatch.setattr(bench, "QUICK", (Workload("tiny", (3, 4, 2), 5, 12), Workload("small", (3, 2), 5, 12)))
    answer = call("bench", "--seconds", "0.001", "--rounds", "1")
    heading, *rows = answer.stdout.splitlines()
    assert "us a step" in heading
    assert [row.split()[:3] for row in rows] == [["tiny", "3-4-2", "5"], ["small", "3-2", "5"]]
    assert all(" %" in row for row in rows)
    assert "peak" in answer.stderr


def test_bad_options(call):
    assert "--seconds" in call("bench", "--seconds", "0", status=2).stderr
    assert "--rounds" in call("bench", "--rounds", "0", status=2).stderr
