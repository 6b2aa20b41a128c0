"""Interrupted runs: the status, the message, and the same bits after --resume."""

import json
import shutil
import signal
import sys
import time
import weakref

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from clearprop.cli import signals
from clearprop.cli.main import cli
from clearprop.model import Run

OFTEN = ("--epochs", "16", "--layers", "4", "--batch-size", "8", "--dropout", "0.1")
OFTEN += ("--progress", "quiet", "--checkpoint-every", "3")
LONG = (*OFTEN, "--validation", "0.1")


def wait_for_checkpoint(process, run, seconds=40):
    end = time.monotonic() + seconds
    while not (run / "checkpoint.safetensors").exists() and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, iris_template):
    """The model file of a run that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole") / "run"
    result = CliRunner().invoke(cli, ["train", "iris", *LONG, "--out", str(out)])
    assert result.exit_code == 0, result.output
    return (out / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("number", "status", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_interrupted_and_resumed_is_the_same_to_the_bit(spawn, call, tmp_path, whole, number, status, word):
    run = tmp_path / "run"
    process = spawn("train", "iris", *LONG, "--out", run)
    wait_for_checkpoint(process, run)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (status, "")
    assert word in err
    assert f"clearprop train --resume {run}" in err
    assert "Traceback" not in err
    assert word in call("runs", run).stdout
    assert "test (30 rows)" in call("train", "--resume", run, "--progress", "quiet").stdout
    assert (run / "model.safetensors").read_bytes() == whole


def test_killed_and_resumed_is_the_same_to_the_bit(spawn, call, tmp_path, whole):
    run = tmp_path / "run"
    process = spawn("train", "iris", *LONG, "--out", run)
    wait_for_checkpoint(process, run)
    process.kill()
    process.wait()
    assert "not ended" in call("runs", run).stdout
    call("train", "--resume", run, "--progress", "quiet")
    assert (run / "model.safetensors").read_bytes() == whole


def test_two_processes_do_not_train_in_one_folder(spawn, call, tmp_path, whole):
    """Neither by --resume nor by --out; a third may go on as soon as the first is gone, also by force."""
    run = tmp_path / "run"
    process = spawn("train", "iris", *LONG, "--out", run)
    wait_for_checkpoint(process, run)
    process.send_signal(signal.SIGSTOP)
    files = {path.name: path.read_bytes() for path in run.iterdir()}
    for arguments in (("--resume", run), ("iris", "--resume", run)):
        refused = call("train", *arguments, "--progress", "quiet", status=2)
        assert "run is being trained already, by another process" in refused.stderr
    assert "holds a run already" in call("train", "iris", "--out", run, status=2).stderr
    assert {path.name: path.read_bytes() for path in run.iterdir()} == files
    process.kill()
    process.wait()
    call("train", "--resume", run, "--progress", "quiet")
    assert (run / "model.safetensors").read_bytes() == whole
    assert not [path for path in run.iterdir() if path.name.startswith(".")]


def test_a_folder_that_another_process_has_just_taken(call, tmp_path):
    """What the other one has begun there stays; without one, a lock that was left behind is no file."""
    out = tmp_path / "run"
    with Run(out).held():
        assert "is being trained already" in call("train", "iris", *OFTEN, "--out", out, status=2).stderr
        assert [path.name for path in out.iterdir()] == [".training.lock"]
    out.mkdir()
    (out / ".training.lock").touch()
    call("train", "iris", *OFTEN, "--out", out)
    assert not (out / ".training.lock").exists()


def test_a_small_set_with_a_validation_part_of_its_own_goes_on(spawn, call, tmp_path):
    rng = np.random.default_rng(0)
    for part, count in {"train": 12, "validation": 4, "test": 4}.items():
        for label in ("a", "b"):
            (tmp_path / "photos" / part / label).mkdir(parents=True)
            for i in range(count):
                image = Image.fromarray(rng.integers(0, 256, (4, 4), np.uint8))
                image.save(tmp_path / "photos" / part / label / f"{i}.png")
    call("train", "photos", *OFTEN, "--out", "whole")
    process = spawn("train", "photos", *OFTEN, "--out", "run")
    wait_for_checkpoint(process, tmp_path / "run")
    process.kill()
    process.wait()
    call("train", "--resume", "run", "--progress", "quiet")
    for name in ("model.safetensors", "results.json"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert json.loads((tmp_path / "run" / "results.json").read_text())["samples"]["validation"] == 8


def test_killed_before_the_first_checkpoint_starts_again(call, iris_run):
    before = (iris_run / "model.safetensors").read_bytes()
    for name in ("checkpoint.safetensors", "history.json", "model.safetensors", "results.json", "events.jsonl"):
        (iris_run / name).unlink()
    assert "starts again" in call("train", "--resume", iris_run, "--progress", "quiet").stderr
    assert (iris_run / "model.safetensors").read_bytes() == before


def test_an_ended_run_shows_its_figures_again(call, iris_run):
    before = (iris_run / "results.json").read_bytes()
    result = call("train", "--resume", iris_run)
    assert "has ended already" in result.stderr
    assert "accuracy" in result.stdout
    assert (iris_run / "results.json").read_bytes() == before


@pytest.mark.parametrize("delay", [0.2, 0.5, 0.8])
def test_terminated_before_training_leaves_nothing(spawn, tmp_path, delay):
    run = tmp_path / "deep" / "run"
    process = spawn("train", "iris", *LONG, "--epochs", "200", "--out", run)
    time.sleep(delay)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode in (143, -signal.SIGTERM)  # the latter before Python runs our code
    assert "Traceback" not in err
    assert not run.parent.exists() or (run / "checkpoint.safetensors").exists()


def test_a_swallowed_signal_is_raised_again(monkeypatch):
    monkeypatch.setattr(signals, "_asked", [])
    signals.check()
    monkeypatch.setattr(signals, "_asked", [signal.SIGTERM])
    with pytest.raises(SystemExit, match="143"):
        signals.check()
    monkeypatch.setattr(signals, "_asked", [signal.SIGINT])
    with pytest.raises(KeyboardInterrupt):
        signals.check()


def test_a_signal_within_a_finalizer_is_not_told_of(monkeypatch, capsys):
    """Python prints what a finalizer raises, and goes on."""
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr(signals, "_asked", [])
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    signals.install()

    def finalize(number):
        reference = weakref.ref(owner := set(), lambda _: signals._ask(number, None))
        del owner
        return reference

    for number, exception in ((signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)):
        finalize(number)
        assert not capsys.readouterr().err
        with pytest.raises(exception):
            signals.check()
    reference = weakref.ref(owner := set(), lambda _: 1 // 0)
    del owner
    assert reference() is None
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_changed_data_is_refused_and_moved_data_is_not(call, house_file, tmp_path, quick, monkeypatch):
    call("train", house_file, "--target", "price", *quick, "--out", "run")
    for name in ("history.json", "results.json"):
        (tmp_path / "run" / name).unlink()
    moved = shutil.move(house_file, tmp_path / "elsewhere.csv")
    assert "no longer there" in call("train", "--resume", "run", status=2).stderr
    assert "no longer there" in call("evaluate", "run", status=2).stderr
    before = (tmp_path / "run" / "settings.json").read_text()
    call("train", "elsewhere.csv", "--resume", "run", "--progress", "quiet")
    after = (tmp_path / "run" / "settings.json").read_text()
    assert after == before.replace(str(house_file), str(moved)).replace("houses.csv", "elsewhere.csv")
    monkeypatch.chdir(tmp_path / "run")
    assert call("evaluate", ".").stdout.startswith("test (24 rows)")
    assert "has ended already" in call("train", "--resume", ".").stderr
    monkeypatch.chdir(tmp_path)
    text = (tmp_path / "elsewhere.csv").read_text()
    (tmp_path / "elsewhere.csv").write_text(text.replace("EUR", "USD"))
    for other in (moved, shutil.copy(moved, tmp_path / "other.csv")):
        assert "changed" in call("train", other, "--resume", "run", status=2).stderr
    assert (tmp_path / "run" / "settings.json").read_text() == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"epochs": 20', '"epochs": "x"'),
        ('"seed": 0', '"sed": 0'),
        ('"augment": []', '"augment": ["blur"]'),
        ('"size": null', '"size": [0, 8]'),
        ('"layers": [\n', '"layers": 3, "x": [\n'),
        ("{", "["),
        ('"command"', '"comand"'),
    ],
)
def test_damaged_settings_are_named(call, iris_run, before, after):
    path = iris_run / "settings.json"
    path.write_text(path.read_text().replace(before, after, 1))
    for arguments in (("train", "--resume", iris_run), ("evaluate", iris_run), ("check", iris_run, "--gradients")):
        assert (
            "settings.json" in call(*arguments, status=2).stderr
            or "not trained by" in call(*arguments, status=2).stderr
        )
    # without the command's section it is a run that a program made
    assert ("cannot be read" in call("runs", iris_run).stdout) == ("comand" not in after)
