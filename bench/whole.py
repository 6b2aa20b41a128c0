"""The whole process: from the command to a network with 97 % test accuracy on the handwritten digits.

Every side trains 64-64-10 for fifteen epochs of batch 32 with Adam at 0.01 on the same rows, and has to reach it.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fresh import CACHES, compile_bytecode, run

import clearprop as cp

SCRIPTS = Path(__file__).parent / "scripts"
TARGET = 0.97
COMMAND = "train digits --layers 64 --lr 0.01 --epochs 15 --schedule constant --l2 1e-9 --validation 0 --progress quiet"
COMMAND_NAME = "clearprop train"
SIDES = {
    "clearprop": "with_clearprop.py",
    "torch": "with_torch.py",
    "jax, loop": "with_jax.py",
    "scikit-learn": "with_sklearn.py",
}


@dataclass(frozen=True)
class Whole:
    """Seconds from the start of a process to its end, first with empty caches, then with what it left there."""

    cold: float
    cached: float
    accuracy: float


def prepare(folder: Path) -> Path:
    """Write the digits, divided as `clearprop train` divides them, to a file that every script reads."""
    dataset = cp.data.load("digits")
    train, test = cp.data.split(dataset.target, 0.2, seed=0)
    x = (dataset.features.reshape(len(dataset.target), -1) / 16).astype(np.float32)
    path = folder / "digits.npz"
    np.savez(path, x=x[train], y=dataset.target[train], test_x=x[test], test_y=dataset.target[test])
    return path


def measure(names: Sequence[str], backend: str, repeats: int) -> dict[str, Whole]:
    """Time the processes of some sides, in turns."""
    compile_bytecode()
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as name_of_folder:
        data = prepare(Path(name_of_folder))
        folders = {name: Path(name_of_folder) / str(i) for i, name in enumerate(names)}
        for i in range(repeats + 1):
            for name, folder in folders.items():
                folder.mkdir(exist_ok=True)
                found[name].append(once(name, backend, folder, data, i))
    return {name: _summary(name, times) for name, times in found.items()}


def _summary(name: str, found: list[tuple[float, float]]) -> Whole:
    seconds, accuracy = zip(*found, strict=True)
    if min(accuracy) < TARGET:
        raise SystemExit(f"{name} reached {min(accuracy):.4f} on digits, below {TARGET}")
    return Whole(seconds[0], statistics.median(seconds[1:]), min(accuracy))


def once(name: str, backend: str, folder: Path, data: Path, number: int) -> tuple[float, float]:
    """Return the seconds of a process, and the accuracy that it reached."""
    caches = dict.fromkeys(CACHES, str(folder / "cache"))
    caches["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    start = time.perf_counter()
    if name == COMMAND_NAME:
        out = folder / f"run-{number}"
        entry = "from clearprop.cli.main import main; main()"
        run([sys.executable, "-c", entry, *COMMAND.split(), "--out", str(out)], **caches)
        seconds = time.perf_counter() - start
        return seconds, json.loads((out / "results.json").read_text())["test"]["accuracy"]
    printed = run([sys.executable, str(SCRIPTS / SIDES[name]), str(data), backend], **caches)
    return time.perf_counter() - start, float(printed)
