"""Series from tables: columns, times, scales, seasons, and what cannot be one."""

import datetime
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearprop.data import (
    Dataset,
    SeriesEncoding,
    Table,
    encoding_from_dict,
    find_season,
    naive_forecast,
    series_of,
    series_windows,
)
from clearprop.errors import DataError, FileFormatError, SettingsError


def of(columns, names=("x",), time=None):
    return series_of(Dataset("a.csv", Table(columns), None), names, time)


def fitted(**settings):
    values = np.random.default_rng(0).normal([3, -1000, 0.1], [1, 50, 0.001], (40, 3))
    return values, SeriesEncoding.fit(values, ["a", "b", "c"], **({"told": 2, "window": 5, "horizon": 3} | settings))


def test_each_column_has_its_own_scale():
    values, encoding = fitted()
    x, y = encoding.windows(values)
    encoded = encoding.features(x)
    assert encoded.dtype == np.float32
    np.testing.assert_allclose(encoded, (x - values.mean(axis=0)) / values.std(axis=0), rtol=1e-4, atol=1e-4)
    target = encoding.target(y)
    assert target.shape == (len(y), encoding.n_outputs) == (33, 6)
    np.testing.assert_allclose(encoding.decode(target), y, rtol=1e-5)
    np.testing.assert_array_equal(encoding.naive(x), np.repeat(x[:, -1:, :2], 3, axis=1))


def test_the_encoding_survives_a_file():
    for settings in ({}, {"season": 4, "time": "day", "dtype": "float64", "told": 1}):
        encoding = fitted(**settings)[1]
        content = json.loads(json.dumps(encoding.to_dict()))
        assert encoding_from_dict(content) == encoding


@pytest.mark.parametrize(
    "wrong",
    [
        {"columns": ["a"]},
        {"scale": [1.0, 0.0, 1.0]},
        {"told": 4},
        {"told": 0},
        {"window": 0},
        {"season": 6},
        {"season": "4"},
        {"time": 3},
        {"dtype": "int8"},
        {"more": 1},
        {"mean": [1.0, math.nan, 0.0]},
    ],
)
def test_damaged_encodings_are_refused(wrong):
    with pytest.raises(FileFormatError):
        encoding_from_dict(fitted()[1].to_dict() | wrong)


def test_what_does_not_fit_an_encoding():
    values, encoding = fitted()
    with pytest.raises(DataError, match=r"expected windows \(n, 5, 3\)"):
        encoding.features(np.zeros((2, 5, 2)))
    with pytest.raises(DataError, match=r"expected targets \(n, 3, 2\)"):
        encoding.target(np.zeros((2, 5)))
    with pytest.raises(DataError, match=r"outputs of shape \(2, 5\)"):
        encoding.decode(np.zeros((2, 5)))
    x, _ = encoding.windows(values)
    x[1, 2, 1] = np.inf
    with pytest.raises(DataError, match="column 'b': inf cannot be used as float32"):
        encoding.features(x)
    with pytest.raises(DataError, match="column 'a': all values are 7"):
        SeriesEncoding.fit(np.full((9, 1), 7.0), ["a"], window=2)
    with pytest.raises(DataError, match="received shape"):
        SeriesEncoding.fit(np.zeros((9, 2)), ["a"], window=2)
    with pytest.raises(SettingsError, match="dtype"):
        fitted(dtype="float16")
    with pytest.raises(SettingsError, match="season"):
        fitted(season=6)


@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 4), st.data())
def test_windows_of_several_targets_are_those_of_each(features, window, horizon, data):
    told = data.draw(st.lists(st.integers(0, features - 1), min_size=1, unique=True))
    values = np.random.default_rng(0).normal(size=(12, features))
    x, y = series_windows(values, window, horizon, target=told)
    naive = naive_forecast(x, horizon, season=window, target=told)
    for k, feature in enumerate(told):
        alone = series_windows(values, window, horizon, target=feature)
        np.testing.assert_array_equal(x, alone[0])
        np.testing.assert_array_equal(y[:, :, k], alone[1])
        np.testing.assert_array_equal(naive[:, :, k], naive_forecast(x, horizon, season=window, target=feature))


@given(st.integers(2, 12), st.floats(-5, 5), st.floats(0, 1))
def test_a_season_is_found_above_a_trend(season, slope, noise):
    rng = np.random.default_rng(season)
    shape = rng.permutation(np.linspace(-1, 1, season)) if season > 2 else np.array([-1.0, 1.0])
    t = np.arange(20 * season)
    values = np.tile(10 * shape, 20) + slope * t + noise * rng.normal(size=len(t))
    found = find_season(values, 2 * season - 1)
    z = values - np.polyval(np.polyfit(t, values, 1), t)
    r = [np.dot(z[: len(z) - k], z[k:]) / np.dot(z, z) for k in range(2 * season + 1)]
    peaks = [k for k in range(2, 2 * season) if r[k - 1] < r[k] >= r[k + 1]]
    assert found == max(peaks, key=lambda k: r[k]) == season


@pytest.mark.parametrize(
    "values", [np.zeros(30), np.arange(30.0), np.arange(3), np.random.default_rng(0).normal(size=30)]
)
def test_no_season_stands_out(values):
    assert find_season(values, 10) is None


def test_the_season_is_not_longer_than_asked():
    assert find_season(np.tile(np.sin(np.arange(12) / 12 * 2 * np.pi), 9), 11) is None


DAY = datetime.date(2024, 1, 31)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([1700, 1701, 1702], ["1703", "1704"]),
        ([0.25, 0.5, 0.75], ["1", "1.25"]),
        ([3, 2, 1], ["4", "5"]),
        (["2024-02-27", "2024-02-28"], ["2024-02-29", "2024-03-01"]),
        (["2024-01-15", "2024-02-15", "2024-03-15"], ["2024-04-15", "2024-05-15"]),
        (["2023-11-30", "2023-12-31", "2024-01-31"], ["2024-02-29", "2024-03-31"]),
        (["2020-03-01", "2021-03-01", "2022-03-01"], ["2023-03-01", "2024-03-01"]),
        (["2024-01-01T22:00", "2024-01-01T23:00"], ["2024-01-02T00:00:00", "2024-01-02T01:00:00"]),
        ([1, 2, 4], ["+1", "+2"]),
        (["2024-01-01", "2024-01-02", "2024-01-05"], ["+1", "+2"]),
    ],
)
def test_what_the_next_time_steps_are_called(times, expected):
    column = np.array(times, dtype="datetime64[us]") if isinstance(times[0], str) else np.array(times)
    series = of({"x": np.arange(float(len(times))), "when": column}, time="when")
    assert series.next_times(2) == expected
    assert ("not equally far apart" in " ".join(series.notes)) == (expected[0] == "+1")


def test_rows_are_brought_in_the_order_of_the_only_dates():
    dates = np.array(["2024-01-03", "2024-01-01", "2024-01-02"], dtype="datetime64[us]")
    series = of({"day": dates, "x": np.array([3.0, 1.0, 2.0]), "flag": np.array([True, False, True])}, ("x", "flag"))
    assert series.values.tolist() == [[1, 0], [2, 1], [3, 1]]
    assert series.time == "day"
    assert len(series) == 3
    assert of({"x": np.arange(3.0)}).next_times(2) == ["+1", "+2"]


@pytest.mark.parametrize(
    ("columns", "names", "time", "message"),
    [
        ({"x": np.array([1.0, np.nan])}, ("x",), None, "row 2, column 'x': the value is missing"),
        ({"x": np.array([1.0, np.inf])}, ("x",), None, "row 2, column 'x': the number is infinite"),
        ({"x": np.array([None, "b"], object)}, ("x",), None, r"holds words \(row 2: 'b'\)"),
        ({"x": np.arange(2), "t": np.array([1, 1])}, ("x",), "t", "row 2, column 't': 1 comes twice"),
        ({"x": np.arange(2), "t": np.array([1, np.nan])}, ("x",), "t", "row 2, column 't': the time is missing"),
        ({"x": np.arange(2)}, ("x",), "x", "named twice"),
        ({"x": np.arange(2)}, ("y",), None, "there is no column 'y'"),
        (
            {"x": np.arange(2), "s": np.zeros(2, "datetime64[us]"), "t": np.zeros(2, "datetime64[us]")},
            ("x",),
            None,
            "several columns of dates",
        ),
    ],
)
def test_what_is_no_series(columns, names, time, message):
    with pytest.raises(DataError, match=message):
        of(columns, names, time)


def test_arrays_are_no_series():
    with pytest.raises(DataError, match="no table with named columns"):
        series_of(Dataset("a.npy", np.zeros((3, 2)), None), ("x",))
