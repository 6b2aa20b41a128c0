"""Networks described in a TOML file: the hidden layers, in the words of model files."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from clearprop.description import build, nearest
from clearprop.errors import FileFormatError, SettingsError
from clearprop.model.loading import known
from clearprop.nn import Layer

_KEY = "layer"


def read_network(path: Path) -> tuple[dict[str, Any], ...]:
    """Return the descriptions of the layers in a TOML file, one table ``[[layer]]`` each.

    A table names its layer by `type` and gives settings by their names; a setting that is itself a layer, a penalty, a
    constraint or an initialiser is a table with a `type` again. No code in the file is ever run.

    Raises:
        SettingsError: the file is not TOML (the line is named), holds something else, or describes a layer that there
            is not, or with settings that do not fit (its number is named, from 1).
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read as TOML: {error}") from error
    entries = content.get(_KEY)
    if set(content) != {_KEY} or not isinstance(entries, list):
        found = ", ".join(map(repr, content)) or "nothing"
        raise SettingsError(f"{path} describes a network by tables [[{_KEY}]] and nothing else, and holds {found}")
    for number, entry in enumerate(entries, 1):
        try:
            _check(entry)
        except (FileFormatError, SettingsError) as error:
            raise SettingsError(f"{path}, layer {number}: {error}") from error
    return tuple(entries)


def layers_of(descriptions: Sequence[Mapping[str, Any]]) -> list[Layer]:
    """Return the layers that were described."""
    kinds = known()
    return [build(dict(description), kinds) for description in descriptions]


def _check(entry: Any) -> None:
    """Raise for an entry that is not the description of a layer."""
    kinds = known()
    layers = [name for name, kind in kinds.items() if isinstance(kind, type) and issubclass(kind, Layer)]
    for name in _types(entry):
        if name not in kinds:
            raise SettingsError(f"there is no {name!r}{nearest(str(name), kinds)}")
    if not isinstance(entry, dict) or entry.get("type") not in layers:
        raise SettingsError(f"a layer is a table with its type, such as 'Conv2D' or 'Dense', received {entry!r}")
    layers_of([entry])


def _types(description: Any) -> Iterator[Any]:
    """Yield every type that a description names."""
    if isinstance(description, dict):
        if "type" in description:
            yield description["type"]
        for value in description.values():
            yield from _types(value)
    if isinstance(description, list):
        for item in description:
            yield from _types(item)
