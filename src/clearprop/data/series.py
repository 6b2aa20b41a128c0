"""Series: windows of what was, with what came next as the target, and the forecasts that any other has to beat."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.data.columns import Array
from clearprop.errors import DataError, SettingsError


def series_windows(
    values: Any, window: int, horizon: int = 1, *, target: int | Sequence[int] = 0
) -> tuple[Array, Array]:
    """Cut a series into windows of what was known, with what came next as the targets.

    To hold out the end, cut the series and then each part into windows; the second part may begin `window` time steps
    earlier, since its first windows may know the past: then no target is learned from and measured on.

    Args:
        values: numbers in the order of time, (count,), or (count, features) for several series side by side.
        window: W, how many time steps are known.
        horizon: H, how many are to be told.
        target: which feature is to be told, or which ones.

    Returns:
        x (n, W, features) and y (n, H), or (n, H, k) for k targets, with n = count - W - H + 1: x[i] are the time steps
        i to i + W - 1, and y[i] is the target in the H steps after them.

    Raises:
        DataError: the values are not such an array of finite numbers, or too few for one window.
        SettingsError: an argument has a value that is not allowed.
    """
    array = np.asarray(values)
    if array.ndim not in (1, 2) or array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        raise DataError(
            f"a series is finite numbers (count,) or (count, features), received {array.dtype} of shape {array.shape}; "
            "fill what is missing, since a gap would shift the time"
        )
    array = array.reshape(len(array), -1).astype(np.float64)
    told = np.asarray(target)
    if window < 1 or horizon < 1 or told.size == 0 or told.min() < 0 or told.max() >= array.shape[1]:
        raise SettingsError(
            f"window and horizon are at least 1 and target is a feature from 0 to {array.shape[1] - 1}, "
            f"received {window}, {horizon} and {target}"
        )
    if len(array) < window + horizon:
        raise DataError(f"{len(array)} time steps are too few for a window of {window} and a horizon of {horizon}")
    view = np.lib.stride_tricks.sliding_window_view(array, window + horizon, axis=0).transpose(0, 2, 1)
    return np.ascontiguousarray(view[:, :window]), np.ascontiguousarray(view[:, window:, told])


def naive_forecast(x: Array, horizon: int = 1, *, season: int = 1, target: int | Sequence[int] = 0) -> Array:
    """Return the forecast that all stays as it is: the last value, or the last season, again and again.

    Args:
        x: windows (n, W, features), as `series_windows` gives.
        horizon: H, how many steps to tell.
        season: how many time steps a season has; 1 is the naive forecast, more the seasonal naive one.
        target: which feature is told, or which ones.

    Returns:
        (n, H), or (n, H, k) for k targets: y[:, h] = x[:, W - season + h mod season, target].

    Raises:
        SettingsError: a season is longer than the windows, or shorter than a step.
    """
    if not 1 <= season <= x.shape[1]:
        raise SettingsError(f"a season has from 1 to {x.shape[1]} time steps, the window's length, received {season}")
    steps = x[:, x.shape[1] - season + np.arange(horizon) % season]
    return np.asarray(steps[..., np.asarray(target)])


def find_season(values: Any, longest: int) -> int | None:
    """Return how many time steps a season has, from the autocorrelation of a series, or None where none stands out.

    The linear trend is taken away. r_k = sum_t z_t z_(t+k) / sum_t z_t^2 then measures how alike the series is to
    itself k steps later. The season is the k from 2 to `longest` at which r_k is larger than for its neighbours, and
    the largest such one, if it is above 2 / sqrt(n), which chance seldom reaches (Bartlett, 1946).

    Args:
        values: finite numbers in the order of time, (count,): of the training part alone.
        longest: the longest season to look for; no more than half of the series is.
    """
    z = np.asarray(values, dtype=np.float64)
    longest = min(longest, len(z) // 2)
    if longest < 2 or z.min() == z.max():
        return None
    time = np.arange(len(z)) - (len(z) - 1) / 2
    z = z / np.abs(z).max()
    z = z - z.mean() - time * ((time @ z) / (time @ time))
    total = z @ z
    if total <= np.finfo(np.float64).eps * len(z):  # nothing but the trend
        return None
    r = np.array([z[: len(z) - k] @ z[k:] for k in range(longest + 2)]) / total
    peaks = [k for k in range(2, longest + 1) if r[k - 1] < r[k] >= r[k + 1] and r[k] > 2 / np.sqrt(len(z))]
    return max(peaks, key=lambda k: (r[k], -k), default=None)
