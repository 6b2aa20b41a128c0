"""The columns of a table encoded side by side."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from clearprop.data.column_encoder import ColumnEncoder, ColumnReport, Notes
from clearprop.data.columns import Array
from clearprop.data.dataset import Features
from clearprop.data.dropped_column import DroppedColumn
from clearprop.data.feature_columns import column_from_dict, fit_column
from clearprop.data.inference import ColumnKind
from clearprop.data.printable import listed, quoted
from clearprop.data.saved_state import SavedState
from clearprop.data.table import Table
from clearprop.errors import DataError, HeaderError


@dataclass(frozen=True)
class TableFeatures:
    """The columns of a table encoded side by side, in the order of training.

    Attributes:
        columns: an encoder for each raw column.
    """

    columns: tuple[ColumnEncoder, ...]
    form: ClassVar[str] = "table"

    @classmethod
    def fit(cls, table: Table) -> "TableFeatures":
        """Return the encoders of all columns; raises DataError if none is of use."""
        marks = {name: kind.decimal for name, kind in table.kinds.items()}
        encoder = cls(tuple(fit_column(name, table[name], table.place, marks.get(name)) for name in table.names))
        if not encoder.shape[0]:
            reasons = "; ".join(f"{quoted(r.name)}: {r.dropped}" for r in encoder.reports()[:10])
            raise DataError(f"no column is of use as a feature ({reasons or 'there is none'})")
        return encoder

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one encoded sample."""
        return (sum(column.width for column in self.columns),)

    @property
    def kinds(self) -> dict[str, ColumnKind]:
        """What each column is to be read as."""
        return {column.name: column.wanted for column in self.columns}

    def encode(self, features: Features, dtype: str) -> tuple[Array, tuple[str, ...]]:
        """Return the encoded table (n, d) and notes on what was unusual about it."""
        table = features if isinstance(features, Table) else self._named(features)
        notes = Notes(self._extra(table))
        self._refuse_absent(table)
        encoded = np.empty((len(table), *self.shape), dtype=dtype)
        start = 0
        for column in self.columns:
            if column.width:
                part = encoded[:, start : start + column.width]
                with np.errstate(over="ignore"):
                    part[...] = column.encode(table[column.name], table.place, notes)
                self._refuse_overflow(column.name, part, table)
                start += column.width
        return encoded, tuple(notes.lines)

    def _named(self, array: Array) -> Table:
        """An array of rank 2 as a table, whose columns are those of training by position."""
        if array.ndim != 2 or array.shape[1] != len(self.columns):
            raise DataError(
                f"features of shape {array.shape}: expected a table with the columns "
                f"{listed([column.name for column in self.columns])}, or an array (n, {len(self.columns)}) of them"
            )
        return Table({column.name: array[:, i] for i, column in enumerate(self.columns)})

    def _extra(self, table: Table) -> list[str]:
        known = {column.name for column in self.columns}
        extra = [name for name in table.names if name not in known]
        return [f"columns that training did not have are ignored: {listed(extra)}"] if extra else []

    def _refuse_absent(self, table: Table) -> None:
        absent = [c.name for c in self.columns if c.width and c.name not in table.columns]
        if absent:
            which = f"columns {listed(absent)} are" if len(absent) > 1 else f"column {listed(absent)} is"
            raise HeaderError(
                f"the {which} missing: training had {'them' if len(absent) > 1 else 'it'}, and here there are "
                f"{listed(table.names)}",
                absent,
            )

    @staticmethod
    def _refuse_overflow(name: str, part: Array, table: Table) -> None:
        if not np.isfinite(part).all():
            row = int(np.flatnonzero(~np.isfinite(part).all(axis=1))[0])
            raise DataError(
                f"{table.place(row)}, column {quoted(name)}: {quoted(table[name][row])} is so far from the values of "
                f"training that {part.dtype} cannot hold it; correct the value"
            )

    def reports(self) -> list[ColumnReport]:
        """Return what became of each column."""
        return [column.report() for column in self.columns]

    def notes(self) -> tuple[str, ...]:
        """Return a note for each column that was dropped."""
        return tuple(
            f"column {quoted(column.name)} is dropped: {column.reason}"
            for column in self.columns
            if isinstance(column, DroppedColumn)
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the encoders as JSON."""
        return {"form": self.form, "columns": [column.to_dict() for column in self.columns]}

    @classmethod
    def from_dict(cls, content: object) -> "TableFeatures":
        """Read what `to_dict` gave; raises FileFormatError."""
        state = SavedState(content, "the features' encoding", ("form", "columns"))
        columns = tuple(column_from_dict(column) for column in state.items("columns"))
        names = {column.name for column in columns}
        encoder = cls(columns)
        state.require(len(names) == len(columns) and encoder.shape[0] > 0, "different names and a column of use")
        return encoder
