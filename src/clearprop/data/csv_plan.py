"""What each column of a text file holds, decided over all of its rows, and its values as that."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from clearprop.data.columns import Array, unmasked
from clearprop.data.csv_layout import Layout
from clearprop.data.duckdb_session import grouped, literal
from clearprop.data.inference import (
    MISSING_WORDS,
    ColumnKind,
    Decimal,
    Decision,
    TextProfile,
    convert,
    decimal_mark,
    fits,
    is_missing,
    misfit,
    parse_number,
    whole_if_possible,
)
from clearprop.data.printable import quoted
from clearprop.data.table import Table


@dataclass(frozen=True)
class Plan:
    """How a file is read: None for a column that DuckDB reads as numbers, else the decision on its text.

    Attributes:
        decisions: one a column.
        kinds: what the columns are then, by name.
    """

    decisions: tuple[Decision | None, ...]
    kinds: Mapping[str, ColumnKind]

    @classmethod
    def make(cls, connection: Any, layout: Layout, kinds: Mapping[str, ColumnKind]) -> "Plan":
        """Read columns that `kinds` names as what it says, and decide on the others by their values.

        Raises:
            DataError: a value is not what the others of its column are, or what they are to be.
        """
        wanted = {i: kinds[name] for i, name in enumerate(layout.names) if name in kinds}
        looks = _Looks.at(connection, layout, wanted)
        decisions = [looks.decision(i, wanted.get(i)) for i in range(len(layout.names))]
        for i, decision in enumerate(decisions):
            if decision is not None and decision.stray is not None:
                _refuse_stray(layout, i, decision)
        _refuse_misfits(connection, layout, {i: decisions[i] for i in wanted})
        found = zip(layout.names, decisions, looks.marks(decisions), strict=True)
        return cls(tuple(decisions), {name: _kind(decision, mark) for name, decision, mark in found})

    def selection(self, columns: Iterable[int]) -> str:
        """The SELECT list of some columns. What is no number in a column of numbers is known to be missing.

        A cast of the bare column of a view would be handed to DuckDB's CSV reader, which then fails where TRY_CAST
        gives NULL; a cast of an expression is not.
        """
        return ", ".join(
            f"TRY_CAST(trim(c{i}) AS DOUBLE) AS c{i}" if self.decisions[i] is None else f"c{i}" for i in columns
        )

    def table(self, connection: Any, layout: Layout, n_rows: int) -> Table:
        """All of the file, from a table that DuckDB holds."""
        columns = {}
        for group in grouped(list(range(len(layout.names)))):
            arrays = connection.execute(f"SELECT {self.selection(group)} FROM rows").fetchnumpy()
            for i in group:
                values = unmasked(arrays.pop(f"c{i}"))
                columns[layout.names[i]] = self._column(layout, i, values, partial(_texts, connection, i))
        numbers = layout.numbers(0, n_rows, n_rows)
        return Table(columns, numbers, "row" if numbers is None else "line", self.kinds)

    def chunk(self, layout: Layout, batch: list[tuple[Any, ...]], done: int, n_rows: int) -> Table:
        """Some rows that follow `done` others; numbers are float64."""
        columns = {
            name: self._column(layout, i, values)
            for i, (name, values) in enumerate(zip(layout.names, zip(*batch, strict=True), strict=True))
        }
        numbers = layout.numbers(done, len(batch), n_rows)
        if numbers is None:
            return Table(columns, np.arange(done, done + len(batch)) + 1, kinds=self.kinds)
        return Table(columns, numbers, "line", self.kinds)

    def _column(self, layout: Layout, i: int, values: Any, texts: Callable[[], list[str]] | None = None) -> Array:
        """Values of a column as what it holds; numbers are int64 where they can be and `texts` gives what they were."""
        decision = self.decisions[i]
        if decision is None:
            column = np.asarray(values, dtype=np.float64)
            column = column if texts is None else whole_if_possible(column, texts)
        else:
            column = convert(list(values), decision)
            column = column.astype(np.float64) if decision.kind == "number" and texts is None else column
        if column.dtype.kind == "f" and np.isinf(column).any():
            _refuse_infinite(layout, i, "." if decision is None else decision.decimal)
        return column


def _kind(decision: Decision | None, mark: Decimal | None) -> ColumnKind:
    if decision is None or decision.kind == "empty":
        return ColumnKind("number", mark)
    return ColumnKind(decision.kind, mark)


def _texts(connection: Any, column: int) -> list[str]:
    return list(connection.execute(f"SELECT c{column} FROM rows").fetchnumpy()[f"c{column}"])


@dataclass(frozen=True)
class _Looks:
    """What the values of the columns look like that may be numbers, or whose kind is to be found out.

    Attributes:
        plain: the columns whose every value is a plain number or missing, and whether a decimal point occurs.
        profiles: those of all other columns, and of plain ones whose points may separate thousands.
        usual: the decimal mark where the values of a column can be read with either.
    """

    plain: Mapping[int, bool]
    profiles: Mapping[int, TextProfile]
    usual: Decimal

    @classmethod
    def at(cls, connection: Any, layout: Layout, wanted: Mapping[int, ColumnKind]) -> "_Looks":
        free = [i for i in range(len(layout.names)) if i not in wanted]
        numbers = [i for i, kind in wanted.items() if kind.kind == "number"]
        unknown = {*free, *(i for i in numbers if wanted[i].decimal is None)}
        plain = _plain_numbers(connection, sorted([*free, *numbers]))
        profiles = _profiles(connection, sorted(unknown - set(plain)))
        usual = decimal_mark(list(profiles.values()), layout.delimiter)
        if usual == ",":  # 12.345 may then be twelve thousand: look at those columns again
            profiles |= _profiles(connection, sorted(i for i in unknown if plain.get(i)))
        return cls(plain, profiles, usual)

    def decision(self, column: int, wanted: ColumnKind | None) -> Decision | None:
        """What a column is read as; None for plain numbers."""
        profile = self.profiles.get(column)
        if wanted is None:
            return None if profile is None else profile.decide(self.usual)
        if wanted.kind != "number":
            return Decision(wanted.kind)
        if profile is not None:
            return Decision("number", profile.mark(self.usual))
        mark = wanted.decimal or "."
        as_thousands = mark == "," and self.plain.get(column)
        return None if column in self.plain and not as_thousands else Decision("number", mark)

    def marks(self, decisions: Sequence[Decision | None]) -> list[Decimal | None]:
        """The decimal mark of each column of numbers: its own, or the file's if it tells none; None if neither does."""
        own = [self._told(i, decision) for i, decision in enumerate(decisions)]
        usual = self.usual if any(own) else None
        numbers = [decision is None or decision.kind == "number" for decision in decisions]
        return [told or usual if number else None for told, number in zip(own, numbers, strict=True)]

    def _told(self, column: int, decision: Decision | None) -> Decimal | None:
        """The decimal mark that the values of a column tell."""
        if decision is None:
            return "." if self.plain[column] else None
        profile = self.profiles.get(column)
        known = decision.kind == "number" and (profile is None or profile.with_mark)
        return decision.decimal if known else None


def _plain_numbers(connection: Any, columns: list[int]) -> dict[int, bool]:
    """The columns whose every value is a plain number or missing, and whether a decimal point occurs in them."""
    plain: dict[int, bool] = {}
    words = ", ".join(literal(word) for word in sorted(MISSING_WORDS))
    without_missing = f"CASE WHEN lower(trim({{0}})) NOT IN ({words}) THEN trim({{0}}) END"
    for value in ("trim({0})", without_missing):  # most columns need only the first and cheaper look
        for group in grouped([i for i in columns if i not in plain]):
            plain |= _look_for_numbers(connection, group, value)
    return plain


def _look_for_numbers(connection: Any, columns: list[int], value: str) -> dict[int, bool]:
    values = ", ".join(f"{value.format(f'c{i}')} AS c{i}" for i in columns)
    # DuckDB alone takes 1_000 and +-1 for numbers; a leading zero makes a code ('0:' follows '09...').
    tests = ", ".join(
        f"count(c{i}), count(*) FILTER (WHERE isfinite(TRY_CAST(c{i} AS DOUBLE)) AND NOT contains(c{i}, '_') "
        f"AND NOT contains(c{i}, '+-') AND NOT (c{i} >= '00' AND c{i} < '0:')), bool_or(contains(c{i}, '.'))"
        for i in columns
    )
    row = connection.execute(f"SELECT {tests} FROM (SELECT {values} FROM rows)").fetchone()
    looked = zip(columns, *(row[k::3] for k in range(3)), strict=True)
    return {i: bool(point) for i, present, numbers, point in looked if 0 < present == numbers}


def _profiles(connection: Any, columns: list[int]) -> dict[int, TextProfile]:
    profiles = {i: TextProfile() for i in columns}
    for i, values in _batches(connection, columns):
        profiles[i].update(values)
    return profiles


def _batches(connection: Any, columns: list[int]) -> Iterator[tuple[int, Sequence[str | None]]]:
    """Yield the texts of columns, some rows at a time."""
    for group in grouped(columns):
        cursor = connection.execute(f"SELECT {', '.join(f'c{i}' for i in group)} FROM rows")
        while batch := cursor.fetchmany(1 << 16):
            yield from zip(group, zip(*batch, strict=True), strict=True)


def _refuse_stray(layout: Layout, column: int, decision: Decision) -> None:
    line, value = _first_misfit(layout, column, decision)
    expected = "numbers" if decision.kind == "number" else "dates"
    raise layout.misplaced(
        line,
        column,
        f"{quoted(value.strip())} stands among {expected}; correct it, or leave the value empty if it is missing",
    )


def _refuse_misfits(connection: Any, layout: Layout, decisions: Mapping[int, Decision | None]) -> None:
    """Raise DataError for the first column with a value that is not what training had there."""
    looked_at = {i: decision for i, decision in decisions.items() if decision is not None and decision.kind != "text"}
    for i, values in _batches(connection, sorted(looked_at)):
        decision = looked_at[i]
        if not all(value is None or fits(value, decision) for value in set(values)):
            line, value = _first_misfit(layout, i, decision)
            raise layout.misplaced(line, i, misfit(value, decision))


def _first_misfit(layout: Layout, column: int, decision: Decision) -> tuple[int, str]:
    return layout.first(column, lambda text: not fits(text, decision))


def _refuse_infinite(layout: Layout, column: int, decimal: Decimal) -> None:
    def infinite(text: str) -> bool:
        return not is_missing(text) and np.isinf(parse_number(text, decimal) or 0.0).item()

    line, value = layout.first(column, infinite)
    raise layout.misplaced(
        line,
        column,
        f"{quoted(value.strip())} is not a finite number that fits a float64; "
        "correct it, or leave the value empty if it is missing",
    )
