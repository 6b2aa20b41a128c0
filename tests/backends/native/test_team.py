"""The team of threads: every part runs exactly once, whatever happens around it; how it starts, forks and ends."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from processes import python
from team_regions import Regions

from clearprop import ops
from clearprop.backends.native import Native
from clearprop.backends.native import threads as workers
from clearprop.backends.native.jit import compile_text, host_features, host_machine
from clearprop.backends.native.targets import choose
from clearprop.backends.native.team import MOST_PARTS, SIZE, write_team
from clearprop.backends.native.threads import VARIABLE, Team, available_cores, number_of_threads
from clearprop.errors import SettingsError
from clearprop.ir import Type

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no team without POSIX threads")

LARGE = {"x": Type("float32", (1000, 1000))}


@pytest.fixture
def team() -> Iterator[Team]:
    team = Team(4)
    yield team
    team.stop()


@pytest.mark.parametrize("parts", [2, 3, 16])
def test_every_part_of_many_small_regions_runs_once(parts: int, team: Team) -> None:
    regions = Regions(team, parts)
    regions.run(300_000)
    assert regions.errors == 0
    assert regions.refused == 0


_CLAIM = "  %fewer = sub i64 %word, 1\n"
_LATE = f"""\
  %late = icmp ne i64 %worker, 0
  br i1 %late, label %dawdle, label %claim.now
dawdle:
  %turn = phi i64 [ 0, %take ], [ %turn.next, %dawdle ]
  %turn.next = add i64 %turn, 1
  %n.now = load atomic i64, ptr %job_n monotonic, align 8
  %same = icmp eq i64 %n.now, %n
  %patient = icmp slt i64 %turn.next, 1000000
  %on = and i1 %same, %patient
  br i1 %on, label %dawdle, label %changed
changed:
  %late.place = getelementptr i64, ptr %team, i64 {SIZE - 1}
  %late.before = atomicrmw add ptr %late.place, i64 1 monotonic
  br label %little
little:
  %more = phi i64 [ 0, %changed ], [ %more.next, %little ]
  %more.next = add i64 %more, 1
  %short = icmp slt i64 %more.next, 2000
  br i1 %short, label %little, label %claim.now
claim.now:
{_CLAIM}"""
"""A worker stops between its look at a job and its claim until the caller is in the first part of a later job."""


def test_a_worker_put_aside_in_the_middle_of_a_claim_takes_no_part_of_a_later_job(
    monkeypatch: pytest.MonkeyPatch, team: Team
) -> None:
    target = choose(host_features(), host_machine())
    text = write_team(target.family)
    assert text.count(_CLAIM) == 1
    code = compile_text(text.replace(_CLAIM, _LATE), target)
    monkeypatch.setattr(workers, "_team_code", lambda: code)
    regions, deadline = Regions(team, 8, spin=10_000), time.monotonic() + 10
    team.start()
    assert team._block is not None
    while team._block[SIZE - 1] < 3000 and time.monotonic() < deadline:
        regions.run(100)
    assert regions.errors == 0
    assert team._block[SIZE - 1] > 0


def test_workers_help(team: Team) -> None:
    # parts that take a while, so that a worker surely comes; the task says who ran it
    regions = Regions(team, 64, spin=100_000)
    until(lambda: helps(regions))
    assert regions.errors == 0


def test_two_threads_meet_in_the_middle() -> None:
    # what a core has in its cache are then the same rows for one kernel after another
    team = Team(2)
    regions = Regions(team, 16, spin=100_000)
    shares = []
    for _ in range(50):
        regions.run(4)
        assert regions.by == sorted(regions.by)
        shares.append(sum(regions.by))
    team.stop()
    assert regions.errors == 0
    assert any(shares)


def test_a_job_of_more_parts_than_can_be_counted_is_refused(team: Team) -> None:
    regions = Regions(team, MOST_PARTS + 1)
    regions.run(1)
    assert (regions.errors, regions.refused) == (0, 1)


def test_workers_fall_asleep_and_wake(team: Team) -> None:
    regions = Regions(team, 64, spin=100_000)
    for _ in range(3):
        until(lambda: used(0.1) < 0.02)
        until(lambda: helps(regions))
    assert regions.errors == 0


def test_idle_workers_use_no_time(team: Team) -> None:
    Regions(team, 8).run(1000)
    until(lambda: used(0.3) < 0.05)


def helps(regions: Regions) -> bool:
    """Run some regions; tell whether a worker has run a part of them."""
    before = regions.helped
    regions.run(4)
    return regions.helped > before


def until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    """Try until something holds: on a busy machine another thread may have to wait for its turn."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline


def used(seconds: float) -> float:
    """Do nothing for a while; return how much time of the processor the other threads have used meanwhile."""
    before = time.process_time()
    time.sleep(seconds)
    return time.process_time() - before


def test_several_threads_share_one_team(team: Team) -> None:
    first = Regions(team, 4, spin=100)
    all_regions = [first, *(Regions(team, 3 + i, first.code, spin=100) for i in range(3))]
    threads = [threading.Thread(target=regions.run, args=(20_000,)) for regions in all_regions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [regions.errors for regions in all_regions] == [0] * 4


def test_a_team_starts_when_a_program_is_large_enough() -> None:
    backend = Native(threads=2)
    backend.team = Team(2)
    small = backend.compile(ops.trace(ops.tanh, {"x": Type("float32", (4, 4))}))
    small({"x": np.zeros((4, 4), "f4")})
    assert backend.team.address == 0
    large = backend.compile(ops.trace(ops.tanh, LARGE))
    large({"x": np.zeros((1000, 1000), "f4")})
    assert backend.team.address != 0
    backend.team.stop()
    large({"x": np.zeros((1000, 1000), "f4")})


def test_programs_in_several_threads_give_the_same_bits() -> None:
    backend = Native(threads=4)
    backend.team = Team(4, threshold=0)
    run = backend.compile(ops.trace(lambda x: {"p": ops.softmax(ops.tanh(x)), "s": ops.sum(x * x)}, LARGE))
    x = np.random.default_rng(0).normal(size=(1000, 1000)).astype("f4")
    alone = Native(threads=1).compile(run.program)({"x": x})
    wrong: list[str] = []

    def work() -> None:
        for _ in range(20):
            received = run({"x": x})
            wrong.extend(name for name, array in alone.items() if array.tobytes() != received[name].tobytes())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    backend.team.stop()
    assert not wrong


# -- processes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("while workers spin", ""),
        ("while workers sleep", "time.sleep(0.05)"),
        ("in an exception", "try:\n    raise KeyError\nexcept KeyError:\n    sys.exit(0)"),
        (
            "while another thread runs programs",
            "threading.Thread(target=lambda: [run(x) for _ in range(10**6)], daemon=True).start(); time.sleep(0.05)",
        ),
        (
            "while a thread that is waited for runs programs",
            "threading.Thread(target=lambda: [run(x) for _ in range(300)]).start()",
        ),
    ],
)
def test_the_interpreter_ends(name: str, end: str) -> None:
    start = time.monotonic()
    assert python(end) == "", name
    assert time.monotonic() - start < 30


# -- settings ----------------------------------------------------------------------------------------------------


def test_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert number_of_threads() == available_cores()
    assert number_of_threads(3) == 3
    monkeypatch.setenv(VARIABLE, "5")
    assert number_of_threads() == 5
    assert Native().team.threads == 5
    assert number_of_threads(2) == 2
    monkeypatch.setenv(VARIABLE, "1")
    assert Native().team.start() == 0


@pytest.mark.parametrize("text", ["0", "x", "-1", "1.5", "²", "1025"])
def test_a_wrong_number_of_threads_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(SettingsError, match=VARIABLE):
        Native()
    assert Native(threads=1).team.threads == 1
    with pytest.raises(SettingsError, match="threads must be"):
        Native(threads=0)


@pytest.mark.parametrize(("text", "cores"), [("100000 100000", 1), ("max 100000", None), ("10 100000", 1), ("", None)])
def test_a_control_group_limits_the_cores(text: str, cores: int | None, tmp_path: Path) -> None:
    limit = tmp_path / "cpu.max"
    limit.write_text(text)
    assert available_cores(limit) == (cores or available_cores(tmp_path / "missing"))


def test_without_what_workers_need_programs_run_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clearprop.backends.native.team.LIBRARY", ("no_such_function",))
    team = Team(2)
    assert team.start() == 0
    assert team.start() == 0


def test_without_more_threads_programs_run_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert Team(2).start() == 0


@pytest.mark.parametrize("family", ["x86", "arm"])
def test_the_text_for_any_family(family: str) -> None:
    text = write_team(family)
    assert "PAUSE" not in text
    assert f"i64 {SIZE}" not in text
