"""The entry point: help, statuses, messages."""

import dataclasses
import gc
import resource
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from clearprop.cli.choices import Choices
from clearprop.cli.main import COMMANDS
from clearprop.cli.train import command as train
from clearprop.settings import limits


def test_help_is_quick(finish):
    """In seconds of the processor, which a busy machine changes less than those of the clock."""
    finish("--help")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    status, out, _ = finish("--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert status == 0
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5
    assert all(f"{name} " in out for name in COMMANDS)
    assert "130" in out


def test_help_loads_nothing_heavy(finish):
    status, _, err = finish("--help", PYTHONPROFILEIMPORTTIME="1")
    assert status == 0
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in err.splitlines()}
    assert "click" in loaded
    assert not loaded & {"numpy", "scipy", "sklearn", "rich", "duckdb"}


def test_what_a_command_loads_is_no_work_for_the_collector():
    program = (
        "import atexit, gc, sys, clearprop.cli.main as main\n"
        "atexit.register(lambda: print(gc.isenabled(), gc.get_freeze_count() > 10_000))\n"
        "sys.argv = ['clearprop', 'runs']\n"
        "main.main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-2:] == ["True", "True"]


def test_a_program_that_calls_the_command_line_keeps_its_collector(call):
    before = gc.get_freeze_count()
    call("runs")
    assert gc.isenabled()
    assert gc.get_freeze_count() == before


@pytest.mark.parametrize("collects", [True, False])
@pytest.mark.parametrize("argument", ["--version", "--help", "nonsense", "runs"])
def test_after_main_the_collector_is_as_it_was(collects, argument):
    program = (
        "import gc, sys, clearprop.cli.main as main\n"
        f"{'gc.enable()' if collects else 'gc.disable()'}\n"
        f"sys.argv = ['clearprop', {argument!r}]\n"
        "try:\n    main.main()\nexcept SystemExit:\n    print('collects', gc.isenabled(), gc.get_freeze_count() > 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    frozen = collects and argument == "runs"
    assert done.stdout.split()[-3:] == ["collects", str(collects), str(frozen)]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(call, name):
    text = call(name, "--help").stdout
    assert "Example" in text
    assert f"clearprop {name}" in text


def test_version(call):
    assert call("--version").stdout.startswith("clearprop ")


def test_python_runs_the_package_as_the_command(call):
    done = subprocess.run([sys.executable, "-m", "clearprop", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == call("--version").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], "Did you mean 'train'?"),
        (["train"], "Missing argument 'DATA'"),
        (["train", "iris", "--epochs", "0"], "--epochs"),
        (["train", "iris", "--lr", "nan"], "it lies in (0, inf), received 'nan'"),
        (["train", "iris", "--layers", "8,x"], "128,64"),
        (["train", "iris", "--metrics", "r2"], "accuracy"),
        (["train", "iris", "--metrics", "acuracy"], "accuracy"),
        (["train", "iris", "--loss", "squared_error"], "cross_entropy"),
        (["train", "irsi"], "Did you mean"),
        (["train", "iris", "--optimizer", "adamm"], "there is no 'adamm'; did you mean 'adam'? There are"),
        (["train", "iris", "--activation", "rellu"], "there is no 'rellu'; did you mean 'relu'? There are"),
        (["train", "iris", "--backend", "nativ"], "did you mean 'native'?"),
        (["train", "iris", "--optimizer", "?"], "'?' is not one of"),
        (["train", "iris", "--resume", "."], "leave out"),
        (["train", "--resume", "."], "no run"),
        (["evaluate", "nothing"], "nothing"),
        (["check", "."], "--gradients"),
    ],
)
def test_bad_usage_is_status_2(call, tmp_path, arguments, words):
    if "leave out" in words:
        arguments = [*arguments, "--epochs", "3"]
    result = call(*arguments, status=2)
    assert words in result.stderr
    assert not result.stdout
    assert not list(tmp_path.iterdir())


TYPED = [
    (name, value)
    for name, allowed in limits(Choices).items()
    if allowed.read is not str
    for value in allowed.wrong
    if isinstance(value, (int, float)) and not isinstance(value, bool)
]


@pytest.mark.parametrize(("name", "value"), TYPED)
def test_a_wrong_value_of_an_option_says_what_it_may_be(name, value):
    option = "--" + name.replace("_", "-")
    result = CliRunner().invoke(train, ["iris", f"{option}={value}"])
    assert result.exit_code == 2
    words = limits(Choices)[name].words.removesuffix(", or None")
    assert f"Invalid value for '{option}'" in result.stderr
    assert f"it {words}, received '{value}'" in result.stderr


def test_every_choice_is_an_option_with_its_default():
    options = {option.name: option for option in train.params}
    for field in dataclasses.fields(Choices):
        assert options[field.name].get_default(click.Context(train)) == field.default, field.name


def test_debug_shows_the_traceback(finish):
    status, _, err = finish("--debug", "train", "nothing.csv")
    assert status == 2
    assert "Traceback" in err
    assert "Error: there is no file nothing.csv" in err


def test_bad_data_has_no_traceback_and_leaves_nothing(finish, tmp_path):
    bad = tmp_path / "bad.csv"
    bad.write_text("a,b,target\n1,2,x\n3,4\n5,6,y\n")
    status, out, err = finish("train", bad)
    assert (status, out) == (2, "")
    assert "line 3" in err
    assert "Traceback" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["bad.csv"]


def test_control_codes_in_messages_are_escaped(call):
    assert "\\x1b" in call("train", "a\x1b[31mb.csv", status=2).stderr


@pytest.mark.parametrize("arguments", [("predict", "RUN", "iris"), ("--help",), ("train", "--help"), ("--version",)])
def test_closed_pipe_is_quiet(spawn, iris_run, arguments):
    process = spawn(*(iris_run if word == "RUN" else word for word in arguments))
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait(30) == 141
    assert err == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("arguments", ["--help", "--version", "train --help"])
def test_help_that_cannot_be_written(arguments):
    line = f"{shlex.quote(sys.executable)} -m clearprop {arguments} >/dev/full"
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "Error: No space left on device\n")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_streams_that_were_closed_before_the_start(iris_run, tmp_path, closed):
    for arguments in ("train iris --epochs 1 --out again", f"evaluate {iris_run}", f"source {iris_run}", "--help"):
        line = f"{shlex.quote(sys.executable)} -m clearprop {arguments} {closed}"
        done = subprocess.run(["/bin/sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, "Traceback" in done.stderr) == (0, False), f"{arguments}: {done.stderr}"
    assert (tmp_path / "again" / "model.safetensors").exists()


def test_output_in_an_ascii_terminal(call, finish, tmp_path, quick):
    path = tmp_path / "words.csv"
    rows = "".join(f"{i},{'ja' if i % 2 else 'nö'}\n" for i in range(20))
    path.write_text("größe,target\n" + rows, encoding="utf-8")
    call("train", path, *quick, "--out", "run")
    status, out, _ = finish("predict", "run", path, "--probabilities", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert status == 0
    assert out.splitlines()[0] == "prediction,probability_ja,probability_nö"
