"""Features and targets that come as arrays, series or lists: what they are read as, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from clearprop.data.columns import Array, canonical, kind_of, unmasked
from clearprop.data.dataset import Features
from clearprop.data.frames import array_from_series, is_frame, is_series, table_from_columns, table_from_frame
from clearprop.data.inference import ColumnKind
from clearprop.data.printable import printable
from clearprop.data.table import Table
from clearprop.data.targets import refuse_missing
from clearprop.errors import DataError


def features_from(array: Array, name: str, kinds: Mapping[str, ColumnKind]) -> Features:
    """Return features as an array of numbers; text and mixed objects of rank 2 as a table of column_1, column_2 ...

    Raises:
        DataError: there are none, or they are no numbers.
    """
    if array.ndim == 0 or array.size == 0:
        raise DataError(f"{name}: the features have shape {array.shape}, which holds no samples")
    if array.dtype.kind in "OUSTM" and array.ndim <= 2:
        columns = array.reshape(len(array), -1)
        named = {f"column_{i + 1}": columns[:, i] for i in range(columns.shape[1])}
        return table_from_columns(named, kinds)
    if array.dtype.kind not in "biuf":
        raise DataError(
            f"{name}: the features have dtype {array.dtype} and shape {array.shape}: expected numbers (n, ...)"
        )
    return array


def target_from(target: Any, n: int, name: str) -> Array:
    """Return the target of n samples: a label or a number each, or a row of numbers.

    Raises:
        DataError: it is missing, or something else.
    """
    if target is None:
        raise DataError(f"{name}: there are features but no target: pass the pair (X, y)")
    array = array_from_series(target) if is_series(target) else array_from(target)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim not in (1, 2) or len(array) != n:
        raise DataError(
            f"{name}: {n} samples and a target of shape {array.shape}: expected one label or row of numbers a sample"
        )
    if array.ndim == 2:
        if array.dtype.kind not in "biuf":
            raise DataError(f"{name}: several targets must all be numbers, and these have dtype {array.dtype}")
        for column in array.T:
            refuse_missing(canonical("target", column), Table({}), f"{name}, target")
        return array
    column = canonical("target", array)
    refuse_missing(column, Table({}), f"{name}, target")
    return column.astype(str) if kind_of(column) == "text" else column


def name_of(target: Any) -> str | None:
    """Return the name that a series has."""
    name = getattr(target, "name", None)
    return name if isinstance(name, str) and name else None


def array_from(value: Any) -> Array:
    """Return what holds numbers or labels as an array.

    Raises:
        DataError: it is nothing of the kind.
    """
    if is_series(value):
        return array_from_series(value)
    if is_frame(value):
        return np.column_stack(list(table_from_frame(value).columns.values()))
    try:
        array = unmasked(value)
    except (ValueError, TypeError) as error:
        raise DataError(f"a {type(value).__name__} is not an array: {printable(error, 200)}") from error
    if array.ndim == 0 and hasattr(value, "toarray"):
        raise DataError(f"a {type(value).__name__} is sparse, and every number is learnt from: pass its toarray()")
    if array.ndim == 0:
        raise DataError(
            f"data cannot be read from a {type(value).__name__}: expected a path, a bundled set's name, a data frame, "
            "arrays (X, y) or a dictionary of arrays"
        )
    return array
