"""Using a run: evaluate, predict, source, check, runs."""

import csv
import io
import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris

import clearprop as cp
from clearprop.data import load as load_data
from clearprop.model import load


def table(text):
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture
def flowers(tmp_path):
    """Iris as a frame with the columns of the bundled set."""
    data = load_iris(as_frame=True)
    frame = data.data.copy()
    frame["class"] = np.asarray(data.target_names)[data.target]
    return frame


def test_evaluate_repeats_the_figures_of_training(call, iris_run):
    figures = json.loads((iris_run / "results.json").read_text())["test"]
    text = call("evaluate", iris_run).stdout
    assert f"{figures['accuracy']:.4f}"[:5] in text
    assert "actual \\ predicted" in text
    rows = [line.split()[1:] for line in text.splitlines()[-3:]]
    assert sum(int(count) for row in rows for count in row) == 30


def test_evaluate_on_other_data(call, iris_run, flowers, tmp_path):
    flowers.to_csv(tmp_path / "all.csv", index=False)
    text = call("evaluate", iris_run, "all.csv", "--metrics", "log_loss").stdout
    assert text.startswith("all.csv (150 rows)")
    assert "log loss" in text
    flowers.rename(columns={"class": "kind"}).to_csv(tmp_path / "kind.csv", index=False)
    assert "'class'" in call("evaluate", iris_run, "kind.csv", status=2).stderr
    renamed = call("evaluate", iris_run, "kind.csv", "--target", "kind").stdout
    same = call("evaluate", iris_run, "all.csv").stdout
    assert [line.split() for line in renamed.splitlines()[1:]] == [line.split() for line in same.splitlines()[1:]]


def test_evaluate_names_an_unknown_class(call, iris_run, flowers, tmp_path):
    flowers.loc[3, "class"] = "tulip"
    flowers.to_csv(tmp_path / "new.csv", index=False)
    assert "tulip" in call("evaluate", iris_run, "new.csv", status=2).stderr


def test_predict_finds_columns_by_name(call, iris_run, flowers, tmp_path):
    flowers.to_csv(tmp_path / "a.csv", index=False)
    expected = [str(label) for label in load(iris_run).predict_classes(flowers.drop(columns="class"))]
    whole = call("predict", iris_run, "a.csv")
    assert [row["prediction"] for row in table(whole.stdout)] == expected
    assert whole.stderr == ""
    flowers.drop(columns="class").iloc[:, ::-1].to_csv(tmp_path / "b.csv", index=False)
    assert call("predict", iris_run, "b.csv").stdout == whole.stdout
    flowers.assign(note="x").to_csv(tmp_path / "c.csv", index=False)
    extra = call("predict", iris_run, "c.csv")
    assert extra.stdout == whole.stdout
    assert "ignored: 'note'" in extra.stderr
    flowers.drop(columns="petal width (cm)").to_csv(tmp_path / "d.csv", index=False)
    missing = call("predict", iris_run, "d.csv", status=2)
    assert "petal width (cm)" in missing.stderr
    assert missing.stdout == ""


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_what_is_wrong_with_the_data_names_its_file(call, iris_run, flowers, tmp_path, command):
    name = flowers.columns[0]
    flowers[name] = "oops"
    flowers.to_csv(tmp_path / "wrong.csv", index=False)
    message = " ".join(call(command, iris_run, "wrong.csv", status=2).stderr.split())
    assert f"wrong.csv, line 2, column '{name}': 'oops' is not a number" in message
    assert message.count("wrong.csv") == 1


def test_predict_bundled_set_and_parquet(call, iris_run, flowers, tmp_path):
    duckdb = pytest.importorskip("duckdb")
    flowers.to_csv(tmp_path / "a.csv", index=False)
    duckdb.sql(f"COPY (SELECT * FROM read_csv('{tmp_path}/a.csv')) TO '{tmp_path}/a.parquet' (FORMAT parquet)")
    expected = call("predict", iris_run, "iris").stdout
    assert call("predict", iris_run, "a.parquet").stdout == expected
    assert call("predict", iris_run, "a.csv").stdout == expected


def test_predict_probabilities_add_up(call, iris_run):
    rows = table(call("predict", iris_run, "iris", "--probabilities").stdout)
    names = [f"probability_{name}" for name in ("setosa", "versicolor", "virginica")]
    assert list(rows[0]) == ["prediction", *names]
    for row in rows:
        values = [float(row[name]) for name in names]
        assert sum(values) == pytest.approx(1, abs=1e-5)
        assert names[int(np.argmax(values))] == f"probability_{row['prediction']}"


def test_predict_streams_in_pieces(call, iris_run, flowers, tmp_path, monkeypatch):
    flowers.to_csv(tmp_path / "a.csv", index=False)
    whole = call("predict", iris_run, "a.csv", "--probabilities").stdout
    monkeypatch.setattr("clearprop.cli.predict._ROWS", 7)
    pieces = call("predict", iris_run, "a.csv", "--probabilities").stdout
    labels = [row["prediction"] for row in table(whole)]
    assert [row["prediction"] for row in table(pieces)] == labels
    ours, theirs = ([float(row["probability_setosa"]) for row in table(text)] for text in (whole, pieces))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


def test_every_command_separates_tsv_by_tabs(call, quick, tmp_path):
    """By its content alone the file would be separated by commas."""
    lines = [f"{town}\t{size}" for town in ("Bonn, Rhine", "Oxford, Thames") for size in ("small", "large")]
    text = "place, river\tsize\n" + "\n".join(lines * 10) + "\n"
    (tmp_path / "towns.tsv").write_text(text)
    call("train", "towns.tsv", "--target", "size", *quick, "--out", "run")
    assert "(40 rows)" in call("evaluate", "run", "towns.tsv").stdout
    assert len(table(call("predict", "run", "towns.tsv").stdout)) == 40
    (tmp_path / "towns.csv").write_text(text)
    assert "place, river" in call("predict", "run", "towns.csv", status=2).stderr


def test_predict_output_file_is_whole_or_not_there(call, iris_run, flowers, tmp_path):
    flowers.to_csv(tmp_path / "a.csv", index=False)
    result = call("predict", iris_run, "a.csv", "-o", "out.csv")
    assert result.stdout == ""
    assert pd.read_csv(tmp_path / "out.csv").shape == (150, 1)
    flowers = flowers.astype(object)
    flowers.iloc[149, 0] = "long"
    flowers.to_csv(tmp_path / "bad.csv", index=False)
    before = (tmp_path / "out.csv").read_bytes()
    call("predict", iris_run, "bad.csv", "-o", "out.csv", status=2)
    call("predict", iris_run, "bad.csv", "-o", "other.csv", status=2)
    assert (tmp_path / "out.csv").read_bytes() == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith((".", "other"))]
    assert "data itself" in call("predict", iris_run, "a.csv", "-o", "a.csv", status=2).stderr


@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes of POSIX")
def test_predict_into_a_link_and_a_pipe(call, iris_run, flowers, tmp_path):
    flowers.to_csv(tmp_path / "a.csv", index=False)
    expected = call("predict", iris_run, "a.csv").stdout
    (tmp_path / "target.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to("target.csv")
    call("predict", iris_run, "a.csv", "-o", "link.csv")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "target.csv").read_text() == expected
    os.mkfifo(tmp_path / "pipe")
    reader = subprocess.Popen(["cat", "pipe"], stdout=subprocess.PIPE, encoding="utf-8")
    try:
        call("predict", iris_run, "a.csv", "-o", "pipe")
        assert reader.communicate(timeout=30)[0] == expected
    finally:
        reader.kill()
        reader.communicate()
    assert (tmp_path / "pipe").is_fifo()


def test_predict_numbers_and_notes(call, house_file, tmp_path, quick):
    call("train", house_file, "--target", "price", *quick, "--out", "run")
    text = house_file.read_text().replace('"York"', '"Hull"').splitlines()
    new = tmp_path / "new.csv"
    new.write_text("\n".join(line.rpartition(",")[0] for line in text))
    result = call("predict", "run", new)
    assert "Hull" in result.stderr
    assert "training did not have" in result.stderr
    values = [float(row["prediction"]) for row in table(result.stdout)]
    assert len(values) == 120
    assert np.isfinite(values).all()
    assert "predicts numbers" in call("predict", "run", new, "--probabilities", status=2).stderr


def test_several_targets(call, tmp_path, quick):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(60, 3)), columns=["a", "b", "c"])
    frame["u"], frame["v"] = frame.a + frame.b, frame.b - frame.c
    frame.to_csv(tmp_path / "two.csv", index=False)
    call("train", "two.csv", "--target", "u,v", *quick, "--out", "run")
    rows = table(call("predict", "run", "two.csv").stdout)
    assert list(rows[0]) == ["prediction_u", "prediction_v"]
    assert "r2" in call("evaluate", "run", "two.csv").stdout


@pytest.mark.parametrize(
    ("loss", "more"),
    [("quantile", ["quantile_0.1", "quantile_0.5", "quantile_0.9"]), ("gaussian_likelihood", ["standard_deviation"])],
)
def test_losses_of_distributions(call, tmp_path, loss, more):
    call("train", "diabetes", "--loss", loss, "--epochs", "20", "--test", "0", "--out", "run")
    rows = table(call("predict", "run", "diabetes").stdout)
    assert list(rows[0]) == ["prediction", *more]
    point, *spread = (np.array([float(row[name]) for row in rows]) for name in rows[0])
    target = load_data("diabetes").target
    assert np.corrcoef(point, target)[0, 1] > 0.6
    below, above = (
        (spread[0], spread[2]) if loss == "quantile" else (point - 1.28 * spread[0], point + 1.28 * spread[0])
    )
    assert 0.6 < ((below < target) & (target < above)).mean() < 0.95
    if loss == "quantile":
        np.testing.assert_array_equal(point, spread[1])
        assert (np.diff(spread, axis=0) > 0).all()
    shown = call("evaluate", "run", "diabetes", "--metrics", "median_absolute_error").stdout
    assert f"{np.abs(point - target).mean():.4g}"[:5] in shown
    frame = pd.DataFrame({"a": target, "u": target, "v": -target})
    frame.to_csv(tmp_path / "two.csv", index=False)
    status = 2 if loss == "quantile" else 0
    refused = call(
        "train", "two.csv", "--target", "u,v", "--loss", loss, "--epochs", "1", "--out", "two", status=status
    )
    if loss == "quantile":
        assert "takes one number a sample" in refused.stderr
    else:
        names = [f"{block}_{end}" for block in ("prediction", "standard_deviation") for end in "uv"]
        assert list(table(call("predict", "two", "two.csv").stdout)[0]) == names


def test_source_runs_as_printed(call, iris_run, tmp_path):
    text = call("source", iris_run).stdout
    namespace = {}
    exec(compile(text, "step.py", "exec"), namespace)
    assert callable(namespace["training_step"])
    call("source", iris_run, "-o", "step.py")
    assert (tmp_path / "step.py").read_text().rstrip("\n") == text.rstrip("\n")


def test_check_is_status_0_when_right_and_1_when_wrong(call, iris_run, monkeypatch):
    assert "right" in call("check", iris_run, "--gradients", "--samples", "8").stdout

    class Wrong:
        ok = False

        def __str__(self):
            return "wrong"

    monkeypatch.setattr("clearprop.cli.check.check_gradients", lambda *arguments: Wrong())
    assert call("check", iris_run, "--gradients", status=1).stdout == "wrong\n"


def test_runs_are_listed(call, iris_run, tmp_path, quick):
    assert "there are no runs" in call("runs").stderr
    (tmp_path / "runs").mkdir()
    iris_run.rename(tmp_path / "runs" / "iris-10")
    call("train", "iris", *quick, "--out", "runs/iris-9")
    (tmp_path / "runs" / "broken").mkdir()
    (tmp_path / "runs" / "broken" / "settings.json").write_text("{")
    lines = call("runs").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["run", "broken", "iris-9", "iris-10"]
    assert "cannot be read" in lines[1]
    assert "accuracy" in lines[2]


def test_runs_of_a_program_are_listed_with_their_figures(call, tmp_path):
    X, y = np.eye(4, dtype="float32"), np.arange(4)
    for name, more in (("a", {"metrics": ["log_loss"], "validation_data": (X, y)}), ("b", {})):
        model = cp.Model([cp.Dense(4)], loss="cross_entropy", optimizer=cp.SGD(0.5))
        model.fit(X, y, epochs=2, progress="quiet", run=tmp_path / "runs" / name, **more)
    first, last = (f"{epoch['val_log_loss']:.4g}" for epoch in cp.Run(tmp_path / "runs" / "a").history().epochs)
    assert first != last
    rows = [line.split() for line in call("runs").stdout.splitlines()[1:]]
    assert rows[0] == ["a", "-", "-", "-", "2", "-", "log_loss", last, "-", rows[0][9], "finished"]
    assert rows[1] == ["b", "-", "-", "-", "2", "-", "loss", "-", "-", rows[1][9], "finished"]


@pytest.mark.parametrize(
    ("before", "after"), [('"log_loss"', "3"), ('["log_loss"]', '"log_loss"'), ('"fit"', '"fits"')]
)
def test_runs_of_a_program_with_damaged_settings_are_listed(call, tmp_path, before, after):
    X, y = np.eye(4, dtype="float32"), np.arange(4)
    cp.Model([cp.Dense(4)], "cross_entropy").fit(
        X, y, epochs=1, metrics=["log_loss"], progress="quiet", run=tmp_path / "runs" / "a"
    )
    file = tmp_path / "runs" / "a" / "settings.json"
    text = "".join(file.read_text().split())
    assert before in text
    file.write_text(text.replace(before, after))
    assert call("runs").stdout.splitlines()[1].split()[0] == "a"


def test_runs_in_a_narrow_terminal(call, iris_run, monkeypatch):
    monkeypatch.setattr("clearprop.cli.runs.width_of", lambda: 60)
    heading, row = call("runs", iris_run).stdout.splitlines()
    assert heading.split() == ["run", "epochs", "metric", "validation", "test", "state"]
    assert "finished" in row


def test_model_files_and_damaged_ones(call, iris_run, tmp_path):
    file = iris_run / "model.safetensors"
    assert "prediction" in call("predict", file, "iris").stdout
    assert "no test part" in call("evaluate", file, status=2).stderr
    call("evaluate", file, "iris")
    file.write_bytes(file.read_bytes()[:-7])
    for arguments in (("predict", iris_run, "iris"), ("evaluate", iris_run), ("source", iris_run)):
        assert "model.safetensors" in call(*arguments, status=2).stderr


def test_a_class_that_is_not_in_the_data_is_named(call, tmp_path, quick):
    rows = [f"{i % 7},{i % 3}" for i in range(90)]
    (tmp_path / "three.csv").write_text("\n".join(["x,y", *rows]), encoding="utf-8")
    words = "none of these rows is of class '2': the figures are about the other classes"
    assert words not in call("train", "three.csv", "--target", "y", *quick, "--out", "run").stdout
    (tmp_path / "two.csv").write_text("\n".join(["x,y", *(row for row in rows if not row.endswith("2"))]))
    assert words in call("evaluate", "run", "two.csv").stdout
