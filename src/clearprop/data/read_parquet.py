"""Parquet files: `read_parquet` for all of one, `stream_parquet` for one larger than memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from clearprop.data.columns import Array, objects, unmasked
from clearprop.data.duckdb_session import grouped, identifier, literal, reading, session
from clearprop.data.printable import printable, quoted
from clearprop.data.source_file import checked_path, fingerprint
from clearprop.data.table import Table
from clearprop.errors import DataError

_NUMBERS = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "FLOAT",
    "DOUBLE",
)
_WIDE_NUMBERS = ("UBIGINT", "HUGEINT", "UHUGEINT", "DECIMAL")
_DATES = ("DATE", "TIMESTAMP")
_TEXTS = ("VARCHAR", "ENUM", "UUID", "TIME")


def read_parquet(path: Path) -> tuple[Table, str]:
    """Read a Parquet file into a `Table`; return it with the fingerprint of the file.

    Numbers of every width become float64 or int64, dates and timestamps datetime64[us] in UTC. Raises DataError for a
    damaged file, and, naming the column, for lists, structures and bytes.
    """
    _check(path)
    with session() as connection, reading(path):
        selected = _selection(connection, path)
        columns: dict[str, Array] = {}
        for group in grouped(list(selected)):
            query = ", ".join(f"{selected[name]} AS c{k}" for k, name in enumerate(group))
            arrays = connection.execute(f"SELECT {query} FROM {_source(path)}").fetchnumpy()
            columns |= {name: unmasked(arrays[f"c{k}"]) for k, name in enumerate(group)}
    table = Table(columns)
    if table.n_rows == 0:
        raise DataError(f"{printable(path.name)} has columns but no rows")
    return table, fingerprint(path)


def stream_parquet(path: Path, rows: int) -> Iterator[Table]:
    """Yield a Parquet file as tables of at most `rows` rows, in order; numbers are float64 throughout."""
    _check(path)
    with session() as connection, reading(path):
        selected = _selection(connection, path)
        query = ", ".join(f"{expression} AS c{k}" for k, expression in enumerate(selected.values()))
        cursor = connection.execute(f"SELECT {query} FROM {_source(path)}")
        done = 0
        while batch := cursor.fetchmany(rows):
            columns = zip(selected, zip(*batch, strict=True), strict=True)
            numbers = np.arange(done, done + len(batch)) + 1
            yield Table({name: objects(values) for name, values in columns}, numbers=numbers)
            done += len(batch)
    if done == 0:
        raise DataError(f"{printable(path.name)} has columns but no rows")


def _check(path: Path) -> None:
    checked_path(path)
    with path.open("rb") as stream:
        start = stream.read(4)
    if start != b"PAR1":
        raise DataError(f"{printable(path.name)} is not a Parquet file: it begins with {quoted(repr(start))}, not PAR1")


def _source(path: Path) -> str:
    return f"read_parquet({literal(path)}, hive_partitioning=false)"


def _selection(connection: Any, path: Path) -> dict[str, str]:
    """Column name -> SQL expression that reads it as one of the kinds of a table."""
    described = connection.execute(f"DESCRIBE SELECT * FROM {_source(path)}").fetchall()
    return {row[0]: _expression(path, row[0], str(row[1])) for row in described}


def _expression(path: Path, name: str, kind: str) -> str:
    column = identifier(name)
    if kind.endswith("]") or kind.split("(")[0] not in (*_NUMBERS, *_WIDE_NUMBERS, *_TEXTS, "BOOLEAN"):
        if kind.startswith(_DATES) and not kind.endswith("]"):
            zoned = "WITH TIME ZONE" in kind
            return f"CAST({column} AT TIME ZONE 'UTC' AS TIMESTAMP)" if zoned else f"CAST({column} AS TIMESTAMP)"
        raise DataError(
            f"{printable(path.name)}, column {quoted(name)}: it holds {printable(kind)}, and a table holds numbers, "
            "text, booleans and dates; flatten it into such columns or leave it out"
        )
    base = kind.split("(")[0]
    if base in _WIDE_NUMBERS:
        return f"CAST({column} AS DOUBLE)"
    return f"CAST({column} AS VARCHAR)" if base in _TEXTS else column
