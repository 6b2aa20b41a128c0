"""What the tests of the command line share: the command in this process, and in one of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from clearprop.cli.main import cli

SRC = Path(__file__).resolve().parents[2] / "src"
COMMAND = [sys.executable, "-c", "from clearprop.cli.main import main; main()"]


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def call():
    """Run the command line in this process; the exit status is checked."""

    def call(*arguments, status=0):
        result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == status, result.output
        assert "\x1b" not in result.output
        assert "Traceback" not in result.output
        return result

    return call


def environment(**more):
    path = os.pathsep.join(filter(None, [str(SRC), os.environ.get("PYTHONPATH", "")]))
    return os.environ | {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"} | more


@pytest.fixture
def spawn():
    """Start the command line in a process of its own."""
    started = []

    def spawn(*arguments, **more):
        process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env=environment(**more),
        )
        started.append(process)
        return process

    yield spawn
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def finish(spawn):
    """Run the command line in a process of its own to its end: status, stdout and stderr."""

    def finish(*arguments, **more):
        process = spawn(*arguments, **more)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    return finish


def houses(path: Path, rows: int = 120, seed: int = 0) -> Path:
    """Write a table with numbers, gaps, words, dates, an identifier, a constant, and control codes in labels."""
    rng = np.random.default_rng(seed)
    lines = ["id,area,rooms,built,town,garden,currency,price"]
    for i in range(rows):
        area, rooms = rng.normal(100, 20), rng.integers(1, 6)
        town = ["York", "Ely, Cambs", "B\x1b[31math"][rng.integers(3)]
        price = 1000 * area + 5000 * rooms + rng.normal(0, 500)
        values = [
            f"h-{i:04d}",
            f"{area:.2f}" if rng.random() > 0.1 else "",
            str(rooms),
            f"{rng.integers(1990, 2020)}-0{rng.integers(1, 10)}-1{rng.integers(10)}",
            f'"{town}"',
            "yes" if rng.random() > 0.5 else "no",
            "EUR",
            f"{price:.2f}",
        ]
        lines.append(",".join(values))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def house_file(tmp_path):
    return houses(tmp_path / "houses.csv")


QUICK = ("--epochs", "2", "--layers", "4", "--progress", "quiet")


@pytest.fixture(scope="session")
def quick():
    """Options of a training that is over at once."""
    return QUICK


@pytest.fixture
def iris_run(iris_template, tmp_path):
    """A trained run on iris, of the test's own."""
    return Path(shutil.copytree(iris_template, tmp_path / "iris-run"))


@pytest.fixture(scope="session")
def iris_template(tmp_path_factory):
    """A trained run on iris, made once."""
    folder = tmp_path_factory.mktemp("template") / "iris"
    result = CliRunner().invoke(cli, ["train", "iris", *QUICK, "--epochs", "20", "--lr", "0.02", "--out", str(folder)])
    assert result.exit_code == 0, result.output
    return folder
