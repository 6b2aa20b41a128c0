"""Programs of Python in processes of their own, which begin with a large program that a team has run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_START = """\
import os, sys, threading, time
import numpy as np
from clearprop import ops
from clearprop.backends.native import Native
from clearprop.backends.native import threads as workers
from clearprop.backends.native.jit import compile_text, host_features, host_machine
from clearprop.backends.native.targets import choose
from clearprop.ir import Type
run = Native(threads=3).compile(ops.trace(ops.tanh, {"x": Type("float32", (1000, 1000))}))
x = {"x": np.ones((1000, 1000), "f4")}
expected = run(x)["result"]
assert run.team.address
"""


def python(text: str, **environment: str) -> str:
    """Run a program in a process of its own and return what it prints."""
    source = Path(__file__).parents[3] / "src"
    done = subprocess.run(
        [sys.executable, "-c", _START + text],
        env={**os.environ, "PYTHONPATH": str(source), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout
