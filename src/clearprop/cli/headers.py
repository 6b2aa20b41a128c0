"""Tables without a header, for a run whose own table had none: they are read as its own was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from clearprop.cli.choices import Source
from clearprop.cli.output import note
from clearprop.data import AnyEncoding, Encoding, printable
from clearprop.data.csv_layout import Layout
from clearprop.data.loading import is_delimited
from clearprop.data.table_features import TableFeatures
from clearprop.errors import HeaderError


@contextmanager
def as_trained(source: Source, encoding: AnyEncoding) -> Iterator[Source]:
    """Yield how to read a source: as without a header if the run's table had none and this one has as many columns.

    It may lack the target where that came last. What is said about the header goes before; a `HeaderError` names the
    option.
    """
    counts = _headerless(encoding)
    path = Path(source.data)
    if not counts or not is_delimited(source.data) or source.has_header is not None:
        yield source
        return
    line_1 = Layout.detect(path, source.delimiter, source.encoding, header=False).line_1
    guessed = len(line_1) in counts and not set(line_1) & set(_names(max(counts)))
    if guessed:
        note(f"{printable(path.name)}: line 1 is read as values, since the run's table had no header")
    try:
        yield replace(source, no_header=guessed)
    except HeaderError as error:
        mend = (
            "line 1 is read as values: --header reads it as names" if guessed else "--no-header reads line 1 as values"
        )
        message = f"{error}. The run's table had no header and {max(counts)} columns; {mend}"
        raise HeaderError(message, error.columns) from error


def _headerless(encoding: AnyEncoding) -> set[int]:
    """The numbers of columns that a table like the run's has, with or without the target; none if it had a header."""
    if not isinstance(encoding, Encoding) or not isinstance(encoding.inputs, TableFeatures):
        return set()
    features = [report.name for report in encoding.describe()]
    name = encoding.target_name
    targets = list(name) if isinstance(name, tuple) else [] if name is None else [name]
    count = len(features) + len(targets)
    if set(features + targets) != set(_names(count)):
        return set()
    return {count, len(features)} if set(features) == set(_names(len(features))) else {count}


def _names(count: int) -> list[str]:
    """What the columns of a table without a header are called."""
    return [f"column_{i}" for i in range(1, count + 1)]
