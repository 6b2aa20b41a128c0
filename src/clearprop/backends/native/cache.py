"""Machine code that is kept: in memory for this process, on disk for the next one."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Generic, TypeVar

VARIABLE = "CLEARPROP_CACHE"
"""The environment variable that names the folder for machine code, or says "off"."""

LIMIT = 256 * 2**20
"""About how many bytes of machine code the folder may hold."""

_COUNTED = "0"
"""The folder's size is looked at when a key that starts so is stored, one in 16: it takes 60 ms with 8000 files."""

_FOLDER = "objects-1"
_STALE_SECONDS = 3600.0
_DIGEST = hashlib.sha256().digest_size

Value = TypeVar("Value")


class Memo(Generic[Value]):
    """The values last asked for. Threads that ask for the same one at once wait while one of them makes it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, tuple[threading.Lock, list[Value]]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Return the value of a key; made, if it is not there."""
        with self._lock:
            lock, made = self._entries.setdefault(key, (threading.Lock(), []))
            self._entries.move_to_end(key)
            while len(self._entries) > self._most:
                self._entries.popitem(last=False)
        with lock:
            if not made:
                made.append(make())
            return made[0]

    def renew_locks(self) -> None:
        """Forget who holds a lock: in a forked child those threads are gone, and what they were making is made anew."""
        self._lock = threading.Lock()
        for key, (_, made) in self._entries.items():
            self._entries[key] = (threading.Lock(), made)


class ObjectCache:
    """A folder of machine code, one file a key: the SHA-256 of the code, and the code.

    What lies here is run, so on POSIX a folder or a file is used only if it belongs to the user and nobody else may
    write to it. A file that is damaged is as good as none, and so is a folder that cannot be read or written.
    Files come into being whole, under another name first, so that processes do not disturb each other.

    Args:
        folder: where; None keeps nothing.
        limit: about how many bytes it may hold; what was not used for longest goes first. It may hold a few files more.
    """

    def __init__(self, folder: Path | None, limit: int = LIMIT) -> None:
        self._folder, self._limit = folder, limit

    def load(self, key: str) -> bytes | None:
        """Return the code of a key, or None if it is not there, not whole, or not to be trusted."""
        if self._folder is None:
            return None
        path = self._folder / key
        try:
            if not _is_private(os.lstat(self._folder), stat.S_ISDIR):
                return None
            with open(
                os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)), "rb"
            ) as file:
                content = file.read() if _is_private(os.fstat(file.fileno()), stat.S_ISREG) else b""
            os.utime(path)
        except OSError:
            return None
        digest, code = content[:_DIGEST], content[_DIGEST:]
        return code if digest == hashlib.sha256(code).digest() else None

    def store(self, key: str, code: bytes) -> None:
        """Keep the code of a key, unless the folder is not to be trusted or cannot be written."""
        if self._folder is None:
            return
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if _is_private(os.lstat(self._folder), stat.S_ISDIR):
                self._write(self._folder / key, hashlib.sha256(code).digest() + code)
                if key.startswith(_COUNTED):
                    self._trim()

    @staticmethod
    def _write(path: Path, content: bytes) -> None:
        handle, temporary = tempfile.mkstemp(suffix=".part", dir=path.parent)  # mode 0600
        try:
            with open(handle, "wb") as file:
                file.write(content)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def _trim(self) -> None:
        """Remove what was not used for longest, until the rest is within the limit, and what was never finished."""
        assert self._folder is not None
        found = []
        for entry in os.scandir(self._folder):
            with contextlib.suppress(OSError):  # another process may have removed it
                about = entry.stat(follow_symlinks=False)
                found.append((about.st_mtime, about.st_size, entry))
        total = 0
        for used, size, entry in sorted(found, key=lambda item: -item[0]):
            unfinished = entry.name.endswith(".part")
            total += size
            if total > self._limit if not unfinished else time.time() - used > _STALE_SECONDS:
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)


def _is_private(about: os.stat_result, is_kind: Callable[[int], bool]) -> bool:
    """Whether it is of the kind, the user's own, and closed to the writing of others; POSIX alone can tell."""
    if os.name != "posix":
        return is_kind(about.st_mode)
    return is_kind(about.st_mode) and about.st_uid == os.geteuid() and not about.st_mode & 0o022


def default_folder() -> Path | None:
    """Return the folder that the environment names, or that of the user's caches; None if there is none."""
    given = os.environ.get(VARIABLE, "")
    if given:
        return None if given == "off" else Path(given) / _FOLDER
    try:
        home = Path.home()
    except RuntimeError:
        return None
    if sys.platform == "darwin":
        base = home / "Library" / "Caches"
    elif os.name == "nt":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    else:
        given = os.environ.get("XDG_CACHE_HOME", "")
        base = Path(given) if os.path.isabs(given) else home / ".cache"
    return base / "clearprop" / _FOLDER
