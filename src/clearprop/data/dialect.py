"""How a text table is written: which character separates its values, and whether its first line names the columns.

Both are decided by fixed rules on the first records of the file, so that the same file is always read the same way.
"""

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager

from clearprop.data.inference import is_missing, looks_typed, parse_number
from clearprop.data.source_file import ends_in
from clearprop.errors import SettingsError

DELIMITERS = (",", ";", "\t", "|")
_NAMED = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "pipe": "|", "space": " "}
_SAMPLE_RECORDS = 200
_SAMPLE_VALUES = 20_000


@contextmanager
def any_field_size() -> Iterator[None]:
    """Let `csv` read fields of any length; its limit belongs to the process and is put back afterwards."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def checked_delimiter(delimiter: str) -> str:
    """Return `delimiter` as one character; the names comma, semicolon, tab, pipe and space are understood too."""
    character = _NAMED.get(delimiter.lower(), delimiter)
    if len(character) != 1 or character in '"\r\n\0\ufeff' or ord(character) > 127:
        raise SettingsError(
            f"delimiter is {delimiter!r}: expected one ASCII character such as ',' or ';', or the word 'tab'"
        )
    return character


def named_delimiter(file: str) -> str | None:
    """Return the separator that a file's name tells: tab for .tsv, also with .gz; None where it tells none."""
    return "\t" if ends_in(file, ".tsv") else None


def delimiter_name(delimiter: str) -> str:
    """Return how to write a separator in a sentence."""
    return {"\t": "tab", " ": "space"}.get(delimiter, f"'{delimiter}'")


def first_records(text: str, delimiter: str) -> list[list[str]]:
    """Return the first records of `text`, without blank lines; damaged quoting ends the list early.

    There are 200 of them, or as many as hold 20,000 values, but three if the file has that many.
    """
    records: list[list[str]] = []
    values = 0
    with any_field_size():
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
        try:
            for record in filter(None, reader):
                records.append(record)
                values += len(record)
                if len(records) >= _SAMPLE_RECORDS or (len(records) >= 3 and values >= _SAMPLE_VALUES):
                    break
        except csv.Error:
            return records
    return records


def find_delimiter(text: str) -> str:
    """Return the separator of a text table: ',' ';' tab or '|'; ',' if there is but one column.

    For each candidate that splits the first record, the score is the fraction of records with as many values as the
    first, times one half plus half the fraction of values that are numbers, dates, booleans or missing. The highest
    score wins, then the order above. (1,5;2,5 splits evenly at the comma too, but 5;2 is no number.)
    """
    scores = {delimiter: _score(first_records(text, delimiter)) for delimiter in DELIMITERS}
    best = max(DELIMITERS, key=lambda delimiter: scores[delimiter])
    return best if scores[best] > 0 else ","


def _score(records: list[list[str]]) -> float:
    if not records or len(records[0]) < 2:
        return 0.0
    consistent = sum(len(record) == len(records[0]) for record in records) / len(records)
    cells = [cell.strip() for record in (records[1:] or records) for cell in record]
    typed = sum(is_missing(cell) or looks_typed(cell) for cell in cells) / max(1, len(cells))
    return consistent * (0.5 + 0.5 * typed)


def has_header(records: list[list[str]]) -> bool:
    """Return whether the first record names the columns.

    If none of its values is a number, date or boolean, it does when some column below is mostly typed; when none is,
    it does unless it holds a value twice or at least half of its values come again in their own columns below. If
    some of its values are typed, it does only if these are integers (years) and a word stands above a typed column,
    or if the record is exactly 0, 1, 2, ... A lone record is a header if none of its values is typed.
    """
    first, rest = [cell.strip() for cell in records[0]], records[1:]
    columns = [[record[i].strip() for record in rest if len(record) > i] for i in range(len(first))]
    typed_below = [_mostly_typed(column) for column in columns]
    if not any(first):
        return False
    if any(looks_typed(cell) for cell in first):
        return _numeric_header(first, typed_below)
    if not rest or any(typed_below):
        return True
    again = sum(cell in column for cell, column in zip(first, columns, strict=True))
    return len(set(first)) == len(first) and 2 * again < len(first)


def _mostly_typed(column: list[str]) -> bool:
    present = [cell for cell in column if not is_missing(cell)]
    return bool(present) and 2 * sum(looks_typed(cell) for cell in present) > len(present)


def _numeric_header(first: list[str], typed_below: list[bool]) -> bool:
    if len(first) >= 3 and first == [str(i) for i in range(len(first))]:
        return True
    typed = [cell for cell in first if looks_typed(cell)]
    years = all(cell.isdigit() for cell in typed)
    words_above_typed = any(
        below and cell and not looks_typed(cell) for cell, below in zip(first, typed_below, strict=True)
    )
    return years and words_above_typed and parse_number(typed[0]) is not None
