"""Machine code that is kept: in memory, on disk, for another process, and what must not be trusted."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from clearprop import ops
from clearprop.backends.native import Native, cache, jit, native
from clearprop.backends.native.cache import Memo, ObjectCache, default_folder
from clearprop.backends.native.targets import TARGETS
from clearprop.ir import Batch, Program, Type

SRC = Path(__file__).resolve().parents[3] / "src"
KEY = "0" * 64
posix = pytest.mark.skipif(os.name != "posix", reason="POSIX alone has owners and modes")


def program(factor: float = 2.0) -> Program:
    return ops.trace(lambda x: ops.tanh(x) * factor, {"x": Type("float32", (Batch(),))})


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A cache of its own, and a memory that knows nothing."""
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    forget(monkeypatch)
    found = default_folder()
    assert found is not None
    return found


def forget(monkeypatch) -> None:
    monkeypatch.setattr(native, "_COMPILED", Memo(64))


def test_the_same_program_is_compiled_once_in_a_process(folder, monkeypatch):
    monkeypatch.setenv(cache.VARIABLE, "off")
    first, second, other = (Native().compile(program(factor)) for factor in (2.0, 2.0, 3.0))
    assert first.code is second.code
    assert other.code is not first.code
    assert not folder.exists()


def test_targets_do_not_share_code(folder):
    names = [name for name in ("baseline", "avx2") if jit.host_features().get("avx2", name == "baseline")]
    codes = {id(Native(name).compile(program()).code) for name in names}
    assert len(codes) == len(names)
    assert len(os.listdir(folder)) == len(names)


def test_threads_that_ask_at_once_compile_once(folder, monkeypatch):
    made = []

    def slow(*arguments):
        made.append(arguments)
        time.sleep(0.05)
        return compile_text(*arguments)

    compile_text = native.compile_text
    monkeypatch.setattr(native, "compile_text", slow)
    codes = []
    threads = [threading.Thread(target=lambda: codes.append(Native().compile(program()).code)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert len(codes) == 4
    assert len({id(code) for code in codes}) == 1


def test_memory_is_bounded_and_what_failed_is_tried_again():
    memo: Memo[int] = Memo(2)
    calls: list[str] = []

    def make(key: str) -> int:
        calls.append(key)
        if calls == ["a"]:
            raise ValueError("not yet")
        return len(calls)

    with pytest.raises(ValueError, match="not yet"):
        memo.get("a", lambda: make("a"))
    assert memo.get("a", lambda: make("a")) == memo.get("a", lambda: make("a")) == 2
    for key in ("b", "a", "c", "a", "b"):  # c drives out b, the least recently used
        memo.get(key, lambda key=key: make(key))
    assert calls == ["a", "a", "b", "c", "b"]


def test_code_comes_back_from_disk_and_computes_the_same(folder, monkeypatch):
    x = np.linspace(-3, 3, 37, dtype=np.float32)
    compiled = Native().compile(program())
    forget(monkeypatch)
    loaded = Native().compile(program())
    assert (compiled.code.cached, loaded.code.cached) == (False, True)
    np.testing.assert_array_equal(compiled({"x": x})["result"], loaded({"x": x})["result"])


def test_the_key_is_made_of_everything_that_decides_the_code(monkeypatch):
    text, target = "; nothing", TARGETS["baseline"]
    keys = [jit._key(text, target), jit._key(text + " ", target), jit._key(text, TARGETS["avx2"])]
    for owner, name, value in (
        (jit, "_cpu", lambda features: ("other", "")),
        (jit, "_cpu", lambda features: ("", "+other")),
        (jit, "_RECIPE", "other"),
        (jit.llvmlite, "__version__", "0.0"),
        (jit.llvm, "llvm_version_info", (0, 0, 0)),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, value)
            keys.append(jit._key(text, target))
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("damage", ["cut", "emptied", "flipped", "foreign"])
def test_a_damaged_file_is_noticed_and_written_anew(folder, monkeypatch, damage):
    Native().compile(program())
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    path.write_bytes({"cut": whole[:-9], "emptied": b"", "flipped": flipped, "foreign": b"x" * 99}[damage])
    forget(monkeypatch)
    run = Native().compile(program())
    assert not run.code.cached
    np.testing.assert_allclose(run({"x": np.ones(1, np.float32)})["result"], 2 * np.tanh(1.0), rtol=1e-6)
    assert path.read_bytes() == whole


def test_the_stages_can_be_the_first_thing_that_is_asked_for():
    jit.host_features.cache_clear()
    jit._cpu.cache_clear()
    text = native.write_module(program(), TARGETS["baseline"]).text
    assert "program" in jit.translate(text, TARGETS["baseline"])[1]


@posix
def test_files_and_folder_are_private(folder):
    Native().compile(program())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()] == [0o600]


@posix
def test_what_others_may_write_is_not_run(folder, monkeypatch):
    Native().compile(program())
    (path,) = folder.iterdir()
    for place, mode, back in ((path, 0o666, 0o600), (path, 0o620, 0o600), (folder, 0o777, 0o700)):
        place.chmod(mode)
        forget(monkeypatch)
        assert not Native().compile(program()).code.cached
        place.chmod(back)
    forget(monkeypatch)
    assert Native().compile(program()).code.cached


@posix
def test_what_belongs_to_another_user_is_not_run(folder, monkeypatch):
    Native().compile(program())
    forget(monkeypatch)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert not Native().compile(program()).code.cached


@posix
def test_a_link_in_the_place_of_a_file_is_not_followed(folder, tmp_path):
    kept = ObjectCache(folder)
    kept.store(KEY, b"code")
    (folder / KEY).rename(tmp_path / "elsewhere")
    (folder / KEY).symlink_to(tmp_path / "elsewhere")
    assert kept.load(KEY) is None


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "file"))
    forget(monkeypatch)
    assert not Native().compile(program()).code.cached


def test_a_full_disk_is_no_error_and_leaves_nothing(folder, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert not Native().compile(program()).code.cached
    assert not os.listdir(folder)


def test_the_folder_is_bounded_and_what_was_not_used_for_longest_goes(tmp_path):
    folder = tmp_path / "objects"
    kept = ObjectCache(folder, limit=3 * 1032)
    for i in range(3):
        kept.store(f"a{i}", bytes(1000))
        os.utime(folder / f"a{i}", (i, i))
    assert kept.load("a0") is not None  # used just now
    (folder / "dead.part").write_bytes(bytes(5000))
    os.utime(folder / "dead.part", (0, 0))
    (folder / "live.part").write_bytes(b"")
    kept.store("0a", bytes(1000))
    assert sorted(os.listdir(folder)) == ["0a", "a0", "a2", "live.part"]


def test_the_folder_is_looked_at_once_in_a_while(tmp_path):
    """Hashes start with each of 16 digits equally often."""
    kept, keys = ObjectCache(tmp_path / "objects", limit=20 * 132), [f"{i:x}" for i in range(1, 16)]
    for turn in range(4):
        for key in keys:
            kept.store(f"{key}{turn}", bytes(100))
    assert len(os.listdir(tmp_path / "objects")) == 60
    kept.store("0", bytes(100))
    assert len(os.listdir(tmp_path / "objects")) == 20


def test_where_the_folder_is(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.delenv(cache.VARIABLE)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_folder() == tmp_path / "xdg" / "clearprop" / "objects-1"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert default_folder() == tmp_path / ".cache" / "clearprop" / "objects-1"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert default_folder() == tmp_path / "Library" / "Caches" / "clearprop" / "objects-1"
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "given"))
    assert default_folder() == tmp_path / "given" / "objects-1"
    monkeypatch.setenv(cache.VARIABLE, "off")
    assert default_folder() is None


OTHER_PROCESS = """
import numpy as np
from clearprop import ops
from clearprop.backends.native import Native
from clearprop.ir import Batch, Type
run = Native().compile(ops.trace(lambda x: ops.tanh(x) * 2.0, {"x": Type("float32", (Batch(),))}))
print(run.code.cached, run({"x": np.ones(1, np.float32)})["result"].tobytes().hex())
"""


def processes(folder: Path, count: int) -> list[list[str]]:
    environment = os.environ | {cache.VARIABLE: str(folder), "PYTHONPATH": str(SRC), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", OTHER_PROCESS]
    started = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    return [process.communicate(timeout=120)[0].split() for process in started]


def test_a_second_process_starts_without_compiling_and_two_at_once_are_safe(tmp_path):
    together = processes(tmp_path / "cache", 2)
    (after,) = processes(tmp_path / "cache", 1)
    assert after[0] == "True"
    assert {bits for _, bits in together} == {after[1]}
    assert len(os.listdir(tmp_path / "cache" / "objects-1")) == 1
