"""Series: windows beside loops, the naive forecasts, what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearprop.data import naive_forecast, series_windows, split_by_position
from clearprop.errors import DataError, SettingsError


@given(st.integers(1, 30), st.integers(1, 3), st.integers(1, 6), st.integers(1, 4), st.data())
def test_windows_beside_loops(count, features, window, horizon, data):
    target = data.draw(st.integers(0, features - 1))
    values = np.arange(count * features, dtype=float).reshape(count, features) ** 2
    if count < window + horizon:
        with pytest.raises(DataError, match="too few"):
            series_windows(values, window, horizon, target=target)
        return
    x, y = series_windows(values, window, horizon, target=target)
    starts = range(count - window - horizon + 1)
    assert x.tolist() == [values[i : i + window].tolist() for i in starts]
    assert y.tolist() == [values[i + window : i + window + horizon, target].tolist() for i in starts]


def test_one_series():
    x, y = series_windows([1, 2, 4, 7], 2)
    assert x.tolist() == [[[1], [2]], [[2], [4]]]
    assert y.tolist() == [[4], [7]]


def test_no_target_is_in_both_parts():
    values, window, horizon = np.arange(50), 4, 3
    first, second = split_by_position(50, 0.3)
    _, learned = series_windows(values[first], window, horizon)
    _, measured = series_windows(values[second.start - window :], window, horizon)
    assert learned.max() == second.start - 1
    assert measured.min() == second.start


def test_naive_forecasts():
    x = np.arange(12.0).reshape(2, 6, 1)
    assert naive_forecast(x, 3).tolist() == [[5, 5, 5], [11, 11, 11]]
    assert naive_forecast(x, 5, season=3).tolist() == [[3, 4, 5, 3, 4], [9, 10, 11, 9, 10]]
    assert naive_forecast(np.dstack([x, -x]), 1, target=1).tolist() == [[-5], [-11]]


def test_a_season_is_told_exactly():
    values = np.tile([3.0, 1.0, 4.0, 1.0, 5.0], 8)
    x, y = series_windows(values, 10, 7)
    assert (naive_forecast(x, 7, season=5) == y).all()


@pytest.mark.parametrize("values", [[1.0, np.nan, 2.0], np.zeros((3, 3, 3)), ["a", "b", "c"], 3.0])
def test_no_series(values):
    with pytest.raises(DataError, match="series is finite numbers"):
        series_windows(values, 1)


@pytest.mark.parametrize("wrong", [{"window": 0}, {"horizon": 0}, {"target": 1}, {"target": -1}])
def test_wrong_settings(wrong):
    with pytest.raises(SettingsError, match="window and horizon"):
        series_windows([1, 2, 3], **({"window": 1} | wrong))


@pytest.mark.parametrize("season", [0, 5])
def test_no_season(season):
    with pytest.raises(SettingsError, match="season"):
        naive_forecast(np.zeros((2, 4, 1)), season=season)
