"""The stages of a program on its way to the machine, for a reader."""

from __future__ import annotations

import numpy as np
import pytest

from clearprop import ops
from clearprop.compile import STAGES, compile_program, explain, value_and_gradient
from clearprop.errors import BackendError, SettingsError
from clearprop.grad import derive
from clearprop.ir import Batch, Type, parse, to_text
from clearprop.model import Model
from clearprop.nn import Dense

LOSS = ops.trace(
    lambda x, w: ops.mean(ops.square(x @ w * 1.0)),
    {"x": Type("float32", (Batch(), 3)), "w": Type("float32", (3, 2))},
    "loss",
)


def test_every_stage_of_a_derived_program():
    derived = derive(LOSS, ["w"])
    texts = {stage: explain(derived, stage, derived_from=LOSS) for stage in STAGES}
    assert texts["program"] == to_text(LOSS)
    assert texts["derived"] == to_text(derived)
    sections = [section.split("\n", 1) for section in texts["passes"].split("# after ")[1:]]
    assert sections[0][0].startswith("simplify: ")
    assert [to_text(parse(text)) == text.rstrip() + "\n" for _, text in sections] == [True] * len(sections)
    assert texts["kernels"].startswith("kernel 0: ")
    assert "matrix product" in texts["kernels"]
    assert "define void @program" in texts["llvm"]
    assert "alloca" not in texts["llvm"]  # as it is translated: variables are registers
    assert "program:" in texts["assembly"]
    assert "\t" not in texts["assembly"]


def test_a_stage_that_there_is_not():
    with pytest.raises(SettingsError, match="no stage 'bytecode'; choose one of program, derived, passes"):
        explain(LOSS, "bytecode")
    with pytest.raises(BackendError, match="the reference backend has no stage 'llvm'"):
        explain(LOSS, "llvm", "reference")


def test_the_environment_prints_stages_of_what_is_compiled(monkeypatch, capsys):
    monkeypatch.setenv("CLEARPROP_EXPLAIN", "program, derived,llvm")
    value_and_gradient(LOSS, ["w"], backend="reference")
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"# loss: program\n{to_text(LOSS)}" in printed.err
    assert f"# loss: derived\n{to_text(derive(LOSS, ['w']))}" in printed.err
    assert "# loss: llvm\nthe reference backend has no stage 'llvm'" in printed.err
    monkeypatch.setenv("CLEARPROP_EXPLAIN", "all")
    with pytest.raises(SettingsError, match="no stage 'all'"):
        compile_program(LOSS)


def test_the_environment_names_a_folder_to_write_to(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("CLEARPROP_EXPLAIN", "kernels,assembly")
    monkeypatch.setenv("CLEARPROP_EXPLAIN_DIR", str(tmp_path / "stages"))
    for _ in range(2):
        compile_program(LOSS, "native")
    names = sorted(path.name.split("-", 1)[1] for path in (tmp_path / "stages").iterdir())
    assert names == sorted(["loss.kernels.txt", "loss.assembly.txt"] * 2)
    assert capsys.readouterr().err == ""


def test_a_model_explains_the_step_of_its_last_fit():
    model = Model([Dense(4, "relu"), Dense(2)], "cross_entropy")
    model.init((3,))
    assert "input dense1.W: float32[3, 4]" in model.explain("program")
    assert "grad." not in model.explain("program")
    assert "return dense1.W" in model.explain("derived")
    assert "matrix product" in model.explain("kernels")
    model.backend = "reference"
    with pytest.raises(BackendError, match="runs a program as it is"):
        model.explain("assembly")


def test_a_step_is_shown_as_it_runs_with_the_loop_over_batches(monkeypatch, tmp_path):
    monkeypatch.setenv("CLEARPROP_EXPLAIN", "llvm")
    monkeypatch.setenv("CLEARPROP_EXPLAIN_DIR", str(tmp_path))
    model = Model([Dense(2)], "cross_entropy", backend="native")
    x = np.zeros((8, 3), np.float32)
    model.fit(x, np.zeros(8, np.int64), epochs=1, progress=False)
    model.predict(x)
    shown = {path.name.split("-", 1)[1]: path.read_text() for path in tmp_path.iterdir()}
    assert shown["training_step.llvm.txt"] == model.explain("llvm")
    assert "define i64 @drive(" in model.explain("llvm")
    assert "drive:" in model.explain("assembly")
    assert "@drive" not in shown["prediction.llvm.txt"]
