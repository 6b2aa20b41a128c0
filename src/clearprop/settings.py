"""What the settings of describable things may be: each field says it once, next to its default.

::

    @dataclass(frozen=True)
    class LeakyReLU(Activation):
        slope: float = real(0.01, "[0, inf)")

`check_settings` raises for a value outside of it, and the tables of the tests read the same words.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from clearprop.errors import SettingsError

_KEY = "allowed"


@dataclass(frozen=True)
class Allowed:
    """The values that a setting may have.

    Attributes:
        words: what the message says it is, such as "lies in [0, 1)".
        holds: whether a value is allowed.
        wrong: some values that are not.
        choices: the words among which it is one; empty for other kinds of values.
        read: turns what is typed on a command line into a value; a ValueError says that it is none.
    """

    words: str
    holds: Callable[[Any], bool]
    wrong: tuple[Any, ...]
    choices: tuple[str, ...] = ()
    read: Callable[[str], Any] = str

    def or_else(self, other: str | None) -> Allowed:
        """Return these values and one more: None, or a word such as "auto"."""

        def holds(value: Any) -> bool:
            return value is other or (isinstance(value, str) and value == other) or self.holds(value)

        wrong = tuple(value for value in self.wrong if not holds(value))
        return dataclasses.replace(self, words=f"{self.words}, or {other!r}", holds=holds, wrong=wrong)


def number(interval: str) -> Allowed:
    """Return the finite numbers of an interval such as "[0, 1)" or "(-inf, inf)"."""
    low, high = _ends(interval)
    outside = [end for end in (low - 1, low, high, high + 1) if not within(end, interval)]
    wrong = (*outside, math.nan, math.inf, True, "1", None)
    return Allowed(f"lies in {interval}", lambda value: within(value, interval), wrong, read=float)


def within(value: Any, interval: str) -> bool:
    """Tell whether a value is a finite number in an interval such as "[0, 1)"."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return False
    low, high = _ends(interval)
    above = low <= value if interval[0] == "[" else low < value
    return above and (value <= high if interval[-1] == "]" else value < high)


def _ends(interval: str) -> tuple[float, float]:
    low, high = interval[1:-1].split(",")
    return float(low), float(high)


def whole_number(least: int) -> Allowed:
    """Return the whole numbers of at least `least`."""

    def holds(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and value >= least

    wrong = (least - 1, least + 0.5, True, "2", None)
    return Allowed(f"is a whole number of at least {least}", holds, wrong, read=int)


def word(*words: str) -> Allowed:
    """Return some words."""
    named = ", ".join(map(repr, words[:-1])) + f" or {words[-1]!r}"
    return Allowed(f"is {named}", lambda value: isinstance(value, str) and value in words, ("?", 1, None), words)


def field(allowed: Allowed, default: Any = dataclasses.MISSING) -> Any:
    """Return a dataclass field whose values are limited; without a default it must be given."""
    return dataclasses.field(default=default, metadata={_KEY: allowed})


def real(default: float, interval: str) -> Any:
    """Return a field that holds a finite number in an interval such as "[0, 1)" or "(-inf, inf)"."""
    return field(number(interval), default)


def whole(default: Any, least: int) -> Any:
    """Return a field that holds a whole number of at least `least`."""
    return field(whole_number(least), default)


def choice(default: str, *others: str) -> Any:
    """Return a field that holds one of some words, the first by default."""
    return field(word(default, *others), default)


def flag(default: bool) -> Any:
    """Return a field that is True or False."""
    return field(Allowed("is True or False", lambda value: isinstance(value, bool), (1, "yes", None)), default)


def limits(thing: Any) -> dict[str, Allowed]:
    """Return what each limited field of a dataclass (or of an instance) may be, by its name."""
    return {item.name: item.metadata[_KEY] for item in dataclasses.fields(thing) if _KEY in item.metadata}


def check_settings(thing: Any) -> None:
    """Raise `SettingsError` unless every limited field of a dataclass instance has an allowed value.

    NumPy's numbers count as Python's; in a frozen instance, whose fields make names and shapes, they become these.
    """
    for name, allowed in limits(thing).items():
        given = getattr(thing, name)
        value = given.item() if isinstance(given, np.generic) else given
        check_value(type(thing).__name__, name, allowed, value)
        if value is not given and type(thing).__dataclass_params__.frozen:
            object.__setattr__(thing, name, value)


def check_value(owner: str, name: str, allowed: Allowed, value: Any) -> None:
    """Raise `SettingsError` unless a value is allowed; the message says of what, and what came."""
    if not allowed.holds(value):
        raise SettingsError(f"{owner}: {name} {allowed.words}, received {value!r}")
