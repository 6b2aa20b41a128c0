"""What only a fresh process shows: how long an import and the first step take, and how much memory a fit needs.

    python bench/fresh.py SIDE WORKLOAD BACKEND     one process: a JSON line with its figures

The other functions start such processes.
"""

from __future__ import annotations

import compileall
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from peers import sides_of

import clearprop
from clearprop.bench import WORKLOADS

IMPORTS = {
    "clearprop": "import clearprop as cp; cp.Model, cp.Dense, cp.Adam",
    "torch": "import torch",
    "jax, loop": "import jax, jax.numpy",
    "scikit-learn": "from sklearn.neural_network import MLPClassifier",
}
CACHES = ("XDG_CACHE_HOME", "JAX_COMPILATION_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
"""The variables that say where each side keeps compiled code."""
STEPS = 20


@dataclass(frozen=True)
class First:
    """Seconds until the first step is done, without and with caches on disk, and the most memory in MiB."""

    cold: float
    cached: float
    memory: float


def compile_bytecode() -> None:
    """Compile clearprop to bytecode, as an installer does with what it installs: the peers have theirs."""
    compileall.compile_dir(Path(clearprop.__file__).parent, quiet=2)


def import_seconds(names: Sequence[str], repeats: int) -> dict[str, float]:
    """Return the median times of importing what a fit needs, the sides in turns."""
    compile_bytecode()
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(repeats):
        for name in names:
            program = f"import time; start = time.perf_counter(); {IMPORTS[name]}; print(time.perf_counter() - start)"
            seconds[name].append(float(run([sys.executable, "-c", program])))
    return {name: statistics.median(found) for name, found in seconds.items()}


def first_step(name: str, workload: str, backend: str) -> First:
    """Start two processes one after the other with a cache that is empty at first."""
    command = [sys.executable, __file__, name, workload, backend]
    with tempfile.TemporaryDirectory() as folder:
        caches = dict.fromkeys(CACHES, folder)
        caches["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        cold, cached = (json.loads(run(command, **caches)) for _ in range(2))
    return First(cold["seconds"], cached["seconds"], cached["memory"])


def run(command: list[str], **environment: str) -> str:
    """Run a command; return what it printed."""
    done = subprocess.run(command, env=os.environ | environment, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def peak_memory() -> float:
    """Return the most memory that this process has had, in MiB.

    `ru_maxrss` would not do on Linux: a process starts with that of the one that started it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


def main(name: str, workload_name: str, backend: str) -> None:
    """Print the figures of this process; the side's form with all threads."""
    workload = next(workload for workload in WORKLOADS if workload.name == workload_name)
    data = workload.data()
    side = sides_of(name, backend)[-1]
    start = time.perf_counter()
    train = side.prepare(workload, data)
    train(1)
    seconds = time.perf_counter() - start
    train(STEPS)
    print(json.dumps({"seconds": seconds, "memory": peak_memory()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
