"""Whether a fit that goes on is the one that was begun, and if not, what differs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clearprop.errors import DataError, FileFormatError, SettingsError

_EARLIER = "that of an earlier version"
"""What the guard of a checkpoint does not say."""
_PARTS = ("model", "settings")
"""What the keys below are known by without it."""
_DATA = {"data": "the data, or the weights of its samples,", "validation": "the validation data"}
"""The digests, which tell people nothing, and what they are of."""


def check_guard(path: Path, written: Any, now: Any) -> None:
    """Refuse a checkpoint of another fit.

    Args:
        path: the checkpoint's, for the message.
        written: JSON data that it was written with: settings, and digests of the data.
        now: those of the fit at hand.

    Raises:
        SettingsError: settings differ; each is named, with what it was and what it is.
        DataError: the data alone differ.
        FileFormatError: the checkpoint does not say all of it.
    """
    if written == now:
        return
    if not isinstance(written, dict) or not isinstance(now, dict):
        raise FileFormatError(f"{path} belongs to another run: its settings differ")
    found = list(_differences("", written, now))
    changed = dict.fromkeys(_in_words(*difference) for difference in found)
    kind: type[Exception] = DataError if all(name in _DATA for name, _, _ in found) else SettingsError
    if any(was == _EARLIER for _, was, _ in found):
        kind = FileFormatError
    raise kind(
        f"{path} belongs to another run: {'; '.join(changed)}. "
        "Resume with the settings and data it was started with, or start a new run in another folder"
    )


def _differences(name: str, was: Any, now: Any) -> Iterator[tuple[str, Any, Any]]:
    """Give what differs, as deep inside as one thing is in the place of another of its kind: its name, and both."""
    if was == now:
        return
    if isinstance(was, dict) and isinstance(now, dict) and was.get("type") == now.get("type"):
        lead = f"{name}." if name and name not in _PARTS else ""
        for key in {**was, **now}:
            yield from _differences(f"{lead}{key}", was.get(key, _EARLIER), now.get(key))
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for i, (before, after) in enumerate(zip(was, now, strict=True)):
            yield from _differences(f"{name}[{i}]", before, after)
    else:
        yield name, was, now


def _in_words(name: str, was: Any, now: Any) -> str:
    if name in _DATA and was != _EARLIER:
        if was is None or now is None:
            return f"{_DATA[name]} {'is new' if was is None else 'is left out'}"
        return f"{_DATA[name]} {'has' if name == 'validation' else 'have'} changed"
    return f"{name} was {_brief(was)} and is {_brief(now)}"


def _brief(value: Any) -> str:
    """A description for people: what has settings of its own is called by its kind."""
    if isinstance(value, list):
        return f"[{', '.join(map(_brief, value))}]"
    return str(value["type"]) if isinstance(value, dict) and "type" in value else repr(value)
