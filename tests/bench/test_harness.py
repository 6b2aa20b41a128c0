"""The folder bench/: ratios and goals, the page, and a quick pass over all of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fresh import First
from peers import OURS, installed, sides_of
from report import Findings, microseconds, page, peak_text, whole_table
from steps import Measured, Plan, measure
from whole import Whole

from clearprop.bench import Workload, cores

ROOT = Path(__file__).resolve().parents[2]
TINY = Workload("tiny", (3, 4, 2), 5, 12, goal=2.0)


def measured(ours: float, goal: float = 2.0) -> Measured:
    workload = Workload("tiny", (3, 4, 2), 5, 12, goal)
    times = {
        (OURS, "1 thread"): 8e-6,
        (OURS, ""): ours,
        ("torch", "1 thread"): 30e-6,
        ("torch", "2 threads"): 40e-6,
        ("scikit-learn", ""): 90e-6,
    }
    return Measured(workload, times, ["tiny, jax: there is none"])


@pytest.mark.parametrize(("ours", "ratio", "met"), [(10e-6, 3, True), (15e-6, 2, True), (20e-6, 1.5, False)])
def test_the_ratio_is_to_the_fastest_form_of_the_fastest_peer(ours, ratio, met):
    found = measured(ours)
    assert found.fastest_peer == ("torch", "1 thread")
    assert found.ratio == pytest.approx(ratio)
    assert found.met is met
    assert found.ours == ours
    assert found.best() == {OURS: min(8e-6, ours), "torch": 30e-6, "scikit-learn": 90e-6}


def test_without_a_peer_there_is_no_ratio():
    alone = Measured(TINY, {(OURS, ""): 1e-6})
    assert (alone.fastest_peer, alone.ratio, alone.met) == (None, None, None)
    assert "| tiny | 3-4-2 | 5 | 1 | - | - | - | - | - | - | 2 | - |" in page(Findings([alone]), "native")


def test_page():
    findings = Findings(
        steps=[measured(10e-6), measured(20e-6)],
        peaks={1: [0.05, 0.1], 2: [0.2, 0.15]},
        imports={OURS: 0.2, "torch": 2.0},
        first={(OURS, "digits"): First(0.25, 0.1, 123.4)},
        whole={"clearprop train": Whole(2, 1, 0.98), "torch": Whole(3, 1.5, 0.9722)},
        latency={(OURS, "digits"): 12.34e-6, ("torch", "fashion"): 1.234e-4},
        notes=["jax is left out: no module"],
    )
    lines = page(findings, "native").splitlines()
    assert "| tiny | 3-4-2 | 5 | 10 | **30** (1 thread) | - | - | - | 90 | 3.00 | 2 | yes |" in lines
    assert "| tiny | 3-4-2 | 5 | 20 | **30** (1 thread) | - | - | - | 90 | 1.50 | 2 | no |" in lines
    assert "| tiny | 0.00048 | 8 | 0.06 | 60.0 % | 10 | 0.048 | 24.0 % |" in lines
    assert any(line.endswith("float32: 0.1 GFLOP/s with 1 thread, 0.2 GFLOP/s with 2 threads.") for line in lines)
    assert "The lowest of 2 measurements between the workloads, for others may use the machine: 0.05 and 0.15." in lines
    assert "| clearprop | 0.20 | 0.25 | 0.10 | 123 |" in lines
    assert "| torch | 2.00 | - | - | - |" in lines
    assert "| clearprop train | 2.00 | 1.00 | 0.9800 | 1.50 |" in lines
    assert "| clearprop | 12.3 | - |" in lines
    assert "| torch | - | 123 |" in lines
    assert lines.count("- tiny, jax: there is none") == 1
    assert "- jax is left out: no module" in lines


def test_what_was_not_measured_has_no_section():
    assert "## " not in page(Findings([measured(1e-5)]), "native").split("## Of the")[0].split("## A step")[1]
    assert "## Predicting" not in page(Findings([measured(1e-5)]), "native")


def test_our_processes_are_not_peers_and_the_fastest_peer_counts():
    whole = {"clearprop": Whole(1, 1, 1), "clearprop train": Whole(9, 9, 1), "a": Whole(1, 1.5, 1), "b": Whole(1, 3, 1)}
    lines = whole_table(whole).splitlines()
    assert [line.split("|")[-2].strip() for line in lines[2:]] == ["1.50", "0.17", "", ""]


def test_peaks_of_many_cores_have_no_exponent():
    text = peak_text({1: 140.0, 16: 1650.0}, {1: [140.0, 98.5], 16: [1400.0, 1650.0]})
    assert "float32: 140 GFLOP/s with 1 thread, 1650 GFLOP/s with 16 threads.\n" in text
    assert text.endswith(": 98.5 and 1400.\n")


@pytest.mark.parametrize(("seconds", "text"), [(None, "-"), (1.234e-6, "1.23"), (9.996e-5, "100"), (0.01, "10000")])
def test_microseconds(seconds, text):
    assert microseconds(seconds) == text


def test_missing_peers_are_left_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "peers.with_jax", None)
    names, notes = installed(["jax, step", "scikit-learn"])
    assert names == ["scikit-learn"]
    assert notes[0].startswith("jax, step is left out:")


def test_measure():
    found = measure(TINY, [OURS, "scikit-learn"], Plan(0.001, 1, isolate=False, backend="reference"))
    assert {name for name, _ in found.seconds} == {OURS, "scikit-learn"}
    assert all(seconds >= 0 for seconds in found.seconds.values())


@pytest.mark.parametrize("isolate", [False, True])
def test_who_cannot_take_part_is_noted(isolate):
    dropped = Workload("dropped", (3, 4, 2), 5, 12, dropout=0.5)
    found = measure(dropped, [OURS, "scikit-learn"], Plan(0.001, 1, isolate, "reference"))
    assert {name for name, _ in found.seconds} == {OURS}
    assert found.seconds[OURS, ""] > 0
    assert found.notes == ["dropped, scikit-learn: scikit-learn has no dropout"]


def test_forms_of_a_side():
    assert sides_of("scikit-learn", "")[0].form == "1 thread"
    *limited, own = sides_of(OURS, "native")
    assert (own.backend, own.threads) == ("native", None)
    assert [side.threads for side in limited] == ([1] if cores() > 1 else [])


def test_quick_pass():
    report = ROOT / "docs" / "benchmarks.md"
    before = report.read_bytes() if report.exists() else b""
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench" / "run.py"), "--quick"],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    for words in ("| xor | 2-8-2 |", "| digits | 64-32-10 |", "GFLOP/s with 1 thread", "## Start", "97 %", "one row"):
        assert words in done.stdout
    assert (report.read_bytes() if report.exists() else b"") == before
