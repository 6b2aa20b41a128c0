"""One column of a table in its canonical form: five kinds of array, one way to be missing in each.

| kind    | array                                  | missing  |
|---------|----------------------------------------|----------|
| number  | float64, or int64 when none is missing | NaN      |
| boolean | bool, or object of True/False/None     | None     |
| date    | datetime64[us], in UTC                 | NaT      |
| text    | object of str                          | None     |

A text that is empty or blank is missing; a column of objects that are all missing is text.
"""

import datetime
import decimal
import numbers
from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from clearprop.data.printable import quoted
from clearprop.errors import DataError

Array: TypeAlias = NDArray[Any]
Kind: TypeAlias = Literal["number", "boolean", "date", "text"]

KINDS: tuple[Kind, ...] = ("number", "boolean", "date", "text")

DTYPES = ("float32", "float64")
"""What encoded numbers may be."""

_DATES = (datetime.date, np.datetime64)
_BOOLEANS = (bool, np.bool_)
_NUMBERS = (numbers.Real, decimal.Decimal)


def canonical(name: str, values: Any) -> Array:
    """Return `values` (any one-dimensional array-like) as a read-only column in canonical form.

    Raises DataError, naming the column, if it is not one-dimensional or holds something that is neither a number, a
    boolean, a date nor text (lists, bytes, complex numbers).
    """
    array = unmasked(values)
    if array.ndim != 1:
        raise DataError(f"column {quoted(name)} has shape {array.shape}: a column of a table is one-dimensional")
    column = _convert(name, array).view()
    column.flags.writeable = False
    return column


def kind_of(column: Array) -> Kind:
    """Return the kind of a canonical column."""
    if column.dtype.kind in "fi":
        return "number"
    if column.dtype.kind == "M":
        return "date"
    if column.dtype.kind == "b":
        return "boolean"
    first = next((value for value in column if value is not None), "")
    return "boolean" if isinstance(first, bool) else "text"


def missing_mask(column: Array) -> NDArray[np.bool_]:
    """Return which entries of a canonical column are missing, shape (n,)."""
    if column.dtype.kind == "f":
        return np.isnan(column)
    if column.dtype.kind == "M":
        return np.isnat(column)
    if column.dtype.kind == "O":
        return np.fromiter((value is None for value in column), dtype=np.bool_, count=len(column))
    return np.zeros(len(column), dtype=np.bool_)


def text_of(value: object) -> str:
    """Return the text that stands for one value, the same however it was stored: 2, 2.0 and '2' all give '2'."""
    if isinstance(value, _BOOLEANS):
        return "true" if value else "false"
    if not isinstance(value, _NUMBERS) or isinstance(value, numbers.Integral):
        return str(value)
    number = float(value)  # as a column of nothing but numbers would hold it
    return str(int(number) if number.is_integer() else number)


def unmasked(values: Any) -> Array:
    """Return an array-like as an array; a masked one as objects with None where it is masked, as floats with NaN.

    Of a list of text and numbers the numbers stay numbers, which NumPy would write out: 1.0, and not 1.
    """
    if not isinstance(values, np.ma.MaskedArray):
        array = np.asarray(values)
        written = array.dtype.kind == "U" and not isinstance(values, np.ndarray)
        return np.asarray(values, dtype=object) if written else array
    if values.dtype.kind in "iuf":
        return np.asarray(np.ma.filled(values.astype(np.float64), np.nan))
    if values.dtype.kind == "M":
        return np.asarray(np.ma.filled(values, np.datetime64("NaT", "us")))
    filled = np.ma.getdata(values).astype(object)  # filled(None) would mean NumPy's own filler, the text "?"
    filled[np.ma.getmaskarray(values)] = None
    return np.asarray(filled)


def objects(values: Iterable[object]) -> Array:
    """Return an object array of `values`, one entry each (NumPy would unpack nested sequences)."""
    items = list(values)
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def _convert(name: str, array: Array) -> Array:
    kind = array.dtype.kind
    if kind == "f":
        return array.astype(np.float64)
    if kind in "iu":
        fits = array.dtype != np.uint64 or array.size == 0 or int(array.max()) <= np.iinfo(np.int64).max
        return array.astype(np.int64 if fits else np.float64)
    if kind == "b":
        return array.copy()
    if kind == "M":
        return _dates(name, array)
    if kind in "UT":
        return _texts(array.tolist())
    if kind == "O":
        return _from_objects(name, array)
    raise DataError(
        f"column {quoted(name)} holds values of type {array.dtype}: expected numbers, text, booleans or dates"
    )


def _dates(name: str, array: Array) -> Array:
    try:
        return array.astype("datetime64[us]")
    except (ValueError, OverflowError) as error:
        raise DataError(f"column {quoted(name)} holds a date outside the years 1 to 9999") from error


def _texts(values: list[Any]) -> Array:
    return objects(value if value is not None and value.strip() else None for value in values)


def _from_objects(name: str, array: Array) -> Array:
    values = [None if _is_missing(value) else value for value in array.tolist()]
    kinds = {type(value) for value in values if value is not None}
    if all(issubclass(kind, str) for kind in kinds):
        return _texts(values)
    if all(issubclass(kind, _BOOLEANS) for kind in kinds):
        return _booleans(values)
    if all(issubclass(kind, _NUMBERS) and not issubclass(kind, _BOOLEANS) for kind in kinds):
        return _numbers(name, values)
    if all(issubclass(kind, _DATES) for kind in kinds):
        return _dates_from_objects(name, values)
    if all(issubclass(kind, (str, *_NUMBERS, *_BOOLEANS)) for kind in kinds):
        return _texts([None if value is None else text_of(value) for value in values])
    shown = ", ".join(sorted(kind.__name__ for kind in kinds))
    raise DataError(f"column {quoted(name)} holds values of type {shown}: expected numbers, text, booleans or dates")


def _is_missing(value: Any) -> bool:
    """Whether a Python object stands for a missing value: None, NaN, NaT, pandas.NA."""
    if value is None:
        return True
    if isinstance(value, str):
        return False
    if type(value).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(value, np.datetime64):
        return bool(np.isnat(value))
    if isinstance(value, decimal.Decimal):
        return value.is_nan()
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def _booleans(values: list[Any]) -> Array:
    if None in values:
        return objects(None if value is None else bool(value) for value in values)
    return np.array(values, dtype=np.bool_)


def _numbers(name: str, values: list[Any]) -> Array:
    whole = all(value is not None and isinstance(value, numbers.Integral) for value in values)
    try:
        if whole and all(abs(int(value)) <= np.iinfo(np.int64).max for value in values):
            return np.array(values, dtype=np.int64)
        return np.array([np.nan if value is None else float(value) for value in values], dtype=np.float64)
    except OverflowError as error:
        raise DataError(f"column {quoted(name)} holds a number too large for a float64") from error


def _dates_from_objects(name: str, values: list[Any]) -> Array:
    return _dates(name, np.array([_utc(value) for value in values], dtype="datetime64[us]"))


def _utc(value: Any) -> Any:
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        return np.datetime64(value.astimezone(datetime.UTC).replace(tzinfo=None), "us")
    return np.datetime64("NaT", "us") if value is None else np.datetime64(value, "us")
