"""`SeriesEncoding`: the scale of each column of a series, so that a forecast sees the numbers that training saw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from clearprop.data.columns import DTYPES, Array
from clearprop.data.inference import ColumnKind, Decimal
from clearprop.data.printable import listed, quoted
from clearprop.data.saved_state import SavedState
from clearprop.data.series import naive_forecast, series_windows
from clearprop.data.statistics import statistics
from clearprop.data.target_encoding import Task
from clearprop.errors import DataError, SettingsError

_FIELDS = ("form", "columns", "mean", "scale", "told", "window", "horizon", "season", "time", "dtype", "decimals")


@dataclass(frozen=True)
class SeriesEncoding:
    """Windows of series as standardised numbers, and forecasts back in the units of their columns.

    Each column has a scale of its own, z = (x - mean) / scale, with statistics of the training part only. The first
    `told` of the columns are forecast, from all of them.

    Attributes:
        columns: the names of the columns.
        mean, scale: one number a column.
        told: how many of the columns, from the first on, are forecast.
        window: how many time steps are known.
        horizon: how many time steps are told.
        season: how many time steps a season has, for the forecast to compare with; None where none is known.
        time: the name of the column of times; None where rows are counted.
        dtype: of the encoded numbers.
        decimals: the decimal mark of each column that was read from text, by name, where it is known.
    """

    columns: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    told: int
    window: int
    horizon: int
    season: int | None = None
    time: str | None = None
    dtype: str = "float32"
    decimals: Mapping[str, Decimal] = field(default_factory=dict)
    form: ClassVar[str] = "series"
    task: ClassVar[Task] = "regression"
    classes: ClassVar[None] = None

    @classmethod
    def fit(
        cls,
        values: Array,
        columns: Sequence[str],
        *,
        told: int = 1,
        window: int,
        horizon: int = 1,
        season: int | None = None,
        time: str | None = None,
        dtype: str = "float32",
        decimals: Mapping[str, Decimal] | None = None,
    ) -> "SeriesEncoding":
        """Return the encoding of a training part.

        Args:
            values: (count, columns), finite numbers in the order of time.
            columns: their names.
            told, window, horizon, season, time, dtype, decimals: see above.

        Raises:
            DataError: a column that is to be told never varies, or the values do not fit the names.
            SettingsError: an argument has a value that is not allowed.
        """
        if dtype not in DTYPES:
            raise SettingsError(f"dtype is {quoted(dtype)}: expected one of {', '.join(DTYPES)}")
        if np.ndim(values) != 2 or np.shape(values)[1] != len(columns) or not 1 <= told <= len(columns):
            raise DataError(
                f"expected values (count, {len(columns)}) for the columns {listed(tuple(columns))}, "
                f"of which {told} are told, received shape {np.shape(values)}"
            )
        series_windows(values, window, horizon)
        naive_forecast(np.zeros((1, window, 1)), season=season or 1)
        found = [statistics(column) for column in np.asarray(values).T]
        for name, column in zip(columns[:told], found, strict=False):
            if column.constant:
                raise DataError(f"column {quoted(name)}: all values are {column.mean:g}: there is nothing to learn")
        mean, scale = tuple(column.mean for column in found), tuple(column.scale for column in found)
        return cls(tuple(columns), mean, scale, told, window, horizon, season, time, dtype, dict(decimals or {}))

    @property
    def n_outputs(self) -> int:
        """How many numbers a forecast has: every step of every column that is told."""
        return self.horizon * self.told

    @property
    def input_shape(self) -> tuple[int, int]:
        """The shape of one window."""
        return self.window, len(self.columns)

    @property
    def kinds(self) -> dict[str, ColumnKind]:
        """What `load` is to read each column as; of times only numbers with a decimal mark, as dates have one form."""
        marked = {name: ColumnKind("number", mark) for name, mark in self.decimals.items()}
        return dict.fromkeys(self.columns, ColumnKind("number")) | marked

    @property
    def arrays(self) -> dict[str, Array]:
        """What `to_dict` leaves to the file's arrays: nothing."""
        return {}

    def windows(self, values: Array) -> tuple[Array, Array]:
        """Cut series into raw windows (n, window, columns) and what came next, (n, horizon, told)."""
        return series_windows(values, self.window, self.horizon, target=range(self.told))

    def naive(self, x: Array, season: int = 1) -> Array:
        """Return the (seasonal) naive forecast for raw windows: (n, horizon, told)."""
        return naive_forecast(x, self.horizon, season=season, target=range(self.told))

    def features(self, features: Array) -> Array:
        """Return raw windows (n, T, columns) standardised, in the encoding's dtype.

        Raises:
            DataError: they are not finite numbers of that shape.
        """
        if features.ndim != 3 or features.shape[2] != len(self.columns) or features.dtype.kind not in "iuf":
            raise DataError(
                f"expected windows (n, {self.window}, {len(self.columns)}) of {listed(self.columns)}, "
                f"received {features.dtype} of shape {features.shape}"
            )
        return self._standardised(features, len(self.columns))

    def target(self, target: Array) -> Array:
        """Return what came next, (n, horizon, told) or as numbers side by side, standardised: (n, horizon told).

        Raises:
            DataError: it is not finite numbers of that shape.
        """
        if target.dtype.kind not in "iuf" or target.size != len(target) * self.n_outputs:
            raise DataError(
                f"expected targets (n, {self.horizon}, {self.told}), received {target.dtype} of shape {target.shape}"
            )
        steps = target.reshape(len(target), self.horizon, self.told)
        return self._standardised(steps, self.told).reshape(len(target), -1)

    def _standardised(self, values: Array, count: int) -> Array:
        mean, scale = np.asarray(self.mean[:count]), np.asarray(self.scale[:count])
        with np.errstate(over="ignore"):
            numbers = np.ascontiguousarray((values - mean) / scale, dtype=self.dtype)
        if not np.isfinite(numbers).all():
            place = [int(axis[0]) for axis in np.nonzero(~np.isfinite(numbers))]
            raise DataError(
                f"column {quoted(self.columns[place[2]])}: {values[tuple(place)]} cannot be used as {self.dtype}"
            )
        return numbers

    def decode(self, outputs: Array) -> Array:
        """Return outputs (n, horizon told) in the units of the columns, float64: (n, horizon, told)."""
        if outputs.ndim != 2 or outputs.shape[1] != self.n_outputs:
            raise DataError(f"outputs of shape {outputs.shape}: expected (n, {self.n_outputs})")
        steps = np.asarray(outputs, dtype=np.float64).reshape(len(outputs), self.horizon, self.told)
        return np.asarray(steps * np.asarray(self.scale[: self.told]) + np.asarray(self.mean[: self.told]))

    def to_dict(self) -> dict[str, Any]:
        """Return the encoding as JSON values; floats survive exactly."""
        content = {"form": self.form} | vars(self) | {"decimals": dict(self.decimals)}
        return content | {name: list(content[name]) for name in ("columns", "mean", "scale")}

    @classmethod
    def from_dict(cls, content: object) -> "SeriesEncoding":
        """Read what `to_dict` gave; raises FileFormatError for anything else."""
        state = SavedState(content, "the encoding of the series", _FIELDS, {"decimals": {}})
        state.choice("form", (cls.form,))
        columns, mean, scale = state.texts("columns"), state.numbers("mean"), state.positives("scale")
        told, window, horizon = state.count("told"), state.count("window"), state.count("horizon")
        season = None if state.raw("season") is None else state.count("season")
        time = None if state.raw("time") is None else state.text("time")
        state.require(len(columns) == len(mean) == len(scale) and 1 <= told <= len(columns), "one scale a column")
        state.require(min(window, horizon) >= 1 and (season is None or 1 <= season <= window), "a window and a horizon")
        dtype, marks = state.choice("dtype", DTYPES), state.marks("decimals")
        return cls(columns, mean, scale, told, window, horizon, season, time, dtype, marks)

    def describe(self) -> list[str]:
        """Return in words what became of each column."""
        rows = zip(self.columns, self.mean, self.scale, strict=True)
        return [f"{quoted(name)} standardised (mean {mean:.6g}, scale {scale:.6g})" for name, mean, scale in rows]
