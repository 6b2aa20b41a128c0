"""Reading back what an encoding wrote into a file: every field checked, nothing trusted."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from clearprop.data.inference import Decimal
from clearprop.data.printable import listed, quoted
from clearprop.errors import FileFormatError


class SavedState:
    """One JSON object of a file, of which exactly the expected fields are read.

    Fields that files of earlier versions do not have may be absent, and then have the values given as `unwritten`.
    Every method raises FileFormatError, naming the field, if its value is not of the kind asked for.
    """

    def __init__(
        self, content: object, what: str, fields: tuple[str, ...], unwritten: Mapping[str, Any] | None = None
    ) -> None:
        if not isinstance(content, Mapping):
            raise FileFormatError(f"{what}: expected an object, found {type(content).__name__}; the file is damaged")
        content = {**(unwritten or {}), **content}
        if set(content) != set(fields):
            odd = sorted(str(name) for name in set(content) ^ set(fields))
            raise FileFormatError(f"{what}: the fields {listed(odd)} are missing or unknown; the file is damaged")
        self._content: Mapping[str, Any] = content
        self._what = what

    def values(self, kind: Any) -> dict[str, Any]:
        """Return every field of a dataclass, read as its type says: text, a finite number, a decimal mark, ..."""
        return {field.name: _READERS[field.type](self, field.name) for field in dataclasses.fields(kind)}

    def raw(self, field: str) -> Any:
        """Return a field as it is."""
        return self._content[field]

    def text(self, field: str) -> str:
        """Return a field that is text."""
        return str(self._checked(field, isinstance(self.raw(field), str), "text"))

    def choice(self, field: str, choices: tuple[str, ...]) -> str:
        """Return a field that is one of `choices`."""
        return str(self._checked(field, self.raw(field) in choices, f"one of {', '.join(choices)}"))

    def decimal(self, field: str) -> Decimal | None:
        """Return a field that is a decimal mark, or null."""
        value: Decimal | None = self._checked(field, is_decimal(self.raw(field)), "'.' or ',' or null")
        return value

    def marks(self, field: str) -> dict[str, Decimal]:
        """Return a field that is decimal marks by name."""
        value = self.raw(field)
        fitting = isinstance(value, Mapping) and all(mark is not None and is_decimal(mark) for mark in value.values())
        return dict(self._checked(field, fitting, "decimal marks by name"))

    def flag(self, field: str) -> bool:
        """Return a field that is true or false."""
        return bool(self._checked(field, isinstance(self.raw(field), bool), "true or false"))

    def count(self, field: str) -> int:
        """Return a field that is an integer of at least 0."""
        return int(self._checked(field, _is_count(self.raw(field)), "a count"))

    def number(self, field: str) -> float:
        """Return a field that is a finite number."""
        return float(self._checked(field, _is_number(self.raw(field)), "a finite number"))

    def positive(self, field: str) -> float:
        """Return a field that is a finite number above 0."""
        value = self.raw(field)
        return float(self._checked(field, _is_number(value) and value > 0, "a number above 0"))

    def counts(self, field: str) -> tuple[int, ...]:
        """Return a field that is a list of counts."""
        return tuple(self._list(field, _is_count, "a list of counts"))

    def numbers(self, field: str) -> tuple[float, ...]:
        """Return a field that is a list of finite numbers."""
        return tuple(map(float, self._list(field, _is_number, "a list of finite numbers")))

    def positives(self, field: str) -> tuple[float, ...]:
        """Return a field that is a list of finite numbers above 0."""
        found = self._list(field, lambda v: _is_number(v) and v > 0, "a list of numbers above 0")
        return tuple(map(float, found))

    def texts(self, field: str) -> tuple[str, ...]:
        """Return a field that is a list of texts."""
        return tuple(self._list(field, lambda value: isinstance(value, str), "a list of texts"))

    def items(self, field: str) -> list[Any]:
        """Return a field that is a list of anything."""
        return self._list(field, lambda value: True, "a list")

    def require(self, condition: bool, what: str) -> None:
        """Raise FileFormatError, saying what was expected of the whole, unless `condition` holds."""
        if not condition:
            raise FileFormatError(f"{self._what}: expected {what}; the file is damaged")

    def _list(self, field: str, fits: Any, what: str) -> list[Any]:
        value = self.raw(field)
        fitting = isinstance(value, list | tuple) and all(fits(item) for item in value)
        return list(self._checked(field, fitting, what))

    def _checked(self, field: str, fits: bool, expected: str) -> Any:
        value = self.raw(field)
        if not fits:
            raise FileFormatError(
                f"{self._what}: the field {field} is {quoted(repr(value))}, expected {expected}; the file is damaged"
            )
        return value


_READERS: dict[Any, Callable[[SavedState, str], Any]] = {
    str: SavedState.text,
    tuple[str, ...]: SavedState.texts,
    float: SavedState.number,
    int: SavedState.count,
    bool: SavedState.flag,
    Decimal | None: SavedState.decimal,
}


def is_decimal(value: object) -> bool:
    """Whether a value is a decimal mark, or None."""
    return value is None or value in (".", ",")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False
