"""A column of booleans."""

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
from clearprop.data.columns import Array, kind_of, missing_mask, text_of
from clearprop.data.dropped_column import DroppedColumn
from clearprop.data.inference import ColumnKind, Decision, misfit, parse_truth, read_as
from clearprop.data.printable import quoted
from clearprop.errors import DataError


@dataclass(frozen=True)
class BooleanColumn:
    """Booleans as 0 and 1; a missing one is the training part's more common value, with an indicator if it had any."""

    name: str
    common: bool
    indicator: bool
    missing: int
    kind: ClassVar[str] = "boolean"
    wanted: ClassVar[ColumnKind] = ColumnKind("boolean")

    @classmethod
    def fit(cls, name: str, column: Array, place: Place) -> "ColumnEncoder":
        """Return the encoder of a column of booleans; a constant one without missing values is dropped."""
        gaps = missing_mask(column)
        present = column[~gaps].astype(np.bool_)
        true, missing = int(present.sum()), int(gaps.sum())
        if true in (0, len(present)) and not missing:
            return DroppedColumn(name, cls.kind, f"all values are {text_of(bool(true))}", 1, missing)
        return cls(name, 2 * true > len(present), missing > 0, missing)

    @property
    def width(self) -> int:
        """1, or 2 with the indicator."""
        return 1 + self.indicator

    def encode(self, column: Array, place: Place, notes: Notes) -> Array:
        """Return 0 and 1 and the indicator. The words true and false and the numbers 0 and 1 are understood."""
        column = read_as(self.name, column, self.wanted, place) if kind_of(column) == "text" else column
        gaps = missing_mask(column)
        if not self.indicator:
            note_missing(self.name, gaps, f"{text_of(self.common)}, the more common value", notes)
        values = np.full(len(column), float(self.common))
        values[~gaps] = self._truth(column, np.flatnonzero(~gaps), place)
        return with_indicator(values[:, None], gaps, self.indicator)

    def _truth(self, column: Array, rows: Array, place: Place) -> Array:
        values = [text_of(value) for value in column[rows].tolist()]
        parsed = [parse_truth(value) for value in values]
        if None in parsed:
            bad = parsed.index(None)
            what = misfit(values[bad], Decision("boolean"))
            raise DataError(f"{place(int(rows[bad]))}, column {quoted(self.name)}: {what}")
        return np.array(parsed, dtype=np.float64)

    def report(self) -> ColumnReport:
        """Return what became of the column."""
        words = "0 and 1" + indicator_words(self.indicator)
        return ColumnReport(self.name, self.kind, words, 2, self.missing, self.width)

    def to_dict(self) -> dict[str, Any]:
        """Return the encoder as JSON."""
        return {"kind": self.kind, **vars(self)}

    @classmethod
    def from_dict(cls, content: object) -> "BooleanColumn":
        """Read what `to_dict` gave; raises FileFormatError."""
        return cls(**saved_column(content, "a column of booleans", cls).values(cls))
