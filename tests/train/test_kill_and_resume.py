"""Three kills, as `tools/kill_and_resume.py` does a hundred."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "kill_and_resume.py"


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_three_kills(backend):
    command = [sys.executable, TOOL, "--count", "3", "--seed", "1", "--backend", backend]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "3 kills, 3 resumes, 3 identical"
