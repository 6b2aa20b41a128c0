"""What a column of text really holds: numbers, dates, booleans, or words.

The rules look at every value of a column, never at a sample:

* Missing: an empty or blank value, and NA, N/A, #N/A, <NA>, NaN, NULL and ? in any case. The word None is missing in a
  column of numbers, booleans or dates, and a word in a column of words.
* Numbers: 12, -1.5, .5, 2e-3, with thousands in groups of three (1,234.5), or all of it the other way round (1.234,5).
  A column such as 1,234 fits both; the columns of the file that fit only one decide, then the separator: a comma is
  a decimal comma in a file separated by semicolons.
* Text with leading zeros (007, 01234) is a code, not a number.
* Booleans: true and false in any case.
* Dates: ISO 8601 (2024-01-31, 2024/01/31, with a time, with a zone) and 31.01.2024.
* A stray value: where nearly all values are numbers (or dates) and at most a tenth (or just one) are words, a word
  is an error, not a category; unless the numbers are few different integers that repeat, such as 1, 2, 3 and 4+.

These rules are for training. What they decided is a `ColumnKind`, and whatever is read for the trained model is read
as that, so that what a value means does not depend on the values beside it.
"""

import datetime
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from clearprop.data.columns import Array, Kind, objects
from clearprop.data.printable import quoted
from clearprop.errors import DataError

MISSING_WORDS = frozenset({"", "na", "n/a", "#n/a", "<na>", "nan", "null", "?"})
NONE = "none"
INFINITIES = frozenset({"inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"})

TextKind: TypeAlias = Literal["empty", "number", "boolean", "date", "text"]
Decimal: TypeAlias = Literal[".", ","]

_POINT = re.compile(
    r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+|[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]*)?)(?:[eE][+-]?[0-9]+)?"
)
_COMMA = re.compile(
    r"[+-]?(?:[0-9]+(?:,[0-9]+)?|,[0-9]+|[1-9][0-9]{0,2}(?:\.[0-9]{3})+(?:,[0-9]+)?)(?:[eE][+-]?[0-9]+)?"
)
_CODE = re.compile(r"0[0-9]+")
_WHOLE = re.compile(r"[+-]?[0-9]{1,19}")
_ISO_DATE = re.compile(
    r"[0-9]{4}([-/])[0-9]{2}\1[0-9]{2}"
    r"(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_POINT_DATE = re.compile(r"([0-9]{1,2})\.([0-9]{1,2})\.([0-9]{4})")

_FEW = 20
_STRAY_FRACTION = 0.1


def is_missing(text: str) -> bool:
    """Whether a text, stripped of blanks, is one of the words for a missing value."""
    return text.lower() in MISSING_WORDS


def parse_number(text: str, decimal: Decimal = ".") -> float | None:
    """Return the number written in `text`, None if it is none; a number too large for a float64 gives infinity."""
    stripped = text.strip()
    if stripped.lower() in INFINITIES:
        return float(stripped)
    if decimal == ".":
        return float(stripped.replace(",", "")) if _POINT.fullmatch(stripped) else None
    if not _COMMA.fullmatch(stripped):
        return None
    return float(stripped.replace(".", "").replace(",", "."))


def parse_date(text: str) -> datetime.datetime | None:
    """Return the date and time, in UTC and without a zone, written in `text`, None if it is none."""
    stripped = text.strip()
    try:
        if match := _POINT_DATE.fullmatch(stripped):
            day, month, year = match.groups()
            return datetime.datetime(int(year), int(month), int(day))
        if not _ISO_DATE.fullmatch(stripped):
            return None
        moment = datetime.datetime.fromisoformat(stripped.replace("/", "-"))
        return moment if moment.tzinfo is None else moment.astimezone(datetime.UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None


def parse_boolean(text: str) -> bool | None:
    """Return the truth value written in `text` (true or false in any case), None if it is none."""
    return {"true": True, "false": False}.get(text.strip().lower())


def parse_truth(text: str) -> bool | None:
    """Return the truth value written in `text`, as a word or as the number 0 or 1, None if it is none."""
    number, value = parse_number(text), parse_boolean(text)
    return bool(number) if number in (0, 1) else value


def looks_typed(text: str) -> bool:
    """Whether a value is a number, a date or a boolean, however its decimals are written."""
    return (
        parse_number(text) is not None
        or parse_number(text, ",") is not None
        or parse_boolean(text) is not None
        or parse_date(text) is not None
    )


@dataclass(frozen=True)
class ColumnKind:
    """What a column is to be read as, whatever its values look like.

    Attributes:
        kind: "number", "boolean", "date", or "text": then every value is a word as it is written, None and 1.50 too.
        decimal: the decimal mark of numbers that are written as text; None where it is to be found out.
    """

    kind: Kind
    decimal: Decimal | None = None


@dataclass(frozen=True)
class Decision:
    """What a text column holds, and the first value that does not fit where nearly all of them do."""

    kind: TextKind
    decimal: Decimal = "."
    stray: str | None = None


@dataclass
class TextProfile:
    """Counts of what the values of one text column look like, gathered in one or several passes.

    Attributes:
        present: values that are neither missing nor the word None.
        point, comma: values that are numbers with a decimal point, with a decimal comma (an integer is both).
        booleans, dates, codes: values of these kinds; codes are digits with a leading zero.
        with_comma, with_point: whether a number holds the one, the other.
        not_point, not_comma, not_date: the first value that is not of the kind.
    """

    present: int = 0
    point: int = 0
    comma: int = 0
    booleans: int = 0
    dates: int = 0
    codes: int = 0
    with_comma: bool = False
    with_point: bool = False
    integers: bool = True
    different: set[str] = field(default_factory=set)
    not_point: str | None = None
    not_comma: str | None = None
    not_date: str | None = None

    def update(self, values: Iterable[str | None]) -> None:
        """Count more values of the column."""
        for value, count in Counter(values).items():
            text = "" if value is None else value.strip()
            if not is_missing(text) and text.lower() != NONE:
                self._count(text, count)

    def _count(self, text: str, count: int) -> None:
        self.present += count
        point, comma = parse_number(text) is not None, parse_number(text, ",") is not None
        self.point += count * point
        self.comma += count * comma
        if point or comma:
            self.codes += count * bool(_CODE.fullmatch(text))
            self.with_comma |= "," in text
            self.with_point |= "." in text
            self.integers &= text.lstrip("+-").isdigit()
            if len(self.different) <= _FEW:
                self.different.add(text)
        date = parse_date(text) is not None
        self.dates += count * date
        self.not_point = text if self.not_point is None and not point else self.not_point
        self.not_comma = text if self.not_comma is None and not comma else self.not_comma
        self.not_date = text if self.not_date is None and not date else self.not_date
        self.booleans += count * (parse_boolean(text) is not None)

    @property
    def only_comma(self) -> bool:
        """Whether all values are numbers with a decimal comma and some are not with a decimal point."""
        return 0 < self.present == self.comma > self.point

    @property
    def only_point(self) -> bool:
        """Whether all values are numbers with a decimal point and some are not with a decimal comma."""
        return 0 < self.present == self.point > self.comma

    @property
    def with_mark(self) -> bool:
        """Whether a number holds a comma or a point, so that it says something of the decimal mark."""
        return self.with_comma or self.with_point

    def mark(self, decimal: Decimal = ".") -> Decimal:
        """Return the decimal mark with which more values are numbers; `decimal` where it makes no difference."""
        return decimal if self.point == self.comma else "." if self.point > self.comma else ","

    def decide(self, decimal: Decimal = ".") -> Decision:
        """Return what the column holds; `decimal` settles numbers that can be read both ways."""
        if self.present == 0:
            return Decision("empty")
        if self.present == self.booleans:
            return Decision("boolean")
        if self.present == self.dates:
            return Decision("date")
        if self.codes:
            return Decision("text")
        if self.present in (self.point, self.comma):
            return Decision("number", self.mark(decimal))
        return self._with_stray(decimal)

    def _with_stray(self, decimal: Decimal) -> Decision:
        fitting = max(self.point, self.comma)
        if self._nearly(fitting) and not self._looks_like_codes(fitting):
            mark = self.mark(decimal)
            return Decision("number", mark, self.not_point if mark == "." else self.not_comma)
        if self._nearly(self.dates):
            return Decision("date", stray=self.not_date)
        return Decision("text")

    def _nearly(self, fitting: int) -> bool:
        allowed = max(1, int(_STRAY_FRACTION * self.present))
        return 2 * fitting > self.present and self.present - fitting <= allowed

    def _looks_like_codes(self, fitting: int) -> bool:
        return self.integers and len(self.different) <= _FEW and fitting >= 2 * len(self.different)


def decimal_mark(profiles: Sequence[TextProfile], delimiter: str | None) -> Decimal:
    """Return the decimal mark of a file, for the columns that can be read with either."""
    if any(profile.only_comma for profile in profiles):
        return ","
    if any(profile.only_point for profile in profiles):
        return "."
    return "," if delimiter == ";" and any(profile.with_comma for profile in profiles) else "."


def convert(values: Sequence[str | None], decision: Decision) -> Array:
    """Return text values as a column of the decided kind; values that do not fit are an error of the caller."""
    texts = [_stripped(value, decision.kind) for value in values]
    if decision.kind == "empty":
        return np.full(len(texts), np.nan)
    if decision.kind == "text":
        return objects(texts)
    parsed = [None if text is None else _parsed(text, decision) for text in texts]
    if decision.kind == "number":
        return whole_if_possible(np.array(parsed, dtype=np.float64), lambda: texts, decision.decimal)
    if decision.kind == "date":
        return np.array(parsed, dtype="datetime64[us]")
    return objects(parsed) if None in parsed else np.array(parsed, dtype=np.bool_)


def read_as(name: str, column: Array, wanted: ColumnKind, place: Callable[[int], str]) -> Array:
    """Return a canonical column of text as one of the wanted kind.

    Raises DataError, naming the place, for the first value that is not of it. Where the decimal mark is to be found
    out, it is the one with which more of the column's values are numbers.
    """
    profile = TextProfile()
    if wanted.kind == "number" and wanted.decimal is None:
        profile.update(column)
    decision = Decision(wanted.kind, wanted.decimal or profile.mark())
    for row, text in enumerate(column.tolist()):
        if text is not None and not fits(text, decision):
            raise DataError(f"{place(row)}, column {quoted(name)}: {misfit(text, decision)}")
    return convert(column.tolist(), decision)


def fits(text: str, decision: Decision) -> bool:
    """Whether a value is missing or of the decided kind."""
    stripped = _stripped(text, decision.kind)
    return stripped is None or _parsed(stripped, decision) is not None


def misfit(text: str, decision: Decision) -> str:
    """Return what is wrong with a value that does not fit the kind of training, in words for the user."""
    shown = quoted(text.strip())
    if decision.kind == "boolean":
        return f"{shown} is neither true nor false"
    if decision.kind == "number" and any(parse_number(text, mark) is not None for mark in _MARKS):
        mark = _MARKS[decision.decimal]
        return f"{shown} is not a number with a decimal {mark}, and training had such numbers there"
    return f"{shown} is not a {decision.kind}, and training had {decision.kind}s there"


_MARKS: dict[Decimal, str] = {".": "point", ",": "comma"}


def _parsed(text: str, decision: Decision) -> Any:
    if decision.kind == "number":
        return parse_number(text, decision.decimal)
    if decision.kind == "boolean":
        return parse_truth(text)
    return parse_date(text) if decision.kind == "date" else text


def _stripped(value: str | None, kind: TextKind) -> str | None:
    text = "" if value is None else value.strip()
    missing = is_missing(text) or (kind != "text" and text.lower() == NONE)
    return None if missing else text


def whole_if_possible(numbers: Array, texts: Callable[[], Iterable[str | None]], decimal: Decimal = ".") -> Array:
    """Return float64 numbers as int64 if all are integers that one holds, else as they are.

    Above 2^53, where a float64 does not hold every integer, they are read again from the texts that they came from.
    """
    if not np.isfinite(numbers).all() or not (numbers == np.floor(numbers)).all():
        return numbers
    if (np.abs(numbers) < 2**53).all():
        return numbers.astype(np.int64)
    thousands = "," if decimal == "." else "."
    digits = ["" if text is None else text.strip().replace(thousands, "") for text in texts()]
    if not all(_WHOLE.fullmatch(text) and -(2**63) <= int(text) < 2**63 for text in digits):
        return numbers
    return np.array([int(text) for text in digits], dtype=np.int64)
