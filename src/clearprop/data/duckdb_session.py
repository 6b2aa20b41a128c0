"""The one way this package opens DuckDB: in memory, without extensions, without settings of the user's."""

import glob
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clearprop.data.printable import printable
from clearprop.errors import DataError

GROUP = 32  # columns examined by one query: a query over thousands of expressions costs gigabytes


@contextmanager
def session() -> Iterator[Any]:
    """Yield a DuckDB connection that downloads nothing and writes nothing but temporary files."""
    import duckdb  # noqa: PLC0415 - 100 ms that only CSV and Parquet files need

    connection = duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn DuckDB's errors on reading `path` into a DataError with the first line of its message."""
    import duckdb  # noqa: PLC0415 - 100 ms that only CSV and Parquet files need

    try:
        yield
    except (duckdb.Error, RuntimeError, UnicodeDecodeError) as error:
        first = (str(error).splitlines() or ["unknown error"])[0]
        raise DataError(f"{printable(path.name)} cannot be read: {printable(first, 300)}") from error


def literal(value: str | bool | Path) -> str:
    """Return an SQL literal. The path of a file is absolute, and its brackets and stars are not a pattern."""
    if isinstance(value, bool):
        return str(value).lower()
    text = glob.escape(str(value.absolute())) if isinstance(value, Path) else value
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Return an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def grouped(items: list[Any]) -> Iterator[list[Any]]:
    """Yield `items` in lists of at most `GROUP`."""
    for start in range(0, len(items), GROUP):
        yield items[start : start + GROUP]
