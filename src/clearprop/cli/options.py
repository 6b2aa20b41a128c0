"""Options that several commands share, their types, and the configuration file."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from clearprop.cli.network_file import read_network
from clearprop.compile import BACKENDS, DEFAULT_BACKEND
from clearprop.data import ImageSettings
from clearprop.description import instead, nearest
from clearprop.errors import SettingsError
from clearprop.settings import Allowed, limits

Function = TypeVar("Function", bound=Callable[..., Any])


if TYPE_CHECKING:
    _Type = click.ParamType[Any]
    _Choice = click.Choice[str]
else:
    _Type, _Choice = click.ParamType, click.Choice  # click 8.1 cannot subscript them


class Word(_Choice):
    """One of some words; one that is near to one of them gets a suggestion."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the word."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            if nearest(str(value), self.choices):
                self.fail(f"there is no {value!r}{instead(str(value), self.choices)}", param, ctx)
            raise


class Widths(_Type):
    """Widths of hidden layers: "128,64", or "none" for no hidden layer."""

    name = "widths"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Return the widths."""
        if isinstance(value, tuple):
            return value
        if str(value).strip().lower() in ("none", ""):
            return ()
        try:
            widths = tuple(int(item) for item in str(value).split(","))
        except ValueError:
            widths = (0,)
        if min(widths) < 1:
            self.fail(f"{value!r} is not a list of widths: write whole numbers such as 128,64, or none", param, ctx)
        return widths


class NetworkFile(_Type):
    """A TOML file that describes hidden layers; what is kept is what it says."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        """Return the descriptions of the layers."""
        return value if isinstance(value, tuple) else read_network(Path(value))


class Trained(click.Path):
    """A run or a model file to start from; its absolute path is kept."""

    def __init__(self) -> None:
        super().__init__(exists=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the path."""
        return str(Path(os.fsdecode(super().convert(value, param, ctx))).absolute())


class Limited(_Type):
    """A value that a setting may have."""

    def __init__(self, allowed: Allowed) -> None:
        self.allowed, self.name = allowed, "value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value."""
        try:
            read = self.allowed.read(value) if isinstance(value, str) else value
        except ValueError:
            read = value
        if not self.allowed.holds(read):
            words = self.allowed.words.removesuffix(", or None")  # which nobody can type
            self.fail(f"it {words}, received {value!r}", param, ctx)
        return read


def setting_option(
    owner: type, flag: str, type_: click.ParamType[Any] | None = None, **more: Any
) -> Callable[[Function], Function]:
    """Return the option of a limited field of a dataclass: its default, and what it may be."""
    name = flag.removeprefix("--").replace("-", "_")
    allowed = limits(owner)[name]
    kind = type_ or (Word(allowed.choices) if allowed.choices else Limited(allowed))
    default = next(item.default for item in fields(owner) if item.name == name)
    return click.option(flag, type=kind, default=default, show_default=default not in (None, ()), **more)


_of_images = partial(setting_option, ImageSettings)

RUN = click.Path(exists=True, path_type=Path)
"""The folder of a run, or a model file."""


FILE = click.Path(dir_okay=False, path_type=Path)
"""A file to be written."""


def backend_option(function: Function) -> Function:
    """Add what runs the programs."""
    return click.option(
        "--backend",
        type=Word([DEFAULT_BACKEND, *BACKENDS]),
        default=DEFAULT_BACKEND,
        show_default=True,
        help="native is machine code, reference NumPy; auto is native wherever it runs.",
    )(function)


def data_dir_option(function: Function) -> Function:
    """Add where the files of a bundled set are."""
    return click.option("--data-dir", metavar="DIR", help="The folder that holds the files of a bundled set.")(function)


def text_file_options(function: Function) -> Function:
    """Add how to read a text file."""
    for option in (
        click.option(
            "--header", is_flag=True, help="The first line of a text file holds names, numbers as they may be."
        ),
        click.option("--no-header", is_flag=True, help="The first line of a text file holds values, not names."),
        click.option("--encoding", metavar="NAME", help="The encoding of a text file.  [default: detected]"),
        click.option(
            "--delimiter", metavar="CHAR", help="What separates the values of a text file.  [default: detected]"
        ),
    ):
        function = option(function)
    return function


def image_options(function: Function) -> Function:
    """Add how images are read."""
    for option in (
        bad_images_option,
        _of_images("--memory", metavar="BYTES", help="Larger sets of images are kept in temporary files."),
        _of_images("--color"),
        _of_images("--resize", help="How: stretch them, crop the longer side, or pad the shorter one with black."),
        _of_images("--size", metavar="N|HxW", help="Bring all images to this size.  [default: as they are]"),
    ):
        function = option(function)
    return layout_option(function)


def layout_option(function: Function) -> Function:
    """Add how arrays of images come."""
    return _of_images("--layout", help="Of arrays of images: channels last or first.")(function)


def bad_images_option(function: Function) -> Function:
    """Add what happens to images that cannot be used."""
    words = "What to do about images that cannot be decoded, or are of another size."
    return _of_images("--bad-images", help=words)(function)


def given_options(ctx: click.Context) -> list[str]:
    """Return the options that were typed or stand in the configuration file, also if they say what is usual."""
    sources = (ParameterSource.COMMANDLINE, ParameterSource.DEFAULT_MAP)
    given = [name for name in ctx.params if ctx.get_parameter_source(name) in sources]
    return [name for name in given if ctx.params[name] is not False]


_TYPED = ("config", "resume", "help")
"""Options that a configuration file cannot give."""


def read_config(ctx: click.Context, param: click.Parameter, path: Path | None) -> Path | None:
    """Take the values of a TOML file as the defaults of the command's options.

    Raises:
        SettingsError: the file is not TOML, has a key that is no option, or a value that its option does not take.
    """
    if path is None:
        return None
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not a TOML file: {error}") from error
    known = {parameter.name or "": parameter for parameter in ctx.command.params}
    known = {name: parameter for name, parameter in known.items() if name not in _TYPED}
    values: dict[str, Any] = {}
    for key, value in content.items():
        name = key.replace("-", "_")
        if name in _TYPED:
            raise SettingsError(f"{path}: {key} is for the command line alone: type {flags([name])} there")
        if name not in known:
            raise SettingsError(f"{path}: there is no option {key!r}{_suggestion(name, known)}")
        flag = isinstance(known[name], click.Option) and getattr(known[name], "is_flag", False)
        values[name] = value if flag and isinstance(value, bool) else _as_text(path, key, value)
        try:
            known[name].type_cast_value(ctx, values[name])
        except (click.BadParameter, SettingsError) as error:
            raise SettingsError(f"{path}: {key}: {error}") from error
    ctx.default_map = values
    return path


def flags(names: Iterable[str]) -> str:
    """Return options as they are typed, given as parameters are called."""
    return ", ".join(f"--{name.replace('_', '-')}" for name in names)


def _suggestion(name: str, known: Iterable[str]) -> str:
    options = sorted(option.replace("_", "-") for option in known)
    return nearest(name.replace("_", "-"), options) or f"; the options are {', '.join(options)}"


def _as_text(path: Path, key: str, value: Any) -> str:
    """Bring a value to what would be typed, so that one place checks both."""
    if isinstance(value, list) and all(isinstance(item, (str, int)) and not isinstance(item, bool) for item in value):
        return ",".join(str(item) for item in value) or "none"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise SettingsError(f"{path}: {key} is {value!r}; write a number, a text, or a list of texts or whole numbers")
