"""Kill training at random moments, resume it, and compare every bit with a run that was left in peace.

Usage: python tools/kill_and_resume.py [--count 100] [--seed 0] [--jobs 2] [--backend native]

Each trial starts a process that trains a small network (dropout, Adam, cosine schedule, early stopping on held-out
samples, checkpoints every few steps), and sends it SIGKILL, SIGTERM or SIGINT at a random moment. Then it resumes
the run, in some trials to be killed again, until it is finished. The bytes of model.safetensors and the history
(without the seconds) must equal those of the uninterrupted run. Exits with 1 on any difference.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import clearprop as cp
from clearprop.train import Event, FitStarted

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
STOPPED = 3
"""How a child ends that was asked to stop and did: the run is to be resumed."""
LIMIT = 120.0
AGAIN = 0.25
"""How often a resumed process is killed as well."""


def train(folder: Path, backend: str) -> int:
    """The child: train in a folder, going on from the checkpoint there if there is one."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(333, 12))
    y = (X[:, 0] * X[:, 1] > 0).astype(int) + (X[:, 2] > 1)
    model = cp.Model(
        [cp.Dense(24, "relu", penalty=cp.L2(1e-4)), cp.Dropout(0.2), cp.Dense(3)],
        loss="cross_entropy",
        optimizer=cp.Adam(0.01),
        schedule=cp.Cosine(0.05),
        seed=7,
        backend=backend,
    )
    history = model.fit(
        X,
        y,
        epochs=60,
        batch_size=16,
        validation_split=0.2,
        early_stopping=cp.EarlyStopping("val_loss", patience=10),
        checkpoint_steps=5,
        run=folder,
        resume=(folder / "checkpoint.safetensors").exists(),
        listeners=[announce],
        progress=False,
    )
    return STOPPED if history.reason in ("interrupted", "terminated") else 0


def announce(event: Event) -> None:
    """Tell the parent that the fit began."""
    if isinstance(event, FitStarted):
        print("started", flush=True)


def start(folder: Path, backend: str) -> subprocess.Popen[str]:
    """Start a child; its first line of output comes when the fit begins."""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--child", str(folder), "--backend", backend]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def finish(folder: Path, backend: str) -> float:
    """Run a child to its end; return for how long it trained."""
    child = start(folder, backend)
    assert child.stdout is not None
    child.stdout.readline()
    began = time.monotonic()
    _, errors = child.communicate(timeout=LIMIT)
    if child.returncode != 0:
        raise RuntimeError(f"training in {folder} ended with status {child.returncode}:\n{errors}")
    return time.monotonic() - began


def kill(folder: Path, backend: str, after: float, number: int) -> bool:
    """Start a child and signal it some seconds after its fit began; tell whether that ended it early."""
    child = start(folder, backend)
    assert child.stdout is not None
    child.stdout.readline()
    time.sleep(after)
    child.send_signal(number)
    child.communicate(timeout=LIMIT)
    return child.returncode != 0


def outcome(folder: Path) -> tuple[bytes, dict[str, Any]]:
    """The bytes of the model, and the history without the seconds."""
    history = json.loads((folder / "history.json").read_text(encoding="utf-8"))
    return (folder / "model.safetensors").read_bytes(), {k: v for k, v in history.items() if k != "seconds"}


@dataclass
class Tally:
    """What happened, over all trials."""

    backend: str
    expected: tuple[bytes, dict[str, Any]]
    seconds: float
    identical: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    again: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def trial(self, folder: Path, seed: str) -> None:
        """Kill once or more, resume to the end, compare."""
        rng = random.Random(seed)
        number, killed = rng.choice(SIGNALS), 0
        while not killed:  # a process that was faster than the signal does not count
            folder = folder.with_name(f"{folder.name}_")
            killed += kill(folder, self.backend, rng.uniform(0.0, self.seconds), number)
        while rng.random() < AGAIN and kill(
            folder, self.backend, rng.uniform(0.0, 0.5 * self.seconds), rng.choice(SIGNALS)
        ):
            killed += 1
        finish(folder, self.backend)
        same = outcome(folder) == self.expected
        with self.lock:
            self.identical += same
            self.kinds[signal.Signals(number).name] += 1
            self.again += killed > 1
        if not same:
            print(f"trial {seed}: the resumed run differs", flush=True)


def run(count: int, seed: int, jobs: int, backend: str) -> int:
    """Run all trials; return the exit status."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="clearprop-kills-") as name:
        base = Path(name)
        seconds = finish(base / "whole", backend)
        tally = Tally(backend, outcome(base / "whole"), seconds)
        history = tally.expected[1]
        print(f"uninterrupted: {len(history['epochs'])} epochs, {history['reason']}, {seconds:.1f} s", flush=True)
        with ThreadPoolExecutor(jobs) as pool:
            trials = [pool.submit(tally.trial, base / f"trial{i}", f"{seed}/{i}") for i in range(count)]
            for trial in trials:
                trial.result()
    kinds = ", ".join(f"{kind} {times}" for kind, times in sorted(tally.kinds.items()))
    print(f"{kinds}; {tally.again} killed again while they resumed; {time.monotonic() - began:.0f} s")
    print(f"{count} kills, {count} resumes, {tally.identical} identical")
    return 0 if tally.identical == count else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100, help="how many trials (100)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and the signals (0)")
    parser.add_argument("--jobs", type=int, default=min(os.cpu_count() or 1, 4), help="trials at a time")
    parser.add_argument("--backend", default="native", help="what runs the programs (native)")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return train(options.child, options.backend)
    return run(options.count, options.seed, options.jobs, options.backend)


if __name__ == "__main__":
    sys.exit(main())
