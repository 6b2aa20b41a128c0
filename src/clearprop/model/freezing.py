"""Which parameters training leaves as they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from clearprop.errors import SettingsError


def not_frozen(names: Iterable[str], frozen: Sequence[str]) -> tuple[str, ...]:
    """Return the names that no pattern of `frozen` matches; `SettingsError` if a pattern matches none at all."""
    names = tuple(names)
    for pattern in frozen:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise SettingsError(f"the pattern {pattern!r} of frozen parameters matches none of {', '.join(names)}")
    return tuple(name for name in names if not any(fnmatchcase(name, pattern) for pattern in frozen))
