"""Nothing outside of a buffer is touched: programs run with each buffer at the edge of a page without any rights."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from native_steps import TARGETS_HERE

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pages without rights are made by mprotect")

SCRIPT = Path(__file__).parent / "guarded.py"

UNMASKED = """
import sys
sys.path.insert(0, {folder!r})
import guarded
from clearprop.backends.native.regions import Kernel, Lanes
load = Kernel._load
Kernel._load = lambda self, dtype, address, lanes: load(self, dtype, address, Lanes(lanes.count))
guarded.main({target!r}, True)
"""
"""Forgets the masks of loads."""

EARLY = """
import sys
sys.path.insert(0, {folder!r})
import guarded
from clearprop.backends.native.regions import Kernel
put = Kernel.put
Kernel.put = lambda self, register, address, lanes: put(self, register, self.out.after(address, "-1"), lanes)
guarded.main({target!r}, True)
"""
"""Stores a byte too early."""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("target", TARGETS_HERE)
def test_nothing_outside_is_touched(target: str) -> None:
    done = run(str(SCRIPT), target, "--quick")
    assert done.returncode == 0, f"{done.stdout.splitlines()[-1:]} {done.stderr}"
    assert int(done.stdout.split()[-2]) > 100


@pytest.mark.parametrize("mistake", [UNMASKED, EARLY])
def test_what_touches_more_crashes(mistake: str) -> None:
    done = run("-c", mistake.format(folder=str(SCRIPT.parent), target=TARGETS_HERE[0]))
    assert done.returncode in (-signal.SIGSEGV, -signal.SIGBUS), done.stderr
