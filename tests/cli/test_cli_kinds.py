"""A run reads each row of later data as training read its own: words as words, numbers with their decimal mark."""

import numpy as np
import pandas as pd
import pytest

from clearprop.model import load

WORDS = ("None", "Attached", "Detached")
ANSWERS = ("True", "False", "unsure")
HEADER = "garage;answer;area;when;price"


def german(value):
    return f"{value:,.2f}".translate(str.maketrans(",.", ".,"))


def rows(count, target=True):
    """Houses whose price the garage and the answer tell, as a spreadsheet in German writes them."""
    rng = np.random.default_rng(0)
    for i in range(count):
        garage, answer, area = i % 3, (i // 3) % 3, rng.uniform(500, 20000)
        price = 1000.0 * garage + 5000.0 * answer + area / 10
        values = [WORDS[garage], ANSWERS[answer], german(area), f"2024-0{1 + i % 9}-01", *([german(price)] * target)]
        yield ";".join(values)


def write(path, lines, header=HEADER):
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path.name


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return tmp_path_factory.mktemp("kinds") / "houses"


@pytest.fixture
def run(template, call, tmp_path):
    if not template.exists():
        data = write(tmp_path / "train.csv", rows(90))
        call("train", data, "--target", "price", "--epochs", "150", "--progress", "quiet", "--out", template)
    return template


def predictions(call, run, *arguments):
    lines = call("predict", run, *arguments).stdout.splitlines()
    assert lines[0] == "prediction"
    return np.array(lines[1:], dtype=float)


FEW = ["None;True;12.345;2024-01-01", "Attached;unsure;7;2024-02-01", "Detached;False;1.000,25;2024-03-01"]
FEATURES = HEADER.rpartition(";")[0]


def test_a_row_is_predicted_the_same_alone_and_among_others(call, run, tmp_path, monkeypatch):
    together = predictions(call, run, write(tmp_path / "all.csv", FEW, FEATURES))
    assert np.ptp(together) > 1000
    for row, expected in zip(FEW, together, strict=True):
        result = call("predict", run, write(tmp_path / "one.csv", [row], FEATURES))
        assert result.stderr == ""
        assert float(result.stdout.split()[1]) == pytest.approx(expected, rel=1e-5)
    monkeypatch.setattr("clearprop.cli.predict._ROWS", 1)
    assert predictions(call, run, "all.csv") == pytest.approx(together, rel=1e-5)


def test_files_and_python_agree(call, run, tmp_path):
    expected = predictions(call, run, write(tmp_path / "all.csv", FEW, FEATURES))
    model = load(run)
    frame = pd.DataFrame([row.split(";") for row in FEW], columns=FEATURES.split(";"))
    assert model.predict(tmp_path / "all.csv") == pytest.approx(expected, rel=1e-5)
    assert model.predict(frame) == pytest.approx(expected, rel=1e-5)
    assert model.predict(frame[:1]) == pytest.approx(expected[:1], rel=1e-5)
    duckdb = pytest.importorskip("duckdb")
    duckdb.sql(f"COPY (SELECT * FROM frame) TO '{tmp_path}/all.parquet' (FORMAT parquet)")
    assert predictions(call, run, "all.parquet") == pytest.approx(expected, rel=1e-5)


def test_the_decimal_mark_of_training_is_asked_for(call, run, tmp_path):
    data = write(tmp_path / "wrong.csv", [FEW[0], FEW[1].replace("7", "7.5")], FEATURES)
    message = " ".join(call("predict", run, data, status=2).stderr.split())
    assert "wrong.csv, line 3, column 'area': '7.5' is not a number with a decimal comma" in message


def test_the_target_may_hold_anything_where_it_is_not_needed(call, run, tmp_path):
    expected = predictions(call, run, write(tmp_path / "without.csv", FEW, FEATURES))
    data = write(
        tmp_path / "with.csv", [f"{row};{price}" for row, price in zip(FEW, ("1,5", "?", "later"), strict=True)]
    )
    assert predictions(call, run, data).tolist() == expected.tolist()


def test_evaluate_reads_the_target_as_training_did(call, run, tmp_path):
    """12.345 alone would be twelve and a bit: the error would be as large as the price."""
    found = predictions(call, run, write(tmp_path / "some.csv", FEW, FEATURES))
    prices = [1000 + round(float(value)) for value in found]
    lines = [f"{row};{german(price)[:-3]}" for row, price in zip(FEW, prices, strict=True)]
    for header, target in ((HEADER, ()), (HEADER.replace("price", "cost"), ("--target", "cost"))):
        data = write(tmp_path / "eval.csv", lines, header)
        words = call("evaluate", run, data, *target).stdout.split()
        assert float(words[words.index("absolute") + 2]) == pytest.approx(1000, abs=1)


def test_labels_that_look_like_something_else(call, tmp_path, quick):
    """All labels of the new rows are booleans, or there are none but None; those of training are words."""
    lines = [f"{i % 3}.5,{ANSWERS[i % 3]}" for i in range(60)]
    write(tmp_path / "train.csv", lines, "x,answer")
    call("train", "train.csv", "--target", "answer", "--out", "r", "--epochs", "200", "--lr", "0.05", *quick[2:])
    text = call("evaluate", "r", write(tmp_path / "new.csv", ["0.5,True", "1.5,False"], "x,answer")).stdout
    assert text.startswith("new.csv (2 rows)")


def test_series_keep_the_decimal_mark(call, tmp_path):
    def series(start, count, digits=2):
        level = [20000 + 5000 * np.sin(i / 3) for i in range(start, start + count)]
        return [f"1.{i:03d};{german(value)[: None if digits else -3]}" for i, value in enumerate(level, start)]

    write(tmp_path / "train.csv", [*series(0, 60)], "time;level")
    quick = ("--window", "6", "--epochs", "2", "--progress", "quiet", "--out", "r")
    call("train", "train.csv", "--forecast", "level", "--time", "time", *quick)
    values = load("r").encoding
    assert values.decimals == {"level": ",", "time": ","}
    assert values.mean[0] > 10000
    whole = call("predict", "r", write(tmp_path / "new.csv", series(60, 6, 0), "time;level")).stdout.splitlines()
    time, prediction = whole[1].split(",")
    assert time == "1066"
    assert 5000 < float(prediction) < 40000


def test_a_network_that_goes_on_reads_new_data_as_it_learnt_it(call, run, tmp_path):
    """Found out anew, the garages of the new rows would be numbers with a stray word, and the answers booleans."""
    lines = [f"{i},5;True;{12 + i}.345;2024-01-0{1 + i % 9};{20 + i}.000" for i in range(30)]
    write(tmp_path / "more.csv", [*lines, "Attached;True;1,5;2024-01-01;1,5"])
    call("train", "more.csv", "--target", "price", "--start-from", run, "--epochs", "2", "--out", "r")
    assert load("r").encoding.inputs == load(run).encoding.inputs
    assert call("evaluate", "r").stdout.startswith("test (6 rows)")
    call("check", "r", "--gradients", "--samples", "2")
    call("train", "--resume", "r")
    assert call("predict", "r", write(tmp_path / "one.csv", FEW[:1], FEATURES)).stderr == ""
