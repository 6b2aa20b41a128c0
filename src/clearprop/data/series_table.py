"""Series from the columns of a table: in the order of time, without gaps; and the times that come after the last."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from clearprop.data.columns import Array, kind_of, missing_mask, text_of
from clearprop.data.dataset import Dataset
from clearprop.data.inference import Decimal, parse_number
from clearprop.data.printable import listed, printable, quoted
from clearprop.data.table import Table
from clearprop.errors import DataError

_DAY = np.timedelta64(1, "D")


@dataclass(frozen=True, eq=False)
class Series:
    """Numbers in the order of time, some columns side by side.

    Attributes:
        name: what to call it: "sunspots.csv".
        columns: the names of the columns.
        values: (count, columns), float64 and finite.
        time: the name of the column of times; None where rows are only counted.
        times: (count,) dates or numbers, ever later; None where there are none.
        notes: what was detected or done, in words for the user.
        fingerprint: SHA-256 of the content that it was read from.
        decimals: the decimal mark of each column that was read from text, by name, where it is known.
    """

    name: str
    columns: tuple[str, ...]
    values: Array
    time: str | None = None
    times: Array | None = None
    notes: tuple[str, ...] = ()
    fingerprint: str = ""
    decimals: Mapping[str, Decimal] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def last(self) -> "Series":
        """The last time step alone."""
        return replace(self, values=self.values[-1:], times=None if self.times is None else self.times[-1:])

    def next_times(self, count: int) -> list[str]:
        """Return what the time steps after the last one are called.

        Times that are equally far apart go on so, as do months; any others are counted: +1, +2.
        """
        after = None if self.times is None or len(self) < 2 else _after(self.times, count)
        return [f"+{step + 1}" for step in range(count)] if after is None else _words(after)


def series_of(dataset: Dataset, columns: Sequence[str], time: str | None = None) -> Series:
    """Take columns of a table as series, in the order of time.

    Args:
        dataset: what was read.
        columns: the names of the columns, all of numbers.
        time: the column of times to sort by, dates or numbers; by default the only column of dates, if there is one.
            Without one the rows are in the order of time.

    Raises:
        DataError: it is no table, or a column is not there, or not of numbers, or has a gap; or a time comes twice.
    """
    table = dataset.features
    if not isinstance(table, Table):
        raise DataError(f"{printable(dataset.name)} is no table with named columns: series come from columns")
    named = [*columns, *([] if time is None else [time])]
    repeated = sorted(name for name in named if named.count(name) > 1)
    if repeated:
        raise DataError(f"the column {quoted(repeated[0])} is named twice: name each once")
    values = np.column_stack([_numbers(table, name) for name in columns])
    series = Series(dataset.name, tuple(columns), values, notes=dataset.notes, fingerprint=dataset.fingerprint)
    time = _only_dates(table) if time is None else time
    read = {name: kind.decimal for name, kind in table.kinds.items() if name in (*columns, time)}
    series = replace(series, decimals={name: mark for name, mark in read.items() if mark is not None})
    if time is None:
        note = "no column of dates: the rows are taken to be in the order of time"
        return replace(series, notes=(*series.notes, note))
    times, order = _ordered(table, time)
    notes = [*dataset.notes, f"in the order of {quoted(time)}, {' to '.join(_words(times[[0, -1]]))}"]
    if not _regular(times):
        notes.append(f"the times in {quoted(time)} are not equally far apart; each row counts as one step")
    return replace(series, values=values[order], time=time, times=times, notes=tuple(notes))


def _numbers(table: Table, name: str) -> Array:
    """A column as finite float64."""
    column = table[name]
    kind = kind_of(column)
    if kind == "date" or (kind == "text" and not missing_mask(column).all()):
        present = np.flatnonzero(~missing_mask(column)).tolist()
        words = (row for row in present if kind == "date" or parse_number(text_of(column[row])) is None)
        example = next(words, present[0])
        raise DataError(
            f"column {quoted(name)} holds {'dates' if kind == 'date' else 'words'} "
            f"({table.place(example)}: {quoted(text_of(column[example]))}), and a series is numbers"
        )
    gaps = np.flatnonzero(missing_mask(column))
    if len(gaps):
        raise DataError(
            f"{table.place(int(gaps[0]))}, column {quoted(name)}: the value is missing ({len(gaps)} in all); "
            "fill it, for example with the value before, or leave out the rows up to it"
        )
    numbers = column.astype(np.float64)
    if not np.isfinite(numbers).all():
        row = int(np.argmin(np.isfinite(numbers)))
        raise DataError(f"{table.place(row)}, column {quoted(name)}: the number is infinite; correct the value")
    return numbers


def _only_dates(table: Table) -> str | None:
    dates = [name for name in table.names if kind_of(table[name]) == "date"]
    if len(dates) > 1:
        raise DataError(f"there are several columns of dates ({listed(dates)}): name that of the time with --time")
    return dates[0] if dates else None


def _ordered(table: Table, name: str) -> tuple[Array, Array]:
    """The times in their order, and the order of the rows."""
    column = table[name]
    if kind_of(column) not in ("date", "number"):
        raise DataError(f"column {quoted(name)} holds a {kind_of(column)}: times are dates or numbers")
    gaps = np.flatnonzero(missing_mask(column))
    if len(gaps):
        raise DataError(f"{table.place(int(gaps[0]))}, column {quoted(name)}: the time is missing; fill it in")
    order = np.argsort(column, kind="stable")
    times = column[order]
    twice = np.flatnonzero(times[1:] == times[:-1])
    if len(twice):
        place, shown = table.place(int(order[twice[0] + 1])), _words(times[twice[:1]])[0]
        raise DataError(
            f"{place}, column {quoted(name)}: {shown} comes twice; a series has one row a time: "
            "keep one of them, or bring several series side by side into columns"
        )
    return times, order


def _regular(times: Array) -> bool:
    return len(times) < 3 or _after(times, 1) is not None


def _after(times: Array, count: int) -> Array | None:
    """Return the times after the last: by equal differences, or month by month; None where neither fits."""
    steps = np.arange(1, count + 1)
    difference = np.diff(times)
    if times.dtype.kind in "iuf":
        same = np.allclose(difference, difference[0], rtol=1e-6, atol=0)
        return np.asarray(times[-1] + difference[0] * steps) if same else None
    for offset in (0, 1):  # the same day of each month, or the last one
        months = (times + offset * _DAY).astype("datetime64[M]")
        into, apart = times + offset * _DAY - months, np.diff(months)
        if (into == into[0]).all() and into[0] < 28 * _DAY and (apart == apart[0]).all() and apart[0].astype(int) > 0:
            return np.asarray((months[-1] + apart[0] * steps).astype(times.dtype) + into[0] - offset * _DAY)
    return np.asarray(times[-1] + difference[0] * steps) if (difference == difference[0]).all() else None


def _words(times: Array) -> list[str]:
    """Times as text: numbers in short, dates without a time of the day where none has one."""
    if times.dtype.kind != "M":
        return [text_of(value) if isinstance(value, int) else f"{value:.12g}" for value in times.tolist()]
    whole = (times == times.astype("datetime64[D]")).all()
    return [str(text) for text in np.datetime_as_string(times, unit="D" if whole else "s")]
