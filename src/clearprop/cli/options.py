"""Options that several commands share, their types, and the configuration file."""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from clearprop.compile import BACKENDS, DEFAULT_BACKEND
from clearprop.data.image_settings import BAD_IMAGES, COLORS, DEFAULT_MEMORY, LAYOUTS, RESIZES
from clearprop.errors import SettingsError

Function = TypeVar("Function", bound=Callable[..., Any])


if TYPE_CHECKING:
    _Type = click.ParamType[Any]
else:
    _Type = click.ParamType  # click 8.1 cannot subscript it


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


class Names(_Type):
    """Names separated by commas."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Return the names."""
        if isinstance(value, tuple):
            return value
        return tuple(item.strip() for item in str(value).split(",") if item.strip())


class Size(_Type):
    """A size of images: "32", or height and width as "28x40"."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Return one number, or (height, width)."""
        if isinstance(value, tuple):
            return value
        words = str(value).lower().split("x")
        if len(words) > 2 or not all(word.isdecimal() and int(word) for word in words):
            self.fail(
                f"{value!r} is not a size: write one number such as 32, or height x width such as 28x40", param, ctx
            )
        return tuple(map(int, words))


class Finite(click.FloatRange):
    """A number in a range, neither NaN nor infinite."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


RUN = click.Path(exists=True, path_type=Path)
"""The folder of a run, or a model file."""


FILE = click.Path(dir_okay=False, path_type=Path)
"""A file to be written."""


def backend_option(function: Function) -> Function:
    """Add what runs the programs."""
    return click.option(
        "--backend",
        type=click.Choice([DEFAULT_BACKEND, *BACKENDS]),
        default=DEFAULT_BACKEND,
        show_default=True,
        help="native is machine code, reference NumPy; auto is native wherever it runs.",
    )(function)


def text_file_options(function: Function) -> Function:
    """Add how to read a text file."""
    for option in (
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
        click.option(
            "--size", type=Size(), metavar="N|HxW", help="Bring all images to this size.  [default: as they are]"
        ),
        click.option(
            "--resize",
            type=click.Choice(RESIZES),
            default=RESIZES[0],
            show_default=True,
            help="How: stretch them, crop the longer side, or pad the shorter one with black.",
        ),
        click.option("--color", type=click.Choice(COLORS), default=COLORS[0], show_default=True),
        click.option(
            "--memory",
            type=click.IntRange(0),
            default=DEFAULT_MEMORY,
            show_default=True,
            metavar="BYTES",
            help="Larger sets of images are kept in temporary files.",
        ),
    ):
        function = option(function)
    return layout_option(function)


def layout_option(function: Function) -> Function:
    """Add how arrays of images come."""
    return click.option(
        "--layout",
        type=click.Choice(LAYOUTS),
        default=LAYOUTS[0],
        show_default=True,
        help="Of arrays of images: channels last or first.",
    )(function)


def bad_images_option(function: Function) -> Function:
    """Add what happens to images that cannot be used."""
    return click.option(
        "--bad-images",
        type=click.Choice(BAD_IMAGES),
        default=BAD_IMAGES[0],
        show_default=True,
        help="What to do about images that cannot be decoded, or are of another size.",
    )(function)


def read_config(ctx: click.Context, param: click.Parameter, path: Path | None) -> Path | None:
    """Take the values of a TOML file as the defaults of the command's options.

    Raises:
        SettingsError: the file is not TOML, or has a key that is no option.
    """
    if path is None:
        return None
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not a TOML file: {error}") from error
    known = {parameter.name or "": parameter for parameter in ctx.command.params}
    known = {name: parameter for name, parameter in known.items() if name not in ("config", "resume", "help")}
    values: dict[str, Any] = {}
    for key, value in content.items():
        name = key.replace("-", "_")
        if name not in known:
            raise SettingsError(f"{path}: there is no option {key!r}{_suggestion(name, known)}")
        flag = isinstance(known[name], click.Option) and getattr(known[name], "is_flag", False)
        values[name] = value if flag and isinstance(value, bool) else _as_text(path, key, value)
    ctx.default_map = values
    return path


def _suggestion(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1)
    if near:
        return f"; did you mean {near[0].replace('_', '-')!r}?"
    return f"; the options are {', '.join(sorted(name.replace('_', '-') for name in known))}"


def _as_text(path: Path, key: str, value: Any) -> str:
    """Bring a value to what would be typed, so that one place checks both."""
    if isinstance(value, list) and all(isinstance(item, (str, int)) and not isinstance(item, bool) for item in value):
        return ",".join(str(item) for item in value) or "none"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise SettingsError(f"{path}: {key} is a {type(value).__name__}; write a number, a text or a list")
