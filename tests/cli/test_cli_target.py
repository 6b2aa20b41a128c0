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
    for command in ("predict", "evaluate"):
        plain = call(command, "run", "years.csv")
        assert "line 1 is read as names, for the run's columns have those" in " ".join(plain.stderr.split())
        assert plain.stdout == call(command, "run", "years.csv", "--header").stdout
    assert "(100 rows)" in call("evaluate", "run", "years.csv", "--header").stdout
    assert "test (20 rows)" in call("evaluate", "run").stdout
    both = call("train", "years.csv", "--target", "2021", "--header", "--no-header", status=2).stderr
    assert "leave one of them out" in " ".join(both.split())


def test_files_without_a_header_are_read_as_the_runs_own(call, tmp_path, quick):
    rng = np.random.default_rng(0)
    lines = [f"{x:.3f},{'ab'[int(x > 0)]},{x + 0.1 * e:.3f}" for x, e in rng.normal(size=(60, 2))]
    (tmp_path / "train.csv").write_text("\n".join(lines), encoding="utf-8")
    call("train", "train.csv", "--target", "column_3", *quick, "--out", "run")
    expected = call("predict", "run", "train.csv", "--no-header").stdout
    (tmp_path / "words.csv").write_text("NA,a\nNA,b\n" + "\n".join(line.rpartition(",")[0] for line in lines[:2]))
    result = call("predict", "run", "words.csv")
    assert len(result.stdout.splitlines()) == 5
    assert result.stdout.splitlines()[3:] == expected.splitlines()[1:3]
    assert "line 1 is read as values" in result.stderr
    (tmp_path / "two.csv").write_text("NA,a,1.5\nNA,b,2.5")
    assert len(call("predict", "run", "two.csv").stdout.splitlines()) == 3
    assert "(2 rows)" in call("evaluate", "run", "two.csv").stdout
    (tmp_path / "same.csv").write_text("NA,a,NA\n1.5,b,2.5")  # line 1 looks like names, and holds one twice
    assert len(call("predict", "run", "same.csv").stdout.splitlines()) == 3
    (tmp_path / "named.csv").write_text("column_1,column_2,column_3\n" + lines[0])
    assert call("predict", "run", "named.csv").stdout.splitlines()[1] == expected.splitlines()[1]
    for content, words in (
        ("x,c,y\n1.5,a,2.5\n", "line 1 is read as values: if it holds names, take it out"),
        ("1.5\n2.5\n", "had no header and 3 columns; --no-header reads line 1 as values"),
        ("x,c,y,z\n1.5,a,2.5,1\n", "had no header and 3 columns; --no-header reads line 1 as values"),
    ):
        (tmp_path / "odd.csv").write_text(content)
        for command in ("predict", "evaluate"):
            assert words in " ".join(call(command, "run", "odd.csv", status=2).stderr.split())


def test_a_target_in_front_is_not_taken_for_a_feature(call, tmp_path, quick):
    lines = [f"{i},{i % 7}.5,{i % 5}.25" for i in range(60)]
    (tmp_path / "train.csv").write_text("\n".join(lines), encoding="utf-8")
    call("train", "train.csv", "--target", "column_1", *quick, "--out", "run")
    (tmp_path / "new.csv").write_text("\n".join(line.partition(",")[2] for line in lines[:5]))
    message = " ".join(call("predict", "run", "new.csv", status=2).stderr.split())
    assert "'column_3' is missing" in message
    assert "had no header and 3 columns" in message


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
