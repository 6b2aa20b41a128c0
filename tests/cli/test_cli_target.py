"""A target that cannot be learnt is refused with the figures of the whole file, and the file's name."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["only"] * 30, ["one.csv", "all 30 rows", "'only'"]),
        (["x", "y", "z"], ["one.csv", "3 rows", "class of its own"]),
    ],
)
def test_one_class_or_one_row_a_class(tmp_path, labels, words):
    rows = "".join(f"{number},{label}\n" for number, label in enumerate(labels))
    (tmp_path / "one.csv").write_text("a,y\n" + rows)
    code = "from clearprop.cli.main import main; main()"
    command = [sys.executable, "-c", code, "train", "one.csv", "--target", "y"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.csv"]
