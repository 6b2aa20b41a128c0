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
"""

import datetime
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from clearprop.data.columns import Array, objects

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


def looks_typed(text: str) -> bool:
    """Whether a value is a number, a date or a boolean, however its decimals are written."""
    return (
        parse_number(text) is not None
        or parse_number(text, ",") is not None
        or parse_boolean(text) is not None
        or parse_date(text) is not None
    )


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
    """

    present: int = 0
    point: int = 0
    comma: int = 0
    booleans: int = 0
    dates: int = 0
    codes: int = 0
    with_comma: bool = False
    integers: bool = True
    different: set[str] = field(default_factory=set)
    first_word: str | None = None
    first_not_date: str | None = None

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
            self.integers &= text.lstrip("+-").isdigit()
            if len(self.different) <= _FEW:
                self.different.add(text)
        elif self.first_word is None:
            self.first_word = text
        date = parse_date(text) is not None
        self.dates += count * date
        if not date and self.first_not_date is None:
            self.first_not_date = text
        self.booleans += count * (parse_boolean(text) is not None)

    @property
    def only_comma(self) -> bool:
        """Whether all values are numbers with a decimal comma and some are not with a decimal point."""
        return 0 < self.present == self.comma > self.point

    @property
    def only_point(self) -> bool:
        """Whether all values are numbers with a decimal point and some are not with a decimal comma."""
        return 0 < self.present == self.point > self.comma

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
            both = self.point == self.comma
            return Decision("number", decimal if both else "." if self.point > self.comma else ",")
        return self._with_stray(decimal)

    def _with_stray(self, decimal: Decimal) -> Decision:
        fitting = max(self.point, self.comma)
        if self._nearly(fitting) and not self._looks_like_codes(fitting):
            mark: Decimal = "." if self.point > self.comma else "," if self.comma > self.point else decimal
            return Decision("number", mark, self.first_word)
        if self._nearly(self.dates):
            return Decision("date", stray=self.first_not_date)
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
    if decision.kind == "number":
        return _numbers(texts, decision.decimal)
    if decision.kind == "boolean":
        return _booleans(texts)
    if decision.kind == "date":
        dates: list[Any] = [None if text is None else parse_date(text) for text in texts]
        return np.array(dates, dtype="datetime64[us]")
    return objects(texts)


def _stripped(value: str | None, kind: TextKind) -> str | None:
    text = "" if value is None else value.strip()
    missing = is_missing(text) or (kind != "text" and text.lower() == NONE)
    return None if missing else text


def _numbers(texts: list[str | None], decimal: Decimal) -> Array:
    parsed = [None if text is None else parse_number(text, decimal) for text in texts]
    return whole_if_possible(np.array(parsed, dtype=np.float64))


def whole_if_possible(numbers: Array) -> Array:
    """Return float64 numbers as int64 if all are integers that a float64 holds exactly, else as they are."""
    if np.isfinite(numbers).all() and (np.abs(numbers) < 2**53).all() and (numbers == np.floor(numbers)).all():
        return numbers.astype(np.int64)
    return numbers


def _booleans(texts: list[str | None]) -> Array:
    parsed = [None if text is None else parse_boolean(text) for text in texts]
    return objects(parsed) if None in parsed else np.array(parsed, dtype=np.bool_)
