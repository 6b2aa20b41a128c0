"""A column of numbers, standardised."""

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
from clearprop.data.inference import ColumnKind, Decimal, read_as
from clearprop.data.printable import quoted
from clearprop.data.statistics import statistics
from clearprop.errors import DataError


@dataclass(frozen=True)
class NumberColumn:
    """Numbers standardised: (x - mean) / scale; a missing one is 0, that is, the mean.

    If the training part had missing values, a second column is 1 where the value is missing and 0 elsewhere.
    `decimal` is the decimal mark of the text that the numbers were read from, None where they came as numbers.
    """

    name: str
    mean: float
    scale: float
    indicator: bool
    distinct: int
    missing: int
    decimal: Decimal | None = None
    kind: ClassVar[str] = "number"

    @classmethod
    def fit(cls, name: str, column: Array, place: Place, decimal: Decimal | None = None) -> "ColumnEncoder":
        """Return the encoder of a column of numbers; a constant one without missing values is dropped."""
        gaps = missing_mask(column)
        present = column[~gaps].astype(np.float64)
        if np.isinf(present).any():
            row = int(np.flatnonzero(np.isinf(column))[0])
            raise DataError(f"{place(row)}, column {quoted(name)}: infinity cannot be learned; correct the value")
        found, missing = statistics(present), int(gaps.sum())
        distinct = len(np.unique(present))
        if found.constant and not missing:
            return DroppedColumn(name, cls.kind, f"all values are {found.mean:g}", distinct, missing)
        return cls(name, found.mean, found.scale, missing > 0, distinct, missing, decimal)

    @property
    def width(self) -> int:
        """1, or 2 with the indicator."""
        return 1 + self.indicator

    @property
    def wanted(self) -> ColumnKind:
        """Numbers with the decimal mark of training."""
        return ColumnKind("number", self.decimal)

    def encode(self, column: Array, place: Place, notes: Notes) -> Array:
        """Return (x - mean) / scale and the indicator. Text that is a number is taken as one."""
        numbers = _as_numbers(self.name, column, self.wanted, place)
        gaps = np.isnan(numbers)
        if not self.indicator:
            note_missing(self.name, gaps, "the mean", notes)
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = np.where(gaps, 0.0, (numbers - self.mean) / self.scale)
        return with_indicator(scaled[:, None], gaps, self.indicator)

    def report(self) -> ColumnReport:
        """Return what became of the column."""
        words = f"standardised (mean {self.mean:.6g}, scale {self.scale:.6g})" + indicator_words(self.indicator)
        return ColumnReport(self.name, self.kind, words, self.distinct, self.missing, self.width)

    def to_dict(self) -> dict[str, Any]:
        """Return the encoder as JSON."""
        return {"kind": self.kind, **vars(self)}

    @classmethod
    def from_dict(cls, content: object) -> "NumberColumn":
        """Read what `to_dict` gave; raises FileFormatError."""
        state = saved_column(content, "a column of numbers", cls)
        state.positive("scale")
        return cls(**state.values(cls))


def _as_numbers(name: str, column: Array, wanted: ColumnKind, place: Place) -> Array:
    """A canonical column as float64 with NaN, finite elsewhere."""
    kind = kind_of(column)
    if kind == "date":
        raise DataError(f"column {quoted(name)} holds dates, and training had numbers there")
    if kind == "text":
        column = read_as(name, column, wanted, place)
    plain = column.dtype.kind != "O"
    numbers = column if plain else np.array([np.nan if v is None else v for v in column.tolist()])
    numbers = numbers.astype(np.float64)
    infinite = np.flatnonzero(np.isinf(numbers))
    if len(infinite):
        raise DataError(
            f"{place(int(infinite[0]))}, column {quoted(name)}: the number is infinite or too large; correct the value"
        )
    return numbers
