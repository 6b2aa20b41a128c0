"""Descriptions: layers, losses and optimisers as plain JSON data and back, without running any code.

A describable thing is a frozen dataclass. Its description is its class name and its fields; only the classes
that the reader names are ever made from one.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from clearprop.errors import FileFormatError, MissingNameError, SettingsError

T = TypeVar("T")

_VARIOUS = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def describe(thing: Any, names: dict[str, Any] | None = None) -> Any:
    """Return JSON data for numbers, strings, sequences, functions (by name) and frozen dataclasses.

    Args:
        thing: what to describe.
        names: the functions and classes described so far, by name, for several things in one file; it is added to.

    Raises:
        SettingsError: the thing cannot be described, or two functions or classes in it have one name.
    """
    names = {} if names is None else names
    if thing is None or isinstance(thing, (bool, int, float, str)):
        return thing
    if isinstance(thing, (tuple, list)):
        return [describe(item, names) for item in thing]
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        fields = {field.name: describe(getattr(thing, field.name), names) for field in dataclasses.fields(thing)}
        return {"type": _name(type(thing), names)} | fields
    if callable(thing) and hasattr(thing, "__name__"):
        return {"function": _name(thing, names)}
    raise SettingsError(
        f"{thing!r} cannot be written to a file; use a frozen dataclass, a named function, numbers and strings"
    )


def _name(thing: Any, names: dict[str, Any]) -> str:
    """Return the name of a function or class, by which a reader will know it."""
    name = str(thing.__name__)
    if name == "<lambda>":
        raise SettingsError(
            "a lambda cannot be written to a file, which keeps functions by name: write it as a function with `def`"
        )
    if names.setdefault(name, thing) != thing:
        raise SettingsError(
            f"two different functions or classes are named {name!r}, and a file, which keeps them by name, cannot tell "
            "them apart: give each a name of its own, or write one class, a dataclass with what differs in a field"
        )
    return name


def build(description: Any, known: Mapping[str, Callable[..., Any]]) -> Any:
    """Make the thing that `describe` described, from the `known` classes and functions by name.

    Raises:
        FileFormatError: the description names something that is not known, or has fields that do not fit.
    """
    if isinstance(description, list):
        return tuple(build(item, known) for item in description)
    if not isinstance(description, dict):
        return description
    name = str(description.get("type", description.get("function")))
    if name not in known:
        raise FileFormatError(
            f"the file describes {name!r}, which is not known here; pass it by name to load: custom={{{name!r}: ...}}"
        )
    if "type" not in description:
        return known[name]
    fields = {key: build(value, known) for key, value in description.items() if key != "type"}
    try:
        _check_names(name, known[name], fields)
        return known[name](**fields)
    except (TypeError, AttributeError, SettingsError) as error:
        raise FileFormatError(f"the file's description of {name} does not fit: {error}") from error


def _check_names(name: str, kind: Callable[..., Any], fields: Mapping[str, Any]) -> None:
    """Raise a SettingsError for settings that a class does not have, or needs and did not get."""
    parameters = [item for item in inspect.signature(kind).parameters.values() if item.kind not in _VARIOUS]
    known = [item.name for item in parameters]
    for field in fields:
        if field not in known:
            raise SettingsError(f"there is no setting {field!r}; there are {', '.join(known) or 'none'}")
    missing = [item.name for item in parameters if item.default is item.empty and item.name not in fields]
    if missing:
        raise SettingsError(f"{', '.join(missing)} must be given")


def brief(thing: Any) -> str:
    """Return a description for people: the fields of a dataclass that are not at their defaults.

    `Dense(8, 'relu')` instead of all seven fields; the first fields, as long as none is left out, without names.
    """
    if isinstance(thing, (tuple, list)):
        return "[" + ", ".join(brief(item) for item in thing) + "]"
    if not dataclasses.is_dataclass(thing) or isinstance(thing, type):
        return getattr(thing, "__name__", None) or repr(thing)
    words, positional = [], True
    for field in dataclasses.fields(thing):
        value = getattr(thing, field.name)
        if value == field.default:
            positional = False
        else:
            words.append(brief(value) if positional else f"{field.name}={brief(value)}")
    return f"{type(thing).__name__}({', '.join(words)})"


def choose(choice: str | T, kind: type[Any], known: Mapping[str, Callable[[], T]], what: str) -> T:
    """Return the thing of a name, with its defaults, or one of its kind as it is.

    Raises:
        SettingsError: there is no such name; the message gives the nearest, and lists those there are.
    """
    if isinstance(choice, str) and choice in known:
        return known[choice]()
    if not isinstance(choice, str) and isinstance(choice, kind):
        return choice
    if isinstance(choice, type) and issubclass(choice, kind):
        raise SettingsError(f"the {what} is the class {choice.__name__}: make one of it, {choice.__name__}(...)")
    raise SettingsError(f"there is no {what} {choice!r}{instead(choice, known)}, or give a {kind.__name__}")


def instead(choice: object, known: Iterable[str], ask: str = "choose one of", shown: str = "") -> str:
    """Return the end of a message on a name that is not known: the nearest, if one is near, and all there are.

    `shown` is how these are written, if not as they are.
    """
    near = nearest(choice, known) if isinstance(choice, str) else ""
    return f"{f'{near} There are' if near else f'; {ask}'} {shown or ', '.join(known)}"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of a message that asks for the known name nearest to one that is not; empty if none is near."""
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


class ByName(dict[str, T]):
    """Things by name; `MissingNameError` for a name that there is not, with those that there are.

    Args:
        things: the things.
        lacking: the beginning of the message, such as "layer dense1 has no parameter".
        hints: the end of it for some names, in place of the list.
    """

    def __init__(self, things: Mapping[str, T], lacking: str, hints: Mapping[str, str] | None = None) -> None:
        super().__init__(things)
        self.lacking, self.hints = lacking, hints or {}

    def __missing__(self, name: str) -> T:
        rest = self.hints.get(name) or (instead(name, self) if self else ": there are none")
        raise MissingNameError(f"{self.lacking} {name!r}{rest}")
