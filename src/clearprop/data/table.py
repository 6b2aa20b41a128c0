"""`Table`: named raw columns, immutable."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from clearprop.data.columns import Array, canonical
from clearprop.data.inference import ColumnKind
from clearprop.data.printable import listed, quoted
from clearprop.description import instead
from clearprop.errors import DataError, HeaderError


@dataclass(frozen=True, eq=False, repr=False)
class Table:
    """Named columns of equal length, as they were read and not yet encoded.

    Each column is brought into one canonical form (`clearprop.data.columns`): numbers are float64 with NaN for a
    missing value, or int64 if none is missing; text is an object array of str with None; booleans are bool, or an
    object array of True, False and None; dates are datetime64[us] in UTC with NaT. The arrays are read-only.

    Attributes:
        columns: name -> array of shape (n,), in the order of the source.
        numbers: the number by which the user knows each row (the line of the file it came from), int64 of shape (n,);
            None when rows are simply counted from 1.
        unit: what `numbers` counts: "line" for text files whose every row is one line, else "row".
        kinds: what the columns that came as text were read as, with the decimal mark where the numbers tell it; also
            those that were taken out since, such as the target.

    Raises:
        DataError: the columns differ in length, or hold something a table cannot.
    """

    columns: Mapping[str, Array]
    numbers: Array | None = None
    unit: str = "row"
    kinds: Mapping[str, ColumnKind] = field(default_factory=dict)

    def __post_init__(self) -> None:
        columns = {str(name): canonical(str(name), values) for name, values in self.columns.items()}
        if len(columns) != len(self.columns):
            raise DataError("two columns of the table have the same name; give each a name of its own")
        lengths = {len(column) for column in columns.values()}
        if len(lengths) > 1:
            shown = ", ".join(f"{quoted(name)}: {len(column)}" for name, column in columns.items())
            raise DataError(f"the columns of a table have different lengths ({shown})")
        object.__setattr__(self, "columns", MappingProxyType(columns))
        object.__setattr__(self, "kinds", MappingProxyType(dict(self.kinds)))

    def __len__(self) -> int:
        return self.n_rows

    def __getitem__(self, name: str) -> Array:
        if name not in self.columns:
            others = instead(name, self.names, "there are", listed(self.names))
            raise HeaderError(f"there is no column {quoted(name)}{others}", [name])
        return self.columns[name]

    def __repr__(self) -> str:
        return f"Table({self.n_rows} rows, {len(self.columns)} columns: {listed(self.names)})"

    def __reduce__(self) -> tuple[Any, ...]:
        # A mapping proxy cannot be pickled, and worker processes of a sweep receive tables.
        return Table, (dict(self.columns), self.numbers, self.unit, dict(self.kinds))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return tuple(self.columns)

    @property
    def n_rows(self) -> int:
        """The number of rows."""
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def take(self, indices: Any) -> "Table":
        """Return the rows at `indices` (integers, a slice or a boolean mask), which keep the numbers they had."""
        numbers = np.arange(1, self.n_rows + 1) if self.numbers is None else self.numbers
        columns = {name: column[indices] for name, column in self.columns.items()}
        return replace(self, columns=columns, numbers=numbers[indices])

    def select(self, names: Sequence[str]) -> "Table":
        """Return the columns `names`, in that order. Raises DataError for a name that is not there."""
        return replace(self, columns={name: self[name] for name in names})

    def drop(self, names: Sequence[str]) -> "Table":
        """Return all columns but `names`. Raises DataError for a name that is not there."""
        for name in names:
            self[name]
        return self.select([name for name in self.names if name not in set(names)])

    def place(self, index: int) -> str:
        """Return where a row is, as the user counts: 'line 7' of a text file, else 'row 6' counted from 1."""
        return f"{self.unit} {index + 1 if self.numbers is None else int(self.numbers[index])}"
