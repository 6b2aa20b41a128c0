"""What every encoder of a column is and gives; the helpers that several share."""

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Protocol, TypeAlias

import numpy as np

from clearprop.data.columns import Array
from clearprop.data.inference import ColumnKind
from clearprop.data.printable import quoted
from clearprop.data.saved_state import SavedState

Place: TypeAlias = Callable[[int], str]


@dataclass(frozen=True)
class ColumnReport:
    """What became of one raw column, for people to read.

    Attributes:
        name: the column, as it came.
        kind: number, boolean, date, text, or array for features that are one array.
        encoding: how it is encoded, in words.
        distinct, missing: counts over the training part, missing values not among the distinct.
        width: the number of encoded columns it takes; 0 if dropped.
        dropped: why it was dropped, None if it was not.
    """

    name: str
    kind: str
    encoding: str
    distinct: int
    missing: int
    width: int
    dropped: str | None = None


@dataclass
class Notes:
    """What the encoders have to tell about the table they were given."""

    lines: list[str] = field(default_factory=list)

    def add(self, name: str, text: str) -> None:
        """Note something about a column."""
        self.lines.append(f"column {quoted(name)}: {text}")


class ColumnEncoder(Protocol):
    """How one column becomes `width` columns of numbers."""

    @property
    def name(self) -> str:
        """The column's name."""

    @property
    def width(self) -> int:
        """The number of encoded columns."""

    @property
    def wanted(self) -> ColumnKind:
        """What the column is to be read as."""

    def encode(self, column: Array, place: Place, notes: Notes) -> Array:
        """Return a canonical column encoded, float64 of shape (n, width); raises DataError naming the place."""

    def report(self) -> ColumnReport:
        """Return what became of the column."""

    def to_dict(self) -> dict[str, Any]:
        """Return the encoder as JSON."""


def saved_column(content: object, what: str, kind: Any) -> SavedState:
    """Return what the `to_dict` of an encoder, a dataclass, gave; raises FileFormatError for other fields than its.

    Fields that have a default were added later, and may be absent.
    """
    unwritten = {field.name: field.default for field in fields(kind) if field.default is not MISSING}
    return SavedState(content, what, ("kind", *(field.name for field in fields(kind))), unwritten)


def with_indicator(encoded: Array, gaps: Array, indicator: bool) -> Array:
    """Return encoded columns, followed by the gaps as 0 and 1 if there is an indicator."""
    return np.column_stack([encoded, gaps]) if indicator else encoded


def indicator_words(indicator: bool) -> str:
    """Return how a report names the indicator."""
    return ", and a column for missing" if indicator else ""


def note_missing(name: str, gaps: Array, taken_as: str, notes: Notes) -> None:
    """Note that values are missing though none was in training."""
    count = int(gaps.sum())
    if count:
        notes.add(name, f"{count} values are missing, and none was in training: taken as {taken_as}")
