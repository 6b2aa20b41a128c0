"""Files that hold arrays and a description: safetensors, written atomically, read without running any code."""

from __future__ import annotations

import glob
import hashlib
import json
import math
import os
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from clearprop.errors import FileFormatError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_ATTEMPTS = 10
"""How often a lock is asked for that is taken away in between."""

FORMAT = 1
"""The version of the files' layout; a reader refuses a newer one."""

_DAMAGED = (SafetensorError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What reading a damaged or forged file may raise."""

Array = np.ndarray[Any, Any]


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that, whatever happens, either the old or the new content is there in full; see `replacing`."""
    with replacing(path, "wb") as file:
        file.write(content)


@contextmanager
def replacing(path: Path, mode: str, **how: Any) -> Iterator[IO[Any]]:
    """Open a file, as `open` does, that takes the place of `path` only when it is complete; missing folders are made.

    A symbolic link stays, and what it leads to is replaced. The mode of a file that was there is kept. A pipe or a
    device cannot be replaced: it is written to, as it comes. What a process that was killed left unfinished of the same
    file is taken away.
    """
    before = _status(path)
    if before is not None and not _replaceable(path, before):
        with open(path, mode, **how) as file:
            yield file
        return
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = _lock_folder(path)
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        try:
            with open(handle, mode, **how) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            _permit(temporary, _status(path))
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    finally:
        if lock is not None:
            os.close(lock)


def _lock_folder(path: Path) -> int | None:
    """Lock a file's folder until the handle is closed; whoever is alone in it first clears unfinished ones.

    The lock of a killed process is free. Where there are no such locks, nothing is cleared.
    """
    if sys.platform == "win32":
        return None
    with suppress(OSError):  # a folder that may not be read
        handle = os.open(path.parent, os.O_RDONLY)
        with suppress(OSError):  # a file system without locks
            with suppress(BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for part in path.parent.glob(f".{glob.escape(path.name)}.????????.part"):
                    part.unlink(missing_ok=True)
            fcntl.flock(handle, fcntl.LOCK_SH)
        return handle
    return None


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock while a `with` block runs: a file, which is there no longer than that; missing folders are made.

    The lock of a process that has died is free, though its file is still there. Where no lock can be had (some folders
    of a network, or those that may not be written to), the block runs without.

    Raises:
        BlockingIOError: somebody else holds the lock.
    """
    made = [folder for folder in path.parents if not folder.exists()]
    try:
        handle = _lock_file(path)
        try:
            yield
        finally:
            if handle is not None:
                _give_back(path, handle)
    finally:
        for folder in made:
            with suppress(OSError):  # something was written there
                folder.rmdir()


def _lock_file(path: Path) -> int | None:
    """Return the handle of a lock's file that is ours; None where there are no locks."""
    for _ in range(_ATTEMPTS):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:  # the folder went with the lock of before
            continue
        except OSError:
            return None
        try:
            if sys.platform == "win32":
                msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            os.close(handle)
            raise BlockingIOError(f"{path} is locked by another process") from error
        except OSError:
            _give_back(path, handle)
            return None
        now = _status(path)
        if now is not None and os.path.samestat(os.fstat(handle), now):
            return handle
        os.close(handle)  # whoever had it took the file away after we had opened it
    return None


def _give_back(path: Path, handle: int) -> None:
    """Take a lock's file away, and free it, also where a process that was forked has its handle."""
    if sys.platform == "win32":  # an open file cannot be taken away there
        os.close(handle)
    with suppress(OSError):
        path.unlink(missing_ok=True)
    if sys.platform != "win32":
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)


def _status(path: Path) -> os.stat_result | None:
    """Return what is known of the file that a path leads to; None if there is none."""
    with suppress(FileNotFoundError):
        return path.stat()
    return None


def _replaceable(path: Path, status: os.stat_result) -> bool:
    """Tell whether another file may take the place of one: it is a regular file, and has a name.

    The links in /dev/fd lead to pipes and to files that were removed, under names that are none.
    """
    target = _status(Path(os.path.realpath(path)))
    return stat.S_ISREG(status.st_mode) and target is not None and os.path.samestat(status, target)


def _permit(temporary: str, before: os.stat_result | None) -> None:
    """Give a file the mode, and as far as that is allowed the owner, of the one before it."""
    if before is None:
        os.chmod(temporary, 0o666 & ~_umask())
        return
    if sys.platform != "win32":
        with suppress(OSError):
            os.chown(temporary, before.st_uid, before.st_gid)
    os.chmod(temporary, before.st_mode & 0o777)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_json(path: Path, data: Any) -> None:
    """Write JSON atomically; see `to_json`."""
    write_bytes(path, (to_json(data, indent=1) + "\n").encode())


def to_json(data: Any, indent: int | None = None) -> str:
    """Return JSON; floats keep every digit, and NaN and the infinities, which JSON lacks, become null."""
    return json.dumps(_with_nulls(data), indent=indent, ensure_ascii=False, allow_nan=False)


def _with_nulls(data: Any) -> Any:
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, Mapping):
        return {key: _with_nulls(value) for key, value in data.items()}
    return [_with_nulls(item) for item in data] if isinstance(data, list | tuple) else data


def read_json(path: Path) -> Any:
    """Read JSON; `FileFormatError` names a file that is missing or damaged."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise FileFormatError(f"{path} does not exist") from error
    except (OSError, RecursionError, ValueError) as error:
        raise FileFormatError(f"{path} cannot be read as JSON: {error}") from error


def write_arrays(path: Path, kind: str, arrays: Mapping[str, Array], description: Any) -> None:
    """Write arrays and a description of JSON data to a safetensors file, atomically.

    Args:
        path: where; missing folders are made.
        kind: what the file is, such as "model".
        arrays: the arrays by name.
        description: what else is known; it goes into the file's header.
    """
    contiguous = {name: np.ascontiguousarray(array).reshape(np.shape(array)) for name, array in arrays.items()}
    header = {"format": FORMAT, "kind": kind, "description": description, "digest": _digest(contiguous, description)}
    write_bytes(path, save(contiguous, metadata={"clearprop": json.dumps(header)}))


def _digest(arrays: Mapping[str, Array], description: Any) -> str:
    """Return a digest of everything a file says, so that no damage, in numbers or in words, goes unnoticed."""
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        digest.update(json.dumps([name, str(array.dtype), array.shape]).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def read_arrays(path: Path, kind: str) -> tuple[dict[str, Array], Any]:
    """Read what `write_arrays` wrote.

    Raises:
        FileFormatError: the file is missing, damaged, not ours, of another kind or of a newer format.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileFormatError(f"{path} cannot be read: {error.strerror or error}") from error
    header = _header(path, content)
    if header.get("format", 0) > FORMAT:
        raise FileFormatError(f"{path} has format {header['format']}, newer than {FORMAT}: update clearprop")
    if header.get("kind") != kind:
        raise FileFormatError(f"{path} holds a {header.get('kind')}, and a {kind} was expected")
    try:
        arrays, description = load(content), header["description"]
        intact = header["digest"] == _digest(arrays, description)
    except _DAMAGED as error:
        raise FileFormatError(f"{path} is damaged: {error}; use an earlier copy") from error
    if not intact:
        raise FileFormatError(f"{path} is damaged: its content is not what was written; use an earlier copy")
    return arrays, description


def check_arrays(path: Path, arrays: Mapping[str, Any], wanted: Mapping[str, Any], fit: str) -> None:
    """Raise `FileFormatError` unless arrays have the names, shapes and dtypes of others, or of types by name.

    Args:
        path: the file that they are from.
        arrays: what was read.
        wanted: what goes with the rest.
        fit: what they do not fit, in words.
    """
    kinds = [{k: (tuple(a.shape), str(a.dtype)) for k, a in group.items()} for group in (arrays, wanted)]
    odd = sorted(name for name in {*arrays, *wanted} if kinds[0].get(name) != kinds[1].get(name))
    if odd:
        raise FileFormatError(f"{path} is damaged: its arrays {', '.join(odd)} do not fit {fit}")


def _header(path: Path, content: bytes) -> dict[str, Any]:
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or size > len(content) - 8:
        raise FileFormatError(f"{path} is no safetensors file, or it is cut short")
    try:
        header = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["clearprop"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FileFormatError(f"{path} was not written by clearprop: its header has no description") from error
    if not isinstance(header, dict) or type(header.get("format")) is not int:
        raise FileFormatError(f"{path} was not written by clearprop: its description is not understood")
    return header
