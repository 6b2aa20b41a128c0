"""Folders of runs: claimed when training starts, and given back when it did not."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from clearprop.errors import SettingsError
from clearprop.model import Run

RUNS = Path("runs")
"""Where runs go by default, under the current folder."""


@contextmanager
def claimed(out: Path | None, name: str) -> Iterator[Run]:
    """Make the folder of a new run, and take it away again if training breaks off before its first checkpoint.

    Args:
        out: the folder; None takes the first free runs/<name>-<counter>.
        name: what the data is called.

    Raises:
        SettingsError: the folder holds something already.
    """
    parents = [parent for parent in (out or RUNS / "run").absolute().parents if not parent.exists()]
    folder, existed = (_numbered(name), False) if out is None else (out, out.exists())
    if out is not None:
        check_free(out)
        out.mkdir(parents=True, exist_ok=True)
    run = Run(folder)
    try:
        with run.held():
            if out is not None:
                check_free(out)  # another process may have been here since
            try:
                yield run
            except BaseException:
                if not run.checkpoint.exists():
                    _remove(run)
                raise
    except BaseException:
        for made in [] if existed else [folder, *parents]:
            with suppress(OSError):  # something lies in it
                made.rmdir()
        raise


def _numbered(name: str) -> Path:
    stem = re.sub(r"[^\w.-]+", "-", name.partition(".")[0]).strip("-.") or "run"
    RUNS.mkdir(exist_ok=True)
    for counter in itertools.count(1):
        folder = RUNS / f"{stem[:60]}-{counter}"
        with suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise AssertionError("unreachable")


def check_free(folder: Path) -> None:
    """Raise `SettingsError` if a folder holds something already."""
    if Run(folder).exists():
        raise SettingsError(
            f"{folder} holds a run already: choose another --out, or go on with it by --resume {folder}"
        )
    if folder.exists() and not folder.is_dir():
        raise SettingsError(f"{folder} is a file: --out names a folder")
    if folder.exists() and any(path != Run(folder).lock for path in folder.iterdir()):
        raise SettingsError(f"{folder} holds other files: --out names a new or an empty folder")


def _remove(run: Run) -> None:
    for file in (run.settings, run.history_file, run.events, run.model_file, run.results):
        file.unlink(missing_ok=True)
