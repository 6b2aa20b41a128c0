"""Data frames of pandas, polars and pyarrow, and dictionaries of arrays, as tables."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from clearprop.data.columns import Array, canonical, kind_of, objects
from clearprop.data.inference import ColumnKind, TextProfile, convert, read_as
from clearprop.data.printable import printable, quoted
from clearprop.data.table import Table
from clearprop.errors import DataError


def is_frame(source: object) -> bool:
    """Whether `source` is a data frame that narwhals knows; a lazy one of polars counts too."""
    from narwhals.dependencies import is_into_dataframe, is_polars_lazyframe  # noqa: PLC0415 - as below

    return bool(is_into_dataframe(source) or is_polars_lazyframe(source))


def is_series(source: object) -> bool:
    """Whether `source` is a series that narwhals knows."""
    from narwhals.dependencies import is_into_series  # noqa: PLC0415 - as below

    return bool(is_into_series(source))


def features_of(source: Any, kinds: Mapping[str, ColumnKind] | None = None) -> Any:
    """Return a data frame, or columns by name, as a `Table`; a table, an array and what else there is as they are."""
    if isinstance(source, Table | np.ndarray):
        return source
    if isinstance(source, Mapping):
        return table_from_columns(source, kinds)
    return table_from_frame(source, kinds) if is_frame(source) else source


def table_from_frame(source: Any, kinds: Mapping[str, ColumnKind] | None = None) -> Table:
    """Return a data frame as a `Table`; an index is left out, a lazy frame is collected.

    Columns of text are looked at as those of a CSV file are: text that is all numbers or dates becomes numbers or
    dates; those that `kinds` names are read as what it says instead. Raises DataError for duplicate names and, naming
    the column, for values no table holds.
    """
    import narwhals as nw  # noqa: PLC0415 - 30 ms that only data frames need

    try:
        frame = nw.from_native(source)
        collected = frame.collect() if isinstance(frame, nw.LazyFrame) else frame
        series = list(collected.iter_columns())
    except Exception as error:  # duplicate names, of which each library complains in its own way
        raise DataError(f"the data frame cannot be used: {printable(error, 200)}") from error
    names = [str(column.name) for column in series]
    if len(set(names)) < len(names):  # 1 and "1" are different names to pandas
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"the column name {quoted(twice)} stands twice; give each column a name of its own")
    columns = {name: array_from_series(column) for name, column in zip(names, series, strict=True)}
    return table_from_columns(columns, kinds)


def table_from_columns(columns: Mapping[str, Any], kinds: Mapping[str, ColumnKind] | None = None) -> Table:
    """Return one-dimensional arrays by name as a `Table`, text looked at as in a CSV file, or read as `kinds` says."""
    arrays, found = dict(Table(columns).columns), dict[str, ColumnKind]()
    texts = [name for name, column in arrays.items() if column.dtype.kind == "O" and kind_of(column) == "text"]
    for name in texts:
        if kinds is not None and name in kinds:
            arrays[name] = read_as(name, arrays[name], kinds[name], lambda row: f"row {row + 1}")
        else:
            arrays[name], found[name] = _inferred(name, arrays[name])
    return Table(arrays, kinds={**(kinds or {}), **found})


def array_from_series(source: Any) -> Array:
    """Return a series (pandas, polars, narwhals) as a column in canonical form."""
    import narwhals as nw  # noqa: PLC0415 - as above

    series: Any = nw.from_native(source, series_only=True, pass_through=False)
    name = str(series.name)
    dtype = series.dtype
    if dtype in (nw.Categorical, nw.Enum, nw.String):
        return canonical(name, np.array(series.cast(nw.String).to_list(), dtype=object))
    if isinstance(dtype, nw.Datetime) and dtype.time_zone is not None:
        series = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    if dtype.is_integer() and series.null_count():
        series = series.cast(nw.Float64)
    if dtype.is_numeric() or dtype.is_temporal() or dtype == nw.Boolean:
        values = series.to_list() if series.null_count() or dtype in (nw.Date, nw.Boolean) else series.to_numpy()
        return canonical(name, np.array(values, dtype=object) if isinstance(values, list) else values)
    return canonical(name, objects(series.to_list()))


def _inferred(name: str, column: Array) -> tuple[Array, ColumnKind]:
    """A column of text as what it holds, and what that is, with the decimal mark where numbers tell it."""
    profile = TextProfile()
    profile.update(column)
    decision = profile.decide()
    if decision.stray is not None:
        row = next(i for i, value in enumerate(column) if value is not None and value.strip() == decision.stray)
        expected = "numbers" if decision.kind == "number" else "dates"
        raise DataError(
            f"row {row + 1}, column {quoted(name)}: {quoted(decision.stray)} stands among {expected}; "
            "correct it, or make it a missing value"
        )
    values = convert(list(column), decision)
    known = decision.kind == "number" and profile.with_mark
    return values, ColumnKind(kind_of(values), decision.decimal if known else None)
