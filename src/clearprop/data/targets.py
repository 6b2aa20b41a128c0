"""Choosing the target: which columns of a table it is, and whether it is classes or numbers."""

import difflib
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from clearprop.data.columns import Array, kind_of, missing_mask
from clearprop.data.dialect import DELIMITERS, delimiter_name, first_records
from clearprop.data.printable import listed, quoted
from clearprop.data.table import Table
from clearprop.errors import DataError, HeaderError

TargetChoice: TypeAlias = str | int | Sequence[str | int] | None

USUAL_NAMES = ("target", "label", "class", "y")
_SHOWN_ROWS = 5


def pop_target(
    table: Table, choice: TargetChoice, label: str, *, required: bool = True
) -> tuple[Table, Array | None, str | tuple[str, ...] | None]:
    """Return a table without its target, the target, and its name.

    Args:
        table: all columns.
        choice: a column's name; several names, in a sequence or separated by commas; a position, counted from 0, or
            from the end if negative. None takes the one column called target, label, class or y, in any case;
            an empty sequence takes none, if none is required.
        label: what to call the source in messages.
        required: whether to raise if there is no target column; else the target is then None.

    Raises:
        DataError: the column is not there (the message lists those that are, and the nearest), or the target has
            missing values (the message names the rows), or nothing but the target is left.
    """
    names = _chosen(table, choice, label, required)
    if not names:
        return table, None, None
    columns = [target_column(table, name, label) for name in names]
    rest = table.drop(names)
    if not rest.columns:
        raise DataError(f"{label} holds nothing but the target {listed(names)}: there is nothing to learn from")
    if len(names) == 1:
        return rest, columns[0], names[0]
    return rest, np.column_stack(columns), tuple(names)


def _chosen(table: Table, choice: TargetChoice, label: str, required: bool) -> list[str]:
    if choice is None:
        usual = [name for name in table.names if name.lower() in USUAL_NAMES]
        if len(usual) == 1 and len(table.columns) > 1:
            return usual
        if not required:
            return []
        found = "none of them is" if not usual else "more than one of them is"
        raise DataError(
            f"{label}: which column is the target? Give it as target (--target); there are {listed(table.names)}, and "
            f"{found} called {', '.join(USUAL_NAMES[:-1])} or {USUAL_NAMES[-1]}"
        )
    items: Sequence[str | int] = [choice] if isinstance(choice, str | int) else list(choice)
    if isinstance(choice, str) and choice not in table.columns and "," in choice:
        items = [name.strip() for name in choice.split(",")]
    try:
        names = [_name(table, item, label) for item in items]
    except HeaderError as error:
        if not required:
            return []
        lacking = [item.strip() for item in items if isinstance(item, str) and item not in table.columns]
        raise HeaderError(str(error), lacking) from None
    if len(set(names)) < len(names) or (required and not names):
        raise DataError(f"{label}: the targets {listed([str(item) for item in items])} are not different columns")
    return names


def _name(table: Table, item: str | int, label: str) -> str:
    if isinstance(item, str):
        if item in table.columns:
            return item
        lowered = {name.lower(): name for name in table.names}
        near = difflib.get_close_matches(item.lower(), list(lowered), n=1, cutoff=0.6)
        hint = f" Did you mean {quoted(lowered[near[0]])}?" if near else ""
        only = table.names[0] if len(table.names) == 1 else ""
        marks = [mark for mark in DELIMITERS if any(item in record for record in first_records(only, mark))]
        if marks:
            mark = delimiter_name(marks[0])
            hint = f" Its only column is several, with {mark} between them: read it with that as delimiter."
        raise HeaderError(f"{label} has no column {quoted(item)}.{hint} There are {listed(table.names)}")
    count = len(table.names)
    if not -count <= item < count:
        raise HeaderError(f"{label} has no column at position {item}: its {count} columns count from 0")
    return table.names[item]


def target_column(table: Table, name: str, label: str) -> Array:
    """Return one column of a table as a target: text as str, and no value missing."""
    column = table[name]
    refuse_missing(column, table, f"{label}, target {quoted(name)}")
    return column.astype(str) if kind_of(column) == "text" else np.array(column.tolist(), dtype=column.dtype)


def refuse_missing(column: Array, table: Table, where: str) -> None:
    """Raise DataError naming the rows in which a canonical column is missing a value."""
    rows = np.flatnonzero(missing_mask(column))
    if not len(rows):
        return
    if len(rows) == len(column):
        raise DataError(f"{where}: all of its {len(rows)} values are missing; choose another column")
    places = ", ".join(table.place(int(row)) for row in rows[:_SHOWN_ROWS])
    more = f" and {len(rows) - _SHOWN_ROWS} more" if len(rows) > _SHOWN_ROWS else ""
    raise DataError(
        f"{where}: the value is missing in {places}{more}; fill it in, or take these rows out of the training data"
    )
