"""Options that have no use with the data at hand are refused, not passed over."""

import dataclasses

import duckdb
import numpy as np
import pytest

from clearprop import nn
from clearprop.cli import idle
from clearprop.cli.choices import Choices, Source
from clearprop.model import load

TEXT = "the cat sat on the mat, and the dog lay on the rug; " * 12


@pytest.fixture
def text_file(tmp_path):
    path = tmp_path / "cats.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.mark.parametrize("option", [("--delimiter", ";"), ("--header",), ("--no-header",)])
@pytest.mark.parametrize("data", ["iris", "rows.npz", "rows.parquet"])
def test_only_text_has_a_delimiter_and_a_header(call, tmp_path, data, option):
    np.savez(tmp_path / "rows.npz", X=np.zeros((20, 2)), y=np.arange(20) % 2)
    duckdb.sql("SELECT range AS x, range % 2 AS y FROM range(20)").write_parquet(str(tmp_path / "rows.parquet"))
    message = " ".join(call("train", data, *option, status=2).stderr.split())
    assert f"is no text file with columns, and has no use for some options: leave out {option[0]}" in message


def test_a_fraction_of_data_with_parts_of_their_own_holds_nothing_out(call, tmp_path):
    """Also where it is the usual one: what was typed counts, on the command line or in a file."""
    x, y = np.zeros((20, 2)), np.arange(20) % 2
    np.savez(tmp_path / "own.npz", X=x, y=y, x_test=x, y_test=y, x_val=x, y_val=y)
    for name in ("test", "validation"):
        for value in ("0.1", "0.2"):
            message = call("train", "own.npz", f"--{name}", value, status=2).stderr
            assert f"so that --{name} {value} would hold nothing out" in " ".join(message.split())
    (tmp_path / "run.toml").write_text("test = 0.2")
    assert "would hold nothing out" in call("train", "own.npz", "--config", "run.toml", status=2).stderr


def test_what_a_file_does_not_ask_for_is_not_given(call, tmp_path):
    (tmp_path / "run.toml").write_text("header = false\nstateful = false\nepochs = 1")
    call("train", "iris", "--config", "run.toml", "--progress", "quiet", "--out", "run")


@pytest.mark.parametrize("data", ["rows.npz", "iris"])
def test_only_some_bundled_sets_lie_in_a_folder(call, tmp_path, data):
    np.savez(tmp_path / "rows.npz", X=np.zeros((20, 2)), y=np.arange(20) % 2)
    message = " ".join(call("train", data, "--data-dir", tmp_path, status=2).stderr.split())
    assert f"the files of {data!r} do not lie in a folder to choose: leave out data_dir (--data-dir)" in message


def test_options_of_series_say_how_to_learn_one(call):
    message = " ".join(call("train", "iris", "--horizon", "3", "--season", "4", status=2).stderr.split())
    assert "--horizon, --season: that is for a series, of which --forecast NAME names the column to tell" in message


def test_the_names_are_those_of_options():
    known = {item.name for kind in (Source, Choices) for item in dataclasses.fields(kind)} | {"show_batch"}
    assert {name for names in idle._IDLE.values() for name in names} <= known


@pytest.mark.parametrize(
    "odd",
    [
        ("--size", "8"),
        ("--resize", "crop"),
        ("--color", "grey"),
        ("--bad-images", "skip"),
        ("--memory", "100"),
        ("--layout", "NCHW"),
        ("--scaling", "whole"),
        ("--epsilon", "0.5"),
        ("--augment", "flip"),
        ("--show-batch", "batch.png"),
        ("--output-bias", "class_prior"),
        ("--horizon", "3"),
        ("--season", "3"),
        ("--data-dir", "somewhere"),
    ],
)
def test_a_text_has_no_use_for_them(call, text_file, odd):
    assert f"leave out {odd[0]}" in call("train", text_file, *odd, status=2).stderr


@pytest.mark.parametrize(
    "odd",
    [
        ("--cell", "gru"),
        ("--units", "8"),
        ("--depth", "2"),
        ("--window", "8"),
        ("--level", "word"),
        ("--vocabulary", "9"),
        ("--horizon", "2"),
        ("--size", "8"),
        ("--augment", "flip"),
        ("--show-batch", "batch.png"),
    ],
)
def test_a_table_has_no_use_for_them(call, house_file, odd):
    assert f"leave out {odd[0]}" in call("train", house_file, "--target", "price", *odd, status=2).stderr


def test_arrays_have_no_use_for_recurrent_options(call, tmp_path):
    np.savez(tmp_path / "a.npz", X=np.random.default_rng(0).normal(size=(40, 3)), y=np.arange(40) % 2)
    assert "leave out --cell, --window" in call("train", "a.npz", "--cell", "gru", "--window", "3", status=2).stderr


def test_the_activation_is_that_of_simple_cells(call, text_file):
    quick = ("--units", "4", "--window", "8", "--epochs", "1", "--progress", "quiet")
    assert "for --cell rnn" in call("train", text_file, *quick, "--activation", "relu", status=2).stderr
    call("train", text_file, *quick, "--activation", "relu", "--cell", "rnn", "--out", "run")

    assert load("run").network.layers[1].activation == "relu"


def test_weights_and_penalties_reach_recurrent_layers(call, text_file):

    quick = ("--units", "4", "--window", "8", "--epochs", "1", "--progress", "quiet")
    call("train", text_file, *quick, "--l2", "0.01", "--l1", "0.001", "--weights", "lecun", "--out", "run")
    cell = load("run").network.layers[1]
    assert cell.penalty == cell.recurrent_penalty == (nn.L1(0.001), nn.L2(0.01))
    assert cell.weights == "lecun"
    assert "need no data" in call("train", text_file, *quick, "--weights", "lsuv", status=2).stderr


def test_evaluate_refuses_what_it_has_no_use_for(call, text_file):
    quick = ("--units", "4", "--window", "8", "--epochs", "1", "--progress", "quiet")
    call("train", text_file, *quick, "--out", "run")
    assert "leave out --target" in call("evaluate", "run", text_file, "--target", "x", status=2).stderr
