"""Delimited text files: `read_csv` for all of one, `stream_csv` for one larger than memory.

The dialect is found by fixed rules (`dialect`), DuckDB splits the file and reads the columns that are numbers
throughout, and `inference` decides on every other column. No row is ever left out: a row with too many or too few
values, a damaged quotation, a stray word in a column of numbers is an error with its line.
"""

import csv
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from clearprop.data.columns import Array, unmasked
from clearprop.data.dialect import (
    any_field_size,
    checked_delimiter,
    delimiter_name,
    find_delimiter,
    first_records,
    has_header,
)
from clearprop.data.duckdb_session import grouped, literal, reading, session
from clearprop.data.inference import (
    MISSING_WORDS,
    Decimal,
    Decision,
    TextProfile,
    convert,
    decimal_mark,
    is_missing,
    parse_date,
    parse_number,
    whole_if_possible,
)
from clearprop.data.printable import printable, quoted
from clearprop.data.source_file import checked_path, head, refuse_foreign
from clearprop.data.table import Table
from clearprop.data.text_file import TextSurvey, records, survey
from clearprop.errors import DataError


@dataclass(frozen=True)
class CsvResult:
    """A table read from text, with what was found out about the file."""

    table: Table
    notes: tuple[str, ...]
    fingerprint: str


def read_csv(
    path: Path, *, delimiter: str | None = None, encoding: str | None = None, header: bool | None = None
) -> CsvResult:
    """Read a delimited text file into a `Table`.

    What is not given is detected: the encoding (`text_file.survey`), the delimiter and the header (`dialect`), the
    kind of each column (`inference`). Blanks around values do not count, and blank lines are not rows. Columns
    without a name are called column_1, column_2, ... Raises DataError with file, line and column.
    """
    with ExitStack() as stack:
        layout = _Layout.detect(path, delimiter, encoding, header)
        connection = stack.enter_context(session())
        source = stack.enter_context(_readable(layout))
        n_rows = _define_rows(connection, "TABLE", layout, source)
        plan = _Plan.make(connection, layout)
        table = plan.table(connection, layout, n_rows)
    return CsvResult(table, layout.notes(n_rows), layout.survey.fingerprint)


def stream_csv(
    path: Path,
    rows: int,
    *,
    delimiter: str | None = None,
    encoding: str | None = None,
    header: bool | None = None,
) -> Iterator[Table]:
    """Yield a delimited text file as tables of at most `rows` rows, in order, in memory that does not grow with it.

    The whole file is examined first, so all tables agree on the kind of each column; numbers are float64 throughout.
    Detection and errors are those of `read_csv`.
    """
    with ExitStack() as stack:
        layout = _Layout.detect(path, delimiter, encoding, header)
        connection = stack.enter_context(session())
        source = stack.enter_context(_readable(layout))
        n_rows = _define_rows(connection, "VIEW", layout, source)
        with layout.explained():
            plan = _Plan.make(connection, layout)
            cursor = connection.execute(f"SELECT {plan.selection(range(len(layout.names)))} FROM rows")
            done = 0
            while batch := cursor.fetchmany(rows):
                yield plan.chunk(layout, batch, done, n_rows)
                done += len(batch)


@dataclass(frozen=True)
class _Layout:
    """A text file and how to take it apart."""

    path: Path
    survey: TextSurvey
    delimiter: str
    header: bool
    names: tuple[str, ...]

    @classmethod
    def detect(cls, path: Path, delimiter: str | None, encoding: str | None, header: bool | None) -> "_Layout":
        checked_path(path)
        refuse_foreign(path, head(path))
        found = survey(path, encoding)
        separator = find_delimiter(found.sample) if delimiter is None else checked_delimiter(delimiter)
        sample = first_records(found.sample, separator)
        if not sample:
            sample = [record for _, record in records(path, found.encoding, separator)][:1]
        if not sample:
            raise DataError(f"{printable(path.name)} is empty: it holds nothing but blank lines")
        named = has_header(sample) if header is None else header
        return cls(path, found, separator, named, _names(path, sample[0], named))

    @property
    def label(self) -> str:
        return printable(self.path.name)

    def notes(self, n_rows: int) -> tuple[str, ...]:
        header = "header found" if self.header else "no header: columns are called column_1, column_2, ..."
        encoding = self.survey.encoding.removesuffix("-sig")
        return (
            f"{n_rows} rows and {len(self.names)} columns; delimiter {delimiter_name(self.delimiter)}, "
            f"encoding {encoding}, {header}",
        )

    def numbers(self, start: int, count: int, n_rows: int) -> Array | None:
        """The lines of `count` rows from row `start` on, if every row of the file is one line."""
        if self.survey.lines != n_rows + self.header:
            return None
        return np.arange(start, start + count) + 1 + self.header

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Say in our own words, with the line, what DuckDB found wrong with the file."""
        try:
            with reading(self.path):
                yield
        except DataError as error:
            if error.__cause__ is not None:
                for line, record in records(self.path, self.survey.encoding, self.delimiter):
                    _check_width(self, line, record)
            raise

    def first(self, column: int, is_bad: Callable[[str], bool]) -> tuple[int, str]:
        """The line and the value of the first row whose value in `column` is bad."""
        rows = iter(records(self.path, self.survey.encoding, self.delimiter))
        if self.header:
            next(rows)
        return next((line, row[column]) for line, row in rows if is_bad(row[column].strip()))


def _names(path: Path, first: list[str], header: bool) -> tuple[str, ...]:
    given = [name.strip() for name in first] if header else [""] * len(first)
    names = tuple(name or f"column_{i}" for i, name in enumerate(given, start=1))
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        places = " and ".join(str(i) for i, name in enumerate(names, start=1) if name == twice[0])
        raise DataError(
            f"{printable(path.name)}, line 1: the column name {quoted(twice[0])} stands twice (columns {places}); "
            "give each column a name of its own"
        )
    return names


def _check_width(layout: _Layout, line: int, record: list[str]) -> None:
    if len(record) != len(layout.names):
        expected = "the header names" if layout.header else "the first line has"
        raise DataError(
            f"{layout.label}, line {line}: {len(record)} values, but {expected} {len(layout.names)}; "
            f"the delimiter is {delimiter_name(layout.delimiter)}, and a value that holds it needs quotation marks"
        )


@contextmanager
def _readable(layout: _Layout) -> Iterator["_Source"]:
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


def _write_plain(layout: _Layout, target: Path) -> None:
    with target.open("w", encoding="utf-8", newline="") as stream, any_field_size():
        writer = csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\n")
        for line, record in records(layout.path, layout.survey.encoding, layout.delimiter):
            _check_width(layout, line, record)
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


def _define_rows(connection: Any, kind: Literal["TABLE", "VIEW"], layout: _Layout, source: _Source) -> int:
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


@dataclass(frozen=True)
class _Plan:
    """What each column holds: None for one that DuckDB reads as numbers, else the decision on its text."""

    decisions: tuple[Decision | None, ...]

    @classmethod
    def make(cls, connection: Any, layout: _Layout) -> "_Plan":
        numeric = _numeric_columns(connection, len(layout.names))
        texts = [i for i in range(len(layout.names)) if i not in numeric]
        profiles = _profiles(connection, texts)
        mark = decimal_mark(list(profiles.values()), layout.delimiter)
        if mark == ",":  # 12.345 may then be twelve thousand: look at those columns again
            profiles |= _profiles(connection, sorted(_with_point(connection, numeric)))
        decisions: list[Decision | None] = [None] * len(layout.names)
        for i, profile in profiles.items():
            decisions[i] = _checked(layout, i, profile.decide(mark))
        return cls(tuple(decisions))

    def selection(self, columns: Iterable[int]) -> str:
        """The SELECT list of some columns. What is no number in a column of numbers is known to be missing.

        A cast of the bare column of a view would be handed to DuckDB's CSV reader, which then fails where TRY_CAST
        gives NULL; a cast of an expression is not.
        """
        return ", ".join(
            f"TRY_CAST(trim(c{i}) AS DOUBLE) AS c{i}" if self.decisions[i] is None else f"c{i}" for i in columns
        )

    def table(self, connection: Any, layout: _Layout, n_rows: int) -> Table:
        """All of the file, from a table that DuckDB holds."""
        columns = {}
        for group in grouped(list(range(len(layout.names)))):
            arrays = connection.execute(f"SELECT {self.selection(group)} FROM rows").fetchnumpy()
            for i in group:
                columns[layout.names[i]] = self._column(layout, i, arrays.pop(f"c{i}"), whole=True)
        numbers = layout.numbers(0, n_rows, n_rows)
        return Table(columns, numbers=numbers, unit="row" if numbers is None else "line")

    def chunk(self, layout: _Layout, batch: list[tuple[Any, ...]], done: int, n_rows: int) -> Table:
        columns = {
            name: self._column(layout, i, values, whole=False)
            for i, (name, values) in enumerate(zip(layout.names, zip(*batch, strict=True), strict=True))
        }
        numbers = layout.numbers(done, len(batch), n_rows)
        if numbers is None:
            return Table(columns, numbers=np.arange(done, done + len(batch)) + 1)
        return Table(columns, numbers=numbers, unit="line")

    def _column(self, layout: _Layout, i: int, values: Any, *, whole: bool) -> Array:
        decision = self.decisions[i]
        if decision is None:
            column = unmasked(values).astype(np.float64)
            column = whole_if_possible(column) if whole else column
        else:
            column = convert(list(unmasked(values)) if whole else list(values), decision)
            column = column.astype(np.float64) if decision.kind == "number" and not whole else column
        if column.dtype.kind == "f" and np.isinf(column).any():
            _refuse_infinite(layout, i, "." if decision is None else decision.decimal)
        return column


def _numeric_columns(connection: Any, n_columns: int) -> set[int]:
    """The columns whose every value is a plain number or missing."""
    numeric: set[int] = set()
    words = ", ".join(literal(word) for word in sorted(MISSING_WORDS))
    without_missing = f"CASE WHEN lower(trim({{0}})) NOT IN ({words}) THEN trim({{0}}) END"
    for value in ("trim({0})", without_missing):  # most columns need only the first and cheaper look
        for group in grouped(sorted(set(range(n_columns)) - numeric)):
            numeric |= _look_for_numbers(connection, group, value)
    return numeric


def _look_for_numbers(connection: Any, columns: list[int], value: str) -> set[int]:
    values = ", ".join(f"{value.format(f'c{i}')} AS c{i}" for i in columns)
    # DuckDB alone takes 1_000 and +-1 for numbers; a leading zero makes a code ('0:' follows '09...').
    tests = ", ".join(
        f"count(c{i}), count(*) FILTER (WHERE isfinite(TRY_CAST(c{i} AS DOUBLE)) AND NOT contains(c{i}, '_') "
        f"AND NOT contains(c{i}, '+-') AND NOT (c{i} >= '00' AND c{i} < '0:'))"
        for i in columns
    )
    row = connection.execute(f"SELECT {tests} FROM (SELECT {values} FROM rows)").fetchone()
    return {i for k, i in enumerate(columns) if 0 < row[2 * k] == row[2 * k + 1]}


def _with_point(connection: Any, columns: set[int]) -> set[int]:
    """The columns in which a decimal point occurs."""
    found: set[int] = set()
    for group in grouped(sorted(columns)):
        tests = ", ".join(f"bool_or(contains(c{i}, '.'))" for i in group)
        row = connection.execute(f"SELECT {tests} FROM rows").fetchone()
        found |= {i for i, point in zip(group, row, strict=True) if point}
    return found


def _profiles(connection: Any, columns: list[int]) -> dict[int, TextProfile]:
    profiles = {i: TextProfile() for i in columns}
    for group in grouped(columns):
        cursor = connection.execute(f"SELECT {', '.join(f'c{i}' for i in group)} FROM rows")
        while batch := cursor.fetchmany(1 << 16):
            for i, values in zip(group, zip(*batch, strict=True), strict=True):
                profiles[i].update(values)
    return profiles


def _checked(layout: _Layout, column: int, decision: Decision) -> Decision:
    if decision.stray is None:
        return decision
    line, value = layout.first(column, lambda text: _is_stray(text, decision))
    expected = "numbers" if decision.kind == "number" else "dates"
    raise DataError(
        f"{layout.label}, line {line}, column {quoted(layout.names[column])}: {quoted(value.strip())} stands among "
        f"{expected}; correct it, or leave the value empty if it is missing"
    )


def _is_stray(text: str, decision: Decision) -> bool:
    if is_missing(text) or text.lower() == "none":
        return False
    if decision.kind == "date":
        return parse_date(text) is None
    return parse_number(text, decision.decimal) is None


def _refuse_infinite(layout: _Layout, column: int, decimal: Decimal) -> None:
    def infinite(text: str) -> bool:
        return not is_missing(text) and np.isinf(parse_number(text, decimal) or 0.0).item()

    line, value = layout.first(column, infinite)
    raise DataError(
        f"{layout.label}, line {line}, column {quoted(layout.names[column])}: {quoted(value.strip())} is not a finite "
        "number that fits a float64; correct it, or leave the value empty if it is missing"
    )
