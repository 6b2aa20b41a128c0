"""`timeline.py` times every kernel of a step."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from clearprop.backends.native.jit import host_machine


@pytest.mark.skipif(host_machine() not in ("x86_64", "amd64"), reason="other CPUs keep their time stamp for the system")
def test_every_kernel_has_a_line():
    script = Path(__file__).with_name("timeline.py")
    path = os.pathsep.join(filter(None, [str(script.parents[3] / "src"), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [sys.executable, script, "xor", "20"], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}
    )
    assert done.returncode == 0, done.stderr
    first, heading, *rows = done.stdout.splitlines()
    assert first.startswith("xor: ")
    assert heading.split()[:2] == ["kernel", "long"]
    assert len(rows) > 10
    assert all(float(row.split()[1]) >= 0 for row in rows)
