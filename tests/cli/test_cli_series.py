"""Series on the command line: train, evaluate, predict what comes next, and what a user may get wrong."""

import csv
import io
import json

import numpy as np
import pytest

from clearprop.cli.choices import Recipe
from clearprop.model import Run, load

QUICK = ("--units", "6", "--window", "8", "--epochs", "2", "--progress", "quiet")
COUNT = 80


def values(seed=0):
    """Two seasonal series of different units, and one that leads the first by a step."""
    rng = np.random.default_rng(seed)
    t = np.arange(COUNT)
    tide = 5 + np.sin(2 * np.pi * t / 6) + 0.05 * rng.normal(size=COUNT)
    wind = 2000 + 300 * np.cos(2 * np.pi * t / 6) + 10 * rng.normal(size=COUNT)
    return tide, wind, np.roll(tide, -1)


def write(path, columns, order=None):
    names, data = list(columns), list(columns.values())
    rows = list(zip(*data, strict=True))
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows(rows if order is None else [rows[i] for i in order])
    return path


def days(count=COUNT):
    return np.datetime_as_string(np.datetime64("2024-01-30") + np.arange(count)).tolist()


@pytest.fixture
def sea(tmp_path):
    tide, wind, leads = values()
    return write(
        tmp_path / "sea.csv", {"day": days(), "tide": tide, "wind": wind, "leads": leads, "port": ["a"] * COUNT}
    )


def table(text):
    return list(csv.reader(io.StringIO(text)))


def test_train_evaluate_predict(call, sea):
    trained = call("train", sea, "--forecast", "tide", *QUICK, "--out", "run").stdout
    lines = trained.splitlines()
    assert lines[0].split() == [
        "test",
        "(16",
        "windows)",
        "root",
        "mean",
        "squared",
        "error",
        "mean",
        "absolute",
        "error",
    ]
    assert [line.split("  ")[0] for line in lines[1:4]] == ["network", "naive", "seasonal naive (6)"]
    assert call("evaluate", "run").stdout.splitlines() == lines[:4]
    assert call("evaluate", "run", sea).stdout.startswith(f"sea.csv ({COUNT - 8} windows)")
    heading, row = table(call("predict", "run", sea).stdout)
    assert heading == ["day", "prediction"]
    assert row[0] == "2024-04-19"
    call("predict", "run", sea, "-o", "next.csv")
    assert "tide" not in call("runs", "run").stderr
    assert "ended already" in call("train", "--resume", "run").stderr


def test_the_naive_figures_are_those_of_numpy(call, sea, tmp_path):
    """The last 16 time steps are told, each from the 8 before it."""
    call("train", sea, "--forecast", "tide", *QUICK, "--out", "run")
    tide = values()[0]
    figures = json.loads((tmp_path / "run" / "results.json").read_text())["test"]
    for name, season in (("naive", 1), ("seasonal_naive", 6)):
        error = tide[-16:] - tide[-16 - season : COUNT - season]
        np.testing.assert_allclose(figures[f"{name}_root_mean_squared_error"], np.sqrt(np.mean(error**2)))
        np.testing.assert_allclose(figures[f"{name}_mean_absolute_error"], np.mean(np.abs(error)))
    model, encoding = load("run"), load("run").encoding
    windows = np.stack([tide[i - 8 : i] for i in range(COUNT - 16, COUNT)])[:, :, None]
    error = model.predict(windows)[:, 0, 0] - tide[-16:]
    np.testing.assert_allclose(figures["root_mean_squared_error"], np.sqrt(np.mean(error**2)), rtol=1e-6)
    train = tide[: COUNT - 16 - 8]
    np.testing.assert_allclose([encoding.mean[0], encoding.scale[0]], [train.mean(), train.std()])


def test_several_columns_and_steps(call, sea, tmp_path):
    options = ("--forecast", "tide, wind", "--covariates", "leads", "--horizon", "3")
    trained = call("train", sea, *options, *QUICK, "--season", "6", "--out", "run").stdout
    assert "wind: seasonal naive (6)" in trained
    encoding = load("run").encoding
    assert encoding.columns == ("tide", "wind", "leads")
    assert encoding.scale[1] > 100 * encoding.scale[0]
    rows = table(call("predict", "run", sea).stdout)
    assert rows[0] == ["day", "prediction_tide", "prediction_wind"]
    assert [row[0] for row in rows[1:]] == ["2024-04-19", "2024-04-20", "2024-04-21"]
    assert all(1000 < float(row[2]) < 3000 for row in rows[1:])
    figures = json.loads((tmp_path / "run" / "results.json").read_text())["test"]
    errors = [values()[1][start : start + 3] - values()[1][start - 1] for start in range(COUNT - 16, COUNT - 2)]
    expected = np.sqrt(np.mean(np.square(errors)))
    np.testing.assert_allclose(figures["naive_root_mean_squared_error_wind"], expected)


def test_a_leading_column_helps(call, sea, tmp_path):
    """What is told stands in the other column already: the network with it is far better than the naive forecast."""
    call("train", sea, "--forecast", "tide", "--covariates", "leads", "--window", "4", "--cell", "rnn", "--out", "run")
    figures = json.loads((tmp_path / "run" / "results.json").read_text())["test"]
    assert figures["root_mean_squared_error"] < 0.3 * figures["naive_root_mean_squared_error"]


def test_rows_are_sorted_by_time(call, tmp_path):
    tide = values()[0]
    order = np.random.default_rng(3).permutation(COUNT)
    columns = {"year": np.arange(1900, 1900 + COUNT), "tide": tide}
    sorted_, mixed = write(tmp_path / "a.csv", columns), write(tmp_path / "b.csv", columns, order)
    for path, run in ((sorted_, "one"), (mixed, "two")):
        call("train", path, "--forecast", "tide", "--time", "year", *QUICK, "--out", run)
    for name, array in load("one").parameters.items():
        np.testing.assert_array_equal(array, load("two").parameters[name])
    assert call("predict", "one", mixed).stdout == call("predict", "two", sorted_).stdout
    assert table(call("predict", "one", mixed).stdout)[1][0] == "1980"


def test_without_times_steps_are_counted(call, tmp_path):
    path = write(tmp_path / "a.csv", {"tide": values()[0]})
    note = call("train", path, "--forecast", "tide", *QUICK, "--progress", "plain", "--out", "run").stderr
    assert "taken to be in the order of time" in note
    assert [row[0] for row in table(call("predict", "run", path).stdout)] == ["step", "+1"]


def test_scales_and_season_come_from_the_training_part(call, tmp_path):
    """The end of the series, which is held out, may be anything."""
    tide = values()[0]
    other = np.concatenate([tide[:-24], np.random.default_rng(1).normal(1000, 300, 24)])
    for name, column in (("a", tide), ("b", other)):
        path = write(tmp_path / f"{name}.csv", {"tide": column})
        call("train", path, "--forecast", "tide", *QUICK, "--validation", "0", "--test", "0.3", "--out", name)
    assert load("a").encoding == load("b").encoding
    for name, array in load("a").parameters.items():
        np.testing.assert_array_equal(array, load("b").parameters[name])


@pytest.mark.parametrize("name", ["target", "label", "class", "y"])
def test_columns_named_like_a_target(call, tmp_path, name):
    tide, wind, _ = values()
    words = ["a", "", "b", "a"] * (COUNT // 4)
    for told, known in ((name, "wind"), ("wind", name)):
        path = write(tmp_path / "named.csv", {"day": days(), name: tide, "wind": wind})
        made = call("train", path, "--forecast", told, "--covariates", known, *QUICK, "--out", f"run-{told}")
        assert "target: the column" not in made.stderr
        assert call("predict", f"run-{told}", path).stdout.startswith("day,prediction")
        assert "windows" in call("evaluate", f"run-{told}", path).stdout
    call("train", write(tmp_path / "gaps.csv", {"wind": wind, name: words}), "--forecast", "wind", *QUICK)


def test_arrays_named_like_a_target(call, tmp_path):
    np.savez(tmp_path / "sea.npz", target=values()[0], wind=values()[1])
    call("train", tmp_path / "sea.npz", "--forecast", "target", "--covariates", "wind", *QUICK, "--out", "run")
    assert load("run").encoding.columns == ("target", "wind")


def test_the_season_found_is_kept_with_the_choices(call, sea):
    call("train", sea, "--forecast", "tide", *QUICK, "--dropout", "0.2", "--depth", "2", "--out", "run")
    assert Recipe.of(Run("run")).choices.season == load("run").encoding.season == 6


def test_gradients_and_source(call, sea):
    call("train", sea, "--forecast", "tide", *QUICK, "--out", "run")
    assert call("check", "run", "--gradients", "--samples", "2").exit_code == 0
    assert "def training_step" in call("source", "run").stdout


def test_changed_data_is_noticed(call, sea):
    call("train", sea, "--forecast", "tide", *QUICK, "--out", "run")
    sea.write_text(sea.read_text().replace("2024-01-30", "2024-01-29"))
    assert "has changed" in call("evaluate", "run", status=2).stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--forecast", "tied"), "there is no column 'tied'; did you mean 'tide'? There are"),
        (("--forecast", "port"), "column 'port' holds words (line 2: 'a'), and a series is numbers"),
        (("--forecast", "day"), "column 'day' holds dates"),
        (("--forecast", "tide", "--covariates", "tide"), "'tide' is named twice"),
        (("--forecast", "tide", "--time", "port"), "times are dates or numbers"),
        (("--forecast", "tide", "--time", "hour"), "there is no column 'hour'"),
        (("--forecast", "tide", "--window", "70"), "leave 56 for the training part, and it needs 71"),
        (("--forecast", "tide", "--horizon", "20", "--window", "4"), "leave 8 for the validation part"),
        (("--forecast", "tide", "--window", "5", "--season", "6"), "--season 6 is longer than --window 5"),
        (("--forecast", "tide", "--loss", "cross_entropy"), "does not fit series"),
        (("--forecast", "tide", "--loss", "quantile"), "does not fit series"),
        (("--forecast", "tide", "--activation", "tanh"), "--activation is for --cell rnn"),
        (("--forecast", "tide", "--optimizer", "lbfgs"), "leave out --optimizer lbfgs"),
        (("--forecast", "tide", "--target", "wind"), "leave out --target"),
        (("--forecast", "tide", "--target", "tide"), "leave out --target"),
        (("--forecast", "tide", "--level", "word"), "leave out --level"),
        (("--forecast", "tide", "--augment", "flip", "--size", "8"), "leave out --size, --augment"),
        (("--forecast", "tide", "--layers", "8"), "leave out --layers"),
        (("--forecast", "tide", "--metrics", "r2"), "leave out --metrics"),
        (("--task", "series"), "--forecast NAME"),
    ],
)
def test_what_a_user_may_get_wrong(call, sea, options, message):
    assert message in " ".join(call("train", sea, *options, "--out", "run", status=2).stderr.split())


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([1.5, 2.5, "", 3.5] * 10, "a.csv: line 4, column 'x': the value is missing (10 in all)"),
        ([4.0] * 40, "a.csv: column 'x': all values are 4: there is nothing to learn"),
        ([1.0, 2.0, "x"] * 10, "a.csv: column 'x' holds words (line 4: 'x')"),
        ([1.0, 2.0, 3.0], "a.csv: 3 time steps leave 2 for the training part"),
    ],
)
def test_series_that_cannot_be_learnt(call, tmp_path, column, message):
    path = write(tmp_path / "a.csv", {"x": column})
    assert message in " ".join(call("train", path, "--forecast", "x", "--window", "8", status=2).stderr.split())


def test_times_that_are_no_order(call, tmp_path):
    path = write(tmp_path / "a.csv", {"day": ["2024-01-01"] * 40, "x": np.arange(40.0)})
    message = call("train", path, "--forecast", "x", status=2).stderr
    assert "a.csv: line 3, column 'day': 2024-01-01 comes twice" in message


def test_the_data_of_a_forecast_is_checked_too(call, sea, tmp_path):
    call("train", sea, "--forecast", "tide", "--covariates", "wind", *QUICK, "--out", "run")
    short = write(tmp_path / "short.csv", {"day": days(5), "tide": values()[0][:5], "wind": values()[1][:5]})
    assert "has 5 time steps, and the forecast starts from 8" in call("predict", "run", short, status=2).stderr
    narrow = write(tmp_path / "narrow.csv", {"day": days(), "tide": values()[0]})
    assert "narrow.csv: there is no column 'wind'" in call("predict", "run", narrow, status=2).stderr
    assert "--probabilities needs classes" in call("predict", "run", sea, "--probabilities", status=2).stderr
    assert "own figures" in call("evaluate", "run", "--metrics", "r2", status=2).stderr
