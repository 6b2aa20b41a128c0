"""Text on the command line: train, generate, evaluate, resume, and what has no use with text."""

import json
import re

import pytest

from clearprop.model import load

TEXT = "the cat sat on the mat, and the dog lay on the rug; " * 12
QUICK = ("--units", "6", "--window", "8", "--epochs", "2", "--progress", "quiet")


@pytest.fixture
def text_file(tmp_path):
    path = tmp_path / "cats.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "transformer"])
def test_train_and_generate(call, text_file, cell):
    trained = call("train", text_file, *QUICK, "--cell", cell, "--depth", "2", "--dropout", "0.1", "--out", "run")
    assert "bits per character" in trained.stdout
    assert re.search(r"test \(\d+ windows\)", trained.stdout)
    written = call("generate", "run", "--prompt", "the ", "--length", "30", "--seed", "4").stdout
    assert written.startswith("the ")
    assert len(written) == len("the ") + 30 + 1
    assert call("generate", "run", "--prompt", "the ", "--length", "30", "--seed", "4").stdout == written
    assert call("generate", "run", "--length", "30", "--temperature", "0", "--top-k", "3").exit_code == 0


@pytest.mark.parametrize("option", [("--l2", "0.1"), ("--weights", "normal")])
def test_transformers_take_no_penalties_and_no_initialisers(call, text_file, option):
    answer = call("train", text_file, *QUICK, "--cell", "transformer", *option, "--out", "run", status=2)
    assert f"no use for {option[0]}" in answer.stderr


def test_evaluate_repeats_the_figures(call, text_file, tmp_path):
    trained = call("train", text_file, *QUICK, "--out", "run").stdout.splitlines()
    assert call("evaluate", "run").stdout.splitlines() == trained[:4]
    figures = json.loads((tmp_path / "run" / "results.json").read_text())["test"]
    assert set(figures) == {"loss", "perplexity", "bits_per_character"}
    (tmp_path / "more.txt").write_text("the mat sat on the cat; quite unknown: Q", encoding="utf-8")
    assert call("evaluate", "run", "more.txt").stdout.startswith("more.txt (4 windows)")
    assert "2 of 32 tokens of more.txt are not in the vocabulary (6.2%)" in call("evaluate", "run", "more.txt").stderr
    assert call("evaluate", "run").stderr == ""
    assert "1 of 5 tokens of the prompt are not" in call("generate", "run", "--prompt", "the \u7b14").stderr
    assert "own figures" in call("evaluate", "run", "--metrics", "accuracy", status=2).stderr


def test_the_parts_are_in_the_order_of_the_text(call, tmp_path):
    (tmp_path / "a.txt").write_text("ab" * 70 + "cd" * 10 + "ef" * 20, encoding="utf-8")
    call("train", "a.txt", *QUICK, "--out", "run")
    assert load("run").encoding.vocabulary == ("a", "b")


def test_words_and_other_names(call, tmp_path):
    (tmp_path / "a.md").write_text(TEXT, encoding="utf-8")
    call("train", "a.md", *QUICK, "--task", "text", "--level", "word", "--vocabulary", "5", "--out", "run")
    assert len(load("run").encoding.vocabulary) == 5
    assert "word" not in call("runs", "run").stderr


def test_a_table_in_a_text_file(call, tmp_path):
    rows = "\n".join(f"{i},{i % 7},{i * 3 % 11}" for i in range(60))
    (tmp_path / "a.txt").write_text(f"x,y,price\n{rows}\n", encoding="utf-8")
    out = call("train", "a.txt", "--target", "price", "--epochs", "1", "--layers", "4", "--task", "regression").stdout
    assert "rows" in out


def test_resume(call, text_file):
    options = ("--units", "6", "--window", "8", "--epochs", "3", "--progress", "quiet", "--checkpoint-every", "1")
    call("train", text_file, *options, "--out", "run")
    again = call("train", "--resume", "run")
    assert "ended already" in again.stderr
    assert "bits per character" in again.stdout


def test_gradients(call, text_file):
    call("train", text_file, *QUICK, "--out", "run")
    assert call("check", "run", "--gradients", "--samples", "2").exit_code == 0


@pytest.mark.parametrize(
    "odd", [("--arch", "cnn"), ("--layers", "4"), ("--metrics", "r2"), ("--optimizer", "lbfgs"), ("--loss", "focal")]
)
def test_no_use_with_text(call, text_file, odd):
    assert f"leave out {odd[0]}" in call("train", text_file, *odd, status=2).stderr


def test_without_a_validation_part(call, text_file):
    call("train", text_file, *QUICK, "--validation", "0", "--out", "run")
    assert load("run").parameters


def test_states_are_kept_from_window_to_window(call, text_file):
    options = ("--units", "6", "--window", "8", "--progress", "plain", "--batch-size", "4", "--checkpoint-every", "1")
    trained = call("train", text_file, *options, "--stateful", "--epochs", "2", "--out", "run")
    assert "in 4 lanes, which keep their states" in trained.stderr
    assert load("run").lanes.count == 4
    assert call("evaluate", "run").stdout.splitlines() == trained.stdout.splitlines()[:4]
    assert "ended already" in call("train", "--resume", "run").stderr
    assert call("generate", "run", "--length", "5").exit_code == 0
    call("train", text_file, *options, "--epochs", "2", "--out", "other")
    assert (load("run").parameters["lstm1.W"] != load("other").parameters["lstm1.W"]).any()
    message = call("train", text_file, *options, "--stateful", "--batch-size", "64", status=2).stderr
    assert "make no 64 lanes" in message


def test_too_short(call, text_file):
    assert "shorter window" in call("train", text_file, "--window", "5000", status=2).stderr


def test_generate_needs_a_text_run(call, text_file, iris_run):
    assert "not trained on text" in call("generate", iris_run, status=2).stderr
    call("train", text_file, *QUICK, "--out", "run")
    assert "generate" in call("predict", "run", text_file, status=2).stderr
