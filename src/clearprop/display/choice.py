"""Which display fits the place where the program runs."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from clearprop.display.display import Display
from clearprop.display.live import LiveDisplay
from clearprop.display.notebook import NotebookDisplay, in_notebook
from clearprop.display.plain import PlainDisplay
from clearprop.errors import SettingsError

MODES = ("auto", "live", "plain", "notebook", "quiet")
"""How progress can be shown."""


def progress(mode: str | bool = "auto", stream: TextIO | None = None) -> Display | None:
    """Return a listener that shows how a fit goes, or None when nothing is to be shown.

    Args:
        mode: "live", "plain" or "notebook"; "auto" (or True) is the notebook in a Jupyter kernel, live in a
            terminal and plain elsewhere; "quiet" (or False) is None.
        stream: where lines go; stderr when None, so that stdout stays free for results.

    Raises:
        SettingsError: there is no such mode, or "notebook" is asked for without IPython.
    """
    mode = {True: "auto", False: "quiet"}[mode] if isinstance(mode, bool) else mode
    if mode not in MODES:
        raise SettingsError(f"progress is one of {', '.join(MODES)}, or True or False; received {mode!r}")
    if mode == "auto":
        mode = _fitting(stream)
    if mode == "quiet":
        return None
    if mode == "notebook":
        return NotebookDisplay()
    target = stream or sys.stderr
    if target is None:  # a program without a console, such as a Windows service
        return None
    if mode == "plain":
        return PlainDisplay(target)
    from rich.console import Console  # noqa: PLC0415 - 25 ms that only a terminal needs

    return LiveDisplay(Console(file=target))


def _fitting(stream: TextIO | None) -> str:
    if stream is None and in_notebook():
        return "notebook"
    target = stream or sys.stderr
    terminal = target is not None and target.isatty()
    return "live" if terminal and os.environ.get("TERM", "").lower() not in ("dumb", "unknown") else "plain"
