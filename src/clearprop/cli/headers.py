"""The first line of a table: it is read as names, or as values, as that of the run's own table was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from clearprop.cli.choices import Source
from clearprop.cli.output import note
from clearprop.data import AnyEncoding, Encoding
from clearprop.data.csv_layout import Layout
from clearprop.data.inference import looks_typed
from clearprop.data.loading import is_delimited
from clearprop.data.table_features import TableFeatures
from clearprop.errors import HeaderError


@contextmanager
def as_trained(source: Source, encoding: AnyEncoding) -> Iterator[Source]:
    """Yield how to read a source: its first line as names, or as values, as that of the run's own table was read.

    Without a header the target may be lacking where that came last. What is said about the header goes before; a
    `HeaderError` names the option.
    """
    table = isinstance(encoding, Encoding) and isinstance(encoding.inputs, TableFeatures)
    if not table or not is_delimited(source.data) or source.has_header is not None:
        yield source
        return
    assert isinstance(encoding, Encoding)
    names = [report.name for report in encoding.describe()]
    counts = _headerless(names, encoding.target_name)
    if not counts and not any(map(looks_typed, names)):  # such a header is found
        yield source
        return
    if counts:
        with _without_header(source, counts) as read:
            yield read
        return
    found = Layout.detect(Path(source.data), source.delimiter, source.encoding, header=None)
    named = not found.header and set(names) <= set(found.line_1)
    if named:
        note(f"{found.label}: line 1 is read as names, for the run's columns have those")
    yield replace(source, header=named)


@contextmanager
def _without_header(source: Source, counts: set[int]) -> Iterator[Source]:
    found = Layout.detect(Path(source.data), source.delimiter, source.encoding, header=False)
    guessed = len(found.line_1) in counts and not set(found.line_1) & set(_names(max(counts)))
    if guessed:
        note(f"{found.label}: line 1 is read as values, since the run's table had no header")
    try:
        yield replace(source, no_header=guessed)
    except HeaderError as error:
        values = "line 1 is read as values: if it holds names, take it out"
        mend = values if guessed else "--no-header reads line 1 as values"
        message = f"{error}. The run's table had no header and {max(counts)} columns; {mend}"
        raise HeaderError(message, error.columns) from error


def _headerless(features: list[str], target: str | tuple[str, ...] | None) -> set[int]:
    """The numbers of columns that a table like the run's has, with or without the target; none if it had a header."""
    targets = list(target) if isinstance(target, tuple) else [] if target is None else [target]
    count = len(features) + len(targets)
    if set(features + targets) != set(_names(count)):
        return set()
    return {count, len(features)} if set(features) == set(_names(len(features))) else {count}


def _names(count: int) -> list[str]:
    """What the columns of a table without a header are called."""
    return [f"column_{i}" for i in range(1, count + 1)]
