"""What runs the programs, and the stages on the way to the machine."""

import json

import pytest

from clearprop.model import load


def choices(run):
    return json.loads((run / "settings.json").read_text())["command"]["choices"]


def rewrite(run, change):
    settings = json.loads((run / "settings.json").read_text())
    change(settings["command"]["choices"])
    (run / "settings.json").write_text(json.dumps(settings))


def test_native_is_the_default_and_is_written_down(call, iris_run):
    assert choices(iris_run)["backend"] == "native"


def test_train_with_a_backend_and_go_on_with_it(call, tmp_path, quick):
    call("train", "iris", "--backend", "reference", *quick, "--out", "run")
    run = tmp_path / "run"
    assert choices(run)["backend"] == "reference"
    (run / "model.safetensors").unlink()  # as if it had been killed at the end
    (run / "history.json").unlink()
    call("train", "--resume", "run", "--progress", "quiet")
    assert "leave out --backend" in call("train", "--resume", "run", "--backend", "native", status=2).stderr
    (run / "model.safetensors").unlink()
    (run / "history.json").unlink()
    rewrite(run, lambda written: written.update(backend="native"))
    assert "backend" in call("train", "--resume", "run", status=2).stderr


def test_a_run_that_does_not_say_was_trained_as_earlier_versions_did(call, tmp_path, quick):
    call("train", "iris", "--backend", "reference", *quick, "--out", "run")
    run = tmp_path / "run"
    before = (run / "model.safetensors").read_bytes()
    rewrite(run, lambda written: [written.pop(name) for name in ("backend", "weights", "output_bias")])
    (run / "model.safetensors").unlink()
    (run / "history.json").unlink()
    call("train", "--resume", "run", "--progress", "quiet")
    assert (run / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_a_run_is_used_with_either_backend(call, iris_run, command):
    texts = [call(command, iris_run, "iris", "--backend", name).stdout for name in ("auto", "native", "reference")]
    assert texts[0] == texts[1]
    assert texts[2].split()[:4] == texts[1].split()[:4]
    assert "gpu" in call(command, iris_run, "iris", "--backend", "gpu", status=2).stderr


def test_source_prints_every_stage(call, iris_run, tmp_path):
    model = load(iris_run)
    for stage in ("program", "passes", "kernels", "llvm", "assembly"):
        assert call("source", iris_run, "--stage", stage).stdout.strip() == model.explain(stage).strip()
    call("source", iris_run, "--stage", "llvm", "-o", "step.ll")
    assert (tmp_path / "step.ll").read_text() == model.explain("llvm")
