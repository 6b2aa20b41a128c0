"""Which parameters training leaves as they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from clearprop.errors import SettingsError


def patterns_of(frozen: Any) -> tuple[str, ...]:
    """Return the patterns of frozen parameters, one or several; `SettingsError` if they are not words."""
    several = isinstance(frozen, Iterable) and not isinstance(frozen, str | bytes | Mapping)
    patterns = tuple(frozen) if several else (frozen,)
    if not all(isinstance(pattern, str) for pattern in patterns):
        raise SettingsError(
            "Model: frozen is a pattern of names of parameters, such as 'dense1.*', or a list of patterns, received "
            f"{frozen!r}"
        )
    return patterns


def not_frozen(names: Iterable[str], frozen: Sequence[str]) -> tuple[str, ...]:
    """Return the names that no pattern of `frozen` matches; `SettingsError` if a pattern matches none at all."""
    names = tuple(names)
    for pattern in frozen:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise SettingsError(f"the pattern {pattern!r} of frozen parameters matches none of {', '.join(names)}")
    return tuple(name for name in names if not any(fnmatchcase(name, pattern) for pattern in frozen))
