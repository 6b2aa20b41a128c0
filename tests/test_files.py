"""Files that are replaced, and what cannot be: links, modes, owners, pipes."""

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from clearprop.files import read_arrays, replacing, write_arrays, write_bytes

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links, modes and pipes of POSIX")


@pytest.fixture
def old(tmp_path):
    """A file that was there, and nobody else's to read."""
    path = tmp_path / "there" / "old.csv"
    path.parent.mkdir()
    path.write_bytes(b"old")
    path.chmod(0o600)
    return path


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def listed(path):
    return sorted(item.name for item in path.iterdir())


@pytest.fixture
def umask():
    """The permissions that a new file is without."""
    before = os.umask(0o027)
    yield 0o027
    os.umask(before)


def test_a_new_file_has_the_mode_of_open(tmp_path, umask):
    write_bytes(tmp_path / "deep" / "new", b"x")
    assert mode(tmp_path / "deep" / "new") == 0o666 & ~umask


@pytest.mark.parametrize("bits", [0o600, 0o640, 0o444, 0o755])
def test_the_mode_is_kept(old, bits):
    old.chmod(bits)
    write_bytes(old, b"new")
    assert (old.read_bytes(), mode(old)) == (b"new", bits)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root may write in another's name")
def test_the_owner_is_kept(old):
    os.chown(old, 1234, 2345)
    old.chmod(0o640)
    write_bytes(old, b"new")
    assert (old.stat().st_uid, old.stat().st_gid, mode(old)) == (1234, 2345, 0o640)


def test_an_owner_that_may_not_be_given_is_our_own(old, monkeypatch):
    def chown(*args):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("clearprop.files.os.chown", chown)
    write_bytes(old, b"new")
    assert (old.read_bytes(), mode(old)) == (b"new", 0o600)


def test_what_a_link_leads_to_is_replaced(old, tmp_path):
    second, first = tmp_path / "second", tmp_path / "first"
    second.symlink_to("there/old.csv")
    first.symlink_to(second)
    write_bytes(first, b"new")
    assert first.is_symlink()
    assert second.is_symlink()
    assert (old.read_bytes(), mode(old)) == (b"new", 0o600)
    assert listed(tmp_path) == ["first", "second", "there"]
    assert listed(old.parent) == ["old.csv"]


def test_a_link_to_nothing_makes_what_it_leads_to(tmp_path):
    (tmp_path / "link").symlink_to("deep/target")
    write_bytes(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "deep" / "target").read_bytes() == b"new"


def test_a_link_to_itself_is_an_error(tmp_path):
    (tmp_path / "link").symlink_to("link")
    with pytest.raises(OSError, match="link"):
        write_bytes(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()


def test_through_a_link_too_the_file_is_whole_or_as_before(old, tmp_path):
    (tmp_path / "link").symlink_to(old)

    def broken_off():
        with replacing(tmp_path / "link", "w") as file:
            file.write("half")
            file.flush()
            assert old.read_bytes() == b"old"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken_off()
    assert (old.read_bytes(), mode(old)) == (b"old", 0o600)
    assert listed(old.parent) == ["old.csv"]


@pytest.fixture
def pipe(tmp_path):
    """A named pipe with a reader, and a function that ends the reader and returns what it has read."""
    path, read = tmp_path / "pipe", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: read.append(path.read_bytes()), daemon=True)
    reader.start()

    def ended():
        reader.join(10)
        assert not reader.is_alive(), "nothing was written to the pipe"
        return read[0]

    return path, ended


@pytest.mark.parametrize("through_a_link", [False, True])
def test_a_pipe_is_written_to(pipe, tmp_path, through_a_link):
    path, ended = pipe
    given = path
    if through_a_link:
        given = tmp_path / "link"
        given.symlink_to(path)
    with replacing(given, "w", encoding="utf-8", newline="") as file:
        file.write("été\n")
    assert ended() == "été\n".encode()
    assert path.is_fifo()
    assert listed(tmp_path) == (["link", "pipe"] if through_a_link else ["pipe"])


def test_arrays_go_through_a_pipe(pipe, tmp_path):
    path, ended = pipe
    write_arrays(path, "model", {}, {"a": 1})
    (tmp_path / "file").write_bytes(ended())
    assert read_arrays(tmp_path / "file", "model") == ({}, {"a": 1})


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="no names for open files")
def test_an_open_file_is_written_to_by_its_number(tmp_path):
    """As a shell's >(...) and /dev/stdout name it: a pipe, or a file that has been removed."""
    read, write = os.pipe()
    write_bytes(Path(f"/proc/self/fd/{write}"), b"new")
    assert os.read(read, 10) == b"new"
    os.close(read)
    os.close(write)
    with open(tmp_path / "removed", "w+b") as file:
        os.unlink(tmp_path / "removed")
        write_bytes(Path(f"/proc/self/fd/{file.fileno()}"), b"new")
        assert file.read() == b"new"
    assert listed(tmp_path) == []


def test_a_folder_is_refused(old):
    with pytest.raises(IsADirectoryError, match="there"):
        write_bytes(old.parent, b"new")
    assert listed(old.parent) == ["old.csv"]


def test_a_pipe_that_nobody_reads_to_its_end(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = subprocess.Popen(["head", "-c", "1", str(path)], stdout=subprocess.DEVNULL)
    try:
        with pytest.raises(BrokenPipeError):
            write_bytes(path, b"x" * 1_000_000)
    finally:
        reader.kill()
        reader.wait()
    assert path.is_fifo()
