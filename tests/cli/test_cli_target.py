"""A target that cannot be learnt is refused with the figures of the whole file, and the file's name."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
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


def test_a_header_of_numbers(call, tmp_path, quick):
    values = np.random.default_rng(0).random((100, 3))
    lines = ["2019,2020,2021", *(",".join(f"{value:.3f}" for value in row) for row in values)]
    (tmp_path / "years.csv").write_text("\n".join(lines), encoding="utf-8")
    for target in ("2021", "2020,2021"):
        message = " ".join(call("train", "years.csv", "--target", target, status=2).stderr.split())
        assert "stands in line 1, which was taken for values" in message
        assert "--header" in message
    assert "--header" not in call("train", "years.csv", "--target", "2022", status=2).stderr
    assert "--header" not in call("train", "years.csv", "--target", "2021", "--no-header", status=2).stderr
    made = call("train", "years.csv", "--target", "2021", "--header", *quick, "--progress", "plain", "--out", "run")
    assert "100 rows" in made.stderr
    assert len(call("predict", "run", "years.csv", "--header").stdout.splitlines()) == 101
    assert "(100 rows)" in call("evaluate", "run", "years.csv", "--header").stdout
    assert "test (20 rows)" in call("evaluate", "run").stdout
    both = call("train", "years.csv", "--target", "2021", "--header", "--no-header", status=2).stderr
    assert "leave one of them out" in " ".join(both.split())


def test_several_answers_a_row(call, tmp_path):
    x = np.random.default_rng(0).normal(size=(120, 2))
    rows = [f"{a:.3f},{b:.3f},{int(a > 0)},{'wet' if b > 0 else 'dry'}" for a, b in x]
    (tmp_path / "days.csv").write_text("\n".join(["a,b,warm,ground", *rows]), encoding="utf-8")
    fast = ("--epochs", "20", "--layers", "none", "--lr", "0.1")
    made = call("train", "days.csv", "--target", "warm,ground", *fast, "--out", "run")
    assert "multilabel: there are 2 targets of two values" in made.stderr
    assert "target warm, ground: 2 answers, each of two values" in made.stderr
    assert "accuracy" in made.stdout
    header, first, *_ = call("predict", "run", "days.csv", "--probabilities").stdout.splitlines()
    assert header == "prediction_warm,prediction_ground,probability_warm,probability_ground"
    warm, ground, *likely = first.split(",")
    assert [warm == "1", ground == "wet"] == [float(number) > 0.5 for number in likely]
    assert "f1 macro" in call("evaluate", "run", "days.csv").stdout
    for option, words in (
        (("--loss", "cross_entropy"), "does not fit multilabel: leave it out, or choose binary_cross_entropy"),
        (("--metrics", "log_loss"), "'log_loss' does not fit multilabel"),
        (("--class-weight", "balanced"), "multilabel has none"),
    ):
        assert words in call("train", "days.csv", "--target", "warm,ground", *option, status=2).stderr
    call("train", "days.csv", "--target", "warm", *fast, "--loss", "hinge", "--out", "scores")
    refused = call("predict", "scores", "days.csv", "--probabilities", status=2)
    assert "--probabilities: Hinge" in refused.stderr
    refused = call("train", "days.csv", "--target", "warm", "--loss", "multi_label_margin", status=2)
    assert "does not fit classification" in refused.stderr
