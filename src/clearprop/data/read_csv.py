"""Delimited text files: `read_csv` for all of one, `stream_csv` for one larger than memory.

The dialect is found by fixed rules (`dialect`), DuckDB splits the file and reads the columns that are numbers
throughout, and `inference` decides on every other column. No row is ever left out: a row with too many or too few
values, a damaged quotation, a stray word in a column of numbers is an error with its line.
"""

import csv
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from clearprop.data.csv_layout import Layout, check_width
from clearprop.data.csv_plan import Plan
from clearprop.data.dialect import any_field_size
from clearprop.data.duckdb_session import literal, session
from clearprop.data.inference import ColumnKind
from clearprop.data.table import Table
from clearprop.data.text_file import records
from clearprop.errors import DataError

_HELD_BYTES = 1 << 26  # of text; looking at one group of columns of a view reads the whole file


@dataclass(frozen=True)
class CsvResult:
    """A table read from text, with what was found out about the file.

    Attributes:
        line_1: what the first line holds where it was found to hold values.
    """

    table: Table
    notes: tuple[str, ...]
    fingerprint: str
    line_1: tuple[str, ...] = ()


def read_csv(
    path: Path,
    *,
    delimiter: str | None = None,
    encoding: str | None = None,
    header: bool | None = None,
    kinds: Mapping[str, ColumnKind] | None = None,
) -> CsvResult:
    """Read a delimited text file into a `Table`.

    What is not given is detected: the encoding (`text_file.survey`), the delimiter (of .tsv files it is tab) and the
    header (`dialect`), the kind of each column (`inference`); columns that `kinds` names are read as what it says.
    Blanks around values do not count, and blank lines are not rows. Columns without a name are called column_1,
    column_2, ... Raises DataError with file, line and column.
    """
    with ExitStack() as stack:
        layout = Layout.detect(path, delimiter, encoding, header)
        connection = stack.enter_context(session())
        source = stack.enter_context(_readable(layout))
        n_rows = _define_rows(connection, "TABLE", layout, source)
        plan = Plan.make(connection, layout, kinds or {})
        table = plan.table(connection, layout, n_rows)
    line_1 = () if layout.header or header is False else layout.line_1
    return CsvResult(table, layout.notes(n_rows), layout.survey.fingerprint, line_1)


def stream_csv(
    path: Path,
    rows: int,
    *,
    delimiter: str | None = None,
    encoding: str | None = None,
    header: bool | None = None,
    kinds: Mapping[str, ColumnKind] | None = None,
) -> Iterator[Table]:
    """Yield a delimited text file as tables of at most `rows` rows, in order, in memory that does not grow with it.

    The whole file is examined first, so all tables agree on the kind of each column; numbers are float64 throughout.
    A file of up to 64 MiB is held in memory meanwhile, so that it is not read once for each group of its columns.
    Detection and errors are those of `read_csv`.
    """
    with ExitStack() as stack:
        layout = Layout.detect(path, delimiter, encoding, header)
        connection = stack.enter_context(session())
        source = stack.enter_context(_readable(layout))
        small = source.path.stat().st_size <= _HELD_BYTES
        n_rows = _define_rows(connection, "TABLE" if small else "VIEW", layout, source)
        with layout.explained():
            plan = Plan.make(connection, layout, kinds or {})
            cursor = connection.execute(f"SELECT {plan.selection(range(len(layout.names)))} FROM rows")
            done = 0
            while batch := cursor.fetchmany(rows):
                yield plan.chunk(layout, batch, done, n_rows)
                done += len(batch)


@contextmanager
def _readable(layout: Layout) -> Iterator["_Source"]:
    """Yield a file that DuckDB reads as the layout says.

    What DuckDB does not read by itself (another encoding, gzip, mixed line breaks, blank lines in a single column)
    is first written to a temporary file in plain form.
    """
    if layout.survey.uniform and len(layout.names) > 1:
        yield _Source(layout.path, layout.delimiter, layout.header, len(layout.names))
        return
    with tempfile.TemporaryDirectory(prefix="clearprop-") as folder:
        plain = Path(folder) / "plain.csv"
        _write_plain(layout, plain)
        yield _Source(plain, ",", layout.header, len(layout.names))


def _write_plain(layout: Layout, target: Path) -> None:
    with target.open("w", encoding="utf-8", newline="") as stream, any_field_size():
        writer = csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\n")
        for line, record in records(layout.path, layout.survey.encoding, layout.delimiter):
            check_width(layout, line, record)
            try:
                writer.writerow(record)
            except UnicodeEncodeError as error:
                raise DataError(
                    f"{layout.label}, line {line}: half a surrogate pair is not a character; "
                    f"the encoding may not be {layout.survey.encoding}"
                ) from error


@dataclass(frozen=True)
class _Source:
    """A plain text file as DuckDB sees it: text columns c0, c1, ..."""

    path: Path
    delimiter: str
    header: bool
    n_columns: int

    def sql(self, longest: int | None = None) -> str:
        """The table function that reads it; `longest` is the length of a row in bytes above DuckDB's own limit."""
        types = ", ".join(f"c{i}: 'VARCHAR'" for i in range(self.n_columns))
        limit = "" if longest is None else f", max_line_size={longest}"
        return (
            f"read_csv({literal(self.path)}, columns={{{types}}}, auto_detect=false, delim={literal(self.delimiter)}, "
            f"quote='\"', escape='\"', header={literal(self.header)}, "
            f"compression='none', hive_partitioning=false{limit})"
        )


def _define_rows(connection: Any, kind: Literal["TABLE", "VIEW"], layout: Layout, source: _Source) -> int:
    """Define the table or view `rows` over the file, having read all of it, and return how many there are."""
    with layout.explained():
        try:
            n_rows = _count_rows(connection, kind, source.sql())
        except Exception as error:  # DuckDB's own classes; all but this one case go on to `explained`
            if "max_line_size" not in str(error):
                raise
            n_rows = _count_rows(connection, kind, source.sql(source.path.stat().st_size + 1))
    if n_rows == 0:
        raise DataError(f"{layout.label} has a header but no rows below it")
    return n_rows


def _count_rows(connection: Any, kind: str, source: str) -> int:
    connection.execute(f"CREATE OR REPLACE TEMP {kind} rows AS SELECT * FROM {source}")
    return int(connection.execute("SELECT count(*) FROM rows").fetchone()[0])
