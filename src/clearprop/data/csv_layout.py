"""A text file of values and how to take it apart: its encoding, delimiter, header and names."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clearprop.data.columns import Array
from clearprop.data.dialect import (
    checked_delimiter,
    delimiter_name,
    find_delimiter,
    first_records,
    has_header,
    named_delimiter,
)
from clearprop.data.duckdb_session import reading
from clearprop.data.printable import printable, quoted
from clearprop.data.source_file import checked_path, head, refuse_foreign
from clearprop.data.text_file import TextSurvey, records, survey
from clearprop.errors import DataError, HeaderError


@dataclass(frozen=True)
class Layout:
    """A text file and how to take it apart; `line_1` is its first record."""

    path: Path
    survey: TextSurvey
    delimiter: str
    header: bool
    names: tuple[str, ...]
    line_1: tuple[str, ...]

    @classmethod
    def detect(cls, path: Path, delimiter: str | None, encoding: str | None, header: bool | None) -> "Layout":
        """Find out about a file what is not given; raises DataError if it is no such file.

        What separates values is told by the file's name, where that says it, and else by its content.
        """
        checked_path(path)
        refuse_foreign(path, head(path))
        found = survey(path, encoding)
        given = named_delimiter(path.name) if delimiter is None else checked_delimiter(delimiter)
        separator = find_delimiter(found.sample) if given is None else given
        sample = first_records(found.sample, separator)
        if not sample:
            sample = [record for _, record in records(path, found.encoding, separator)][:1]
        if not sample:
            raise DataError(f"{printable(path.name)} is empty: it holds nothing but blank lines")
        named = has_header(sample) if header is None else header
        return cls(
            path, found, separator, named, _names(path, sample[0], named), tuple(value.strip() for value in sample[0])
        )

    @property
    def label(self) -> str:
        """What to call the file."""
        return printable(self.path.name)

    def notes(self, n_rows: int) -> tuple[str, ...]:
        """Return what was found out, in words for the user."""
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
                    check_width(self, line, record)
            raise

    def misplaced(self, line: int, column: int, words: str) -> DataError:
        """Return what to raise about a value, with where it stands, as the user counts."""
        kind = HeaderError if line == 1 else DataError
        return kind(f"{self.label}, line {line}, column {quoted(self.names[column])}: {words}")

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


def check_width(layout: Layout, line: int, record: list[str]) -> None:
    """Raise DataError if a record has not as many values as there are columns."""
    if len(record) != len(layout.names):
        expected = "the header names" if layout.header else "the first line has"
        raise DataError(
            f"{layout.label}, line {line}: {len(record)} values, but {expected} {len(layout.names)}; "
            f"the delimiter is {delimiter_name(layout.delimiter)}, and a value that holds it needs quotation marks"
        )
