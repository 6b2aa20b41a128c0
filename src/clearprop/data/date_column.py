"""A column of dates, as days and as places on the circles of year, week and day."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from clearprop.data.column_encoder import (
    ColumnEncoder,
    ColumnReport,
    Notes,
    Place,
    indicator_words,
    note_missing,
    saved_column,
    with_indicator,
)
from clearprop.data.columns import Array, kind_of, missing_mask
from clearprop.data.dropped_column import DroppedColumn
from clearprop.data.inference import ColumnKind, read_as
from clearprop.data.printable import quoted
from clearprop.data.statistics import statistics
from clearprop.errors import DataError

_DAY = 86_400_000_000  # microseconds


@dataclass(frozen=True)
class DateColumn:
    """Dates as numbers: the days since 1970-01-01 in UTC, standardised, and places on the circles that vary.

    For each of month of the year, day of the week and time of the day that is not the same throughout the training
    part: sin and cos of 2 pi times the part of the circle gone by. A missing date is 0 in all of them, with an
    indicator if the training part had any.
    """

    name: str
    mean: float
    scale: float
    circles: tuple[str, ...]
    indicator: bool
    distinct: int
    missing: int
    kind: ClassVar[str] = "date"
    wanted: ClassVar[ColumnKind] = ColumnKind("date")

    @classmethod
    def fit(cls, name: str, column: Array, place: Place) -> "ColumnEncoder":
        """Return the encoder of a column of dates; a constant one without missing values is dropped."""
        gaps = missing_mask(column)
        present, missing = column[~gaps], int(gaps.sum())
        found, distinct = statistics(_days(present)), len(np.unique(present))
        if found.constant and not missing:
            return DroppedColumn(name, cls.kind, f"all values are {present[0]}", distinct, missing)
        varying = tuple(circle for circle, turn in _CIRCLES.items() if len(np.unique(turn(present))) > 1)
        return cls(name, found.mean, found.scale, varying, missing > 0, distinct, missing)

    @property
    def width(self) -> int:
        """1 for the days, 2 for each circle, 1 for the indicator."""
        return 1 + 2 * len(self.circles) + self.indicator

    def encode(self, column: Array, place: Place, notes: Notes) -> Array:
        """Return days, circles and indicator. Text that is a date is taken as one."""
        dates = _as_dates(self.name, column, self.wanted, place)
        gaps = np.isnat(dates)
        if not self.indicator:
            note_missing(self.name, gaps, "the mean", notes)
        encoded = np.zeros((len(dates), self.width - self.indicator))
        present = dates[~gaps]
        encoded[~gaps, 0] = (_days(present) - self.mean) / self.scale
        for k, circle in enumerate(self.circles):
            angle = 2 * np.pi * _CIRCLES[circle](present)
            encoded[~gaps, 1 + 2 * k] = np.sin(angle)
            encoded[~gaps, 2 + 2 * k] = np.cos(angle)
        return with_indicator(encoded, gaps, self.indicator)

    def report(self) -> ColumnReport:
        """Return what became of the column."""
        circles = "".join(f", sin and cos of the {circle}" for circle in self.circles)
        words = f"days standardised{circles}" + indicator_words(self.indicator)
        return ColumnReport(self.name, self.kind, words, self.distinct, self.missing, self.width)

    def to_dict(self) -> dict[str, Any]:
        """Return the encoder as JSON."""
        return {"kind": self.kind, **vars(self), "circles": list(self.circles)}

    @classmethod
    def from_dict(cls, content: object) -> "DateColumn":
        """Read what `to_dict` gave; raises FileFormatError."""
        state = saved_column(content, "a column of dates", cls)
        state.positive("scale")
        circles = state.texts("circles")
        state.require(list(circles) == [c for c in _CIRCLES if c in circles], f"circles among {', '.join(_CIRCLES)}")
        return cls(**state.values(cls))


def _as_dates(name: str, column: Array, wanted: ColumnKind, place: Place) -> Array:
    """A canonical column as datetime64[us]."""
    kind = kind_of(column)
    if kind == "date":
        return column
    if missing_mask(column).all():
        return np.full(len(column), np.datetime64("NaT", "us"))
    if kind != "text":
        raise DataError(f"column {quoted(name)} holds a {kind} in every row, and training had dates there")
    return read_as(name, column, wanted, place)


def _month(dates: Array) -> Array:
    return (dates.astype("datetime64[M]").astype(np.int64) % 12) / 12


def _weekday(dates: Array) -> Array:
    return ((dates.astype("datetime64[D]").astype(np.int64) + 3) % 7) / 7  # 1970-01-01 was a Thursday


def _time(dates: Array) -> Array:
    return (dates.astype("datetime64[us]").astype(np.int64) % _DAY) / _DAY


def _days(dates: Array) -> Array:
    return dates.astype("datetime64[us]").astype(np.int64) / _DAY


_CIRCLES: dict[str, Callable[[Array], Array]] = {
    "month": _month,
    "day of the week": _weekday,
    "time of the day": _time,
}
