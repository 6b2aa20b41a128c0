"""What the commands print: aligned tables and figures, plain text, results on stdout and notes on stderr."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence

import click
from rich.cells import cell_len, set_cell_size

from clearprop.data import printable

_NARROWEST = 6


def note(text: str = "") -> None:
    """Say something on stderr."""
    click.echo(_clean(text), err=True)


def result(text: str = "") -> None:
    """Print something on stdout."""
    click.echo(_clean(text))


def _clean(text: str) -> str:
    """Escape what could steer a terminal; line breaks are ours."""
    return "\n".join(printable(line, len(line)) for line in text.split("\n"))


def width_of(stream_is_stderr: bool = False) -> int | None:
    """Return how many columns the terminal has, or None when the stream is not one."""
    stream = sys.stderr if stream_is_stderr else sys.stdout
    return max(shutil.get_terminal_size().columns, 20) if stream.isatty() else None


def table(rows: Sequence[Sequence[object]], right: Iterable[int] = (), width: int | None = None) -> str:
    """Return rows, the first of them the heading, as aligned columns.

    Args:
        rows: the cells; each is made printable.
        right: the columns that are aligned to the right.
        width: the terminal's width; the widest columns are cut until the table fits it. None cuts nothing.
    """
    cells = [[printable(cell, 200) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    _shrink(widths, width)
    aligned = set(right)
    lines = ["  ".join(_cell(text, widths[i], i in aligned) for i, text in enumerate(row)).rstrip() for row in cells]
    return "\n".join(line if width is None else _cut(line, width) for line in lines)


def _shrink(widths: list[int], width: int | None) -> None:
    room = None if width is None else width - 2 * (len(widths) - 1)
    while room is not None and sum(widths) > room and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1


def _cell(text: str, width: int, right: bool) -> str:
    text = _cut(text, width)
    return " " * (width - cell_len(text)) + text if right else set_cell_size(text, width)


def _cut(text: str, width: int) -> str:
    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"


def number(value: float | None) -> str:
    """Return a figure with four significant digits, in full where it is large, and "-" for none."""
    if value is None:
        return "-"
    if not math.isfinite(value):
        return str(value)
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:#.4g}" if value else "0"


def figures(values: Mapping[str, float], title: str, width: int | None = None) -> str:
    """Return named figures as a table of two columns."""
    return table(
        [(title, ""), *((name.replace("_", " "), number(value)) for name, value in values.items())], {1}, width
    )
