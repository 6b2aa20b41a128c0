"""Locks: held by one, free when their process has died, and no hindrance where there are none."""

import errno
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from clearprop.files import locked


def listed(path):
    return sorted(item.name for item in path.iterdir())


HOLDS = """
import sys, time
from pathlib import Path
from clearprop.files import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock tmp_path/new/lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLDS, tmp_path / "new" / "lock"], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_lock_is_refused_until_its_process_has_died(tmp_path, holder):
    """However it died: the file that it left locks nothing, and the next one takes it away."""
    lock = tmp_path / "new" / "lock"
    with pytest.raises(BlockingIOError, match="lock is locked by another process"), locked(lock):
        raise AssertionError("two hold it")
    assert lock.exists()
    holder.kill()
    holder.wait()
    assert lock.exists()
    with locked(lock):
        assert listed(tmp_path / "new") == ["lock"]
    assert listed(tmp_path / "new") == []


def test_a_lock_leaves_nothing_behind(tmp_path):
    """Folders that it made stay where something was written to them."""
    with pytest.raises(KeyError), locked(tmp_path / "a" / "b" / "lock"):
        raise KeyError
    assert listed(tmp_path) == []
    with locked(tmp_path / "a" / "lock"):
        (tmp_path / "a" / "result").touch()
        with pytest.raises(BlockingIOError), locked(tmp_path / "a" / "lock"):
            pass
    with locked(tmp_path / "a" / "lock"):
        pass
    assert listed(tmp_path / "a") == ["result"]


@pytest.mark.skipif(sys.platform == "win32", reason="flock is what is broken here")
def test_where_there_are_no_locks_work_goes_on(tmp_path, monkeypatch):
    def refuse(handle, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    (tmp_path / "file").touch()
    with locked(tmp_path / "file" / "lock"):
        pass
    monkeypatch.setattr("fcntl.flock", refuse)
    with locked(tmp_path / "lock"), locked(tmp_path / "lock"):
        pass
    assert listed(tmp_path) == ["file"]


def test_a_lock_whose_file_was_taken_away_is_asked_for_again(tmp_path, monkeypatch):
    """Between opening the file and locking it, whoever had the lock before has given it back."""
    lock, opened = tmp_path / "lock", []

    def open_once_removed(*arguments):
        opened.append(os.open(*arguments))
        if len(opened) == 1:
            lock.unlink()
        return opened[-1]

    monkeypatch.setattr("clearprop.files.os", SimpleNamespace(**vars(os) | {"open": open_once_removed}))
    with locked(lock):
        assert lock.exists()
    assert len(opened) == 2
