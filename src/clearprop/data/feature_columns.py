"""One column of a table as numbers: which encoder it gets.

Every encoder learns from the training part only. At prediction a value may be missing though none was in training, a
category may be new, a number may arrive as text: what then happens is defined by the encoder, and leaves a note.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from clearprop.data.boolean_column import BooleanColumn
from clearprop.data.category_column import CategoryColumn
from clearprop.data.column_encoder import ColumnEncoder, Place
from clearprop.data.columns import Array, kind_of, missing_mask
from clearprop.data.date_column import DateColumn
from clearprop.data.dropped_column import DroppedColumn
from clearprop.data.inference import Decimal
from clearprop.data.number_column import NumberColumn
from clearprop.data.printable import quoted
from clearprop.errors import FileFormatError

_FEW_ROWS = 20
_ID_NAMES = frozenset({"id", "index", "row", "rowid", "row_id", "column_1", "unnamed: 0"})


def fit_column(name: str, column: Array, place: Place, decimal: Decimal | None = None) -> ColumnEncoder:
    """Return the encoder of a canonical column by its kind; `place` tells the user where a row is.

    `decimal` is the decimal mark of the text that its numbers were read from, if they were.

    Dropped are columns with one value or none, text with more than 100 different values or with nearly all of them
    different (more than 10, and more than half of the rows), and numbers called id, index or the like that are all
    different integers.
    """
    kind = kind_of(column)
    if missing_mask(column).all():
        return DroppedColumn(name, kind, "all values are missing", 0, len(column))
    if kind == "number" and _is_identifier(name, column):
        why = "a different integer in every row, and named like an identifier"
        return DroppedColumn(name, kind, why, len(column), 0)
    encoders: dict[str, Callable[[str, Array, Place], ColumnEncoder]] = {
        "number": partial(NumberColumn.fit, decimal=decimal),
        "boolean": BooleanColumn.fit,
        "date": DateColumn.fit,
        "text": CategoryColumn.fit,
    }
    return encoders[kind](name, column, place)


def column_from_dict(content: object) -> ColumnEncoder:
    """Read what `to_dict` of any encoder gave; raises FileFormatError."""
    readers: dict[str, Callable[[object], ColumnEncoder]] = {
        encoder.kind: encoder.from_dict
        for encoder in (NumberColumn, BooleanColumn, CategoryColumn, DateColumn, DroppedColumn)
    }
    kind = content.get("kind") if isinstance(content, dict) else None
    if not isinstance(kind, str) or kind not in readers:
        raise FileFormatError(f"a column of the encoding is of the unknown kind {quoted(kind)}; the file is damaged")
    return readers[kind](content)


def _is_identifier(name: str, column: Array) -> bool:
    bare = name.strip().lower()
    named = bare in _ID_NAMES or bare.endswith("_id") or name.endswith("Id")
    whole = column.dtype.kind == "i" or bool((np.floor(column) == column).all())
    return named and whole and len(column) >= _FEW_ROWS and len(np.unique(column)) == len(column)
