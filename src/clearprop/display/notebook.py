"""A cell's output that is updated in place."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable
from html import escape
from typing import Any

from clearprop.display.display import Display
from clearprop.display.live import FEW_EPOCHS
from clearprop.display.tracker import Part, Tracker
from clearprop.errors import SettingsError
from clearprop.train.events import EpochEnded, Event, FitStarted, Progressed

_REFRESH_SECONDS = 0.2


def in_notebook() -> bool:
    """Tell whether this process is a Jupyter kernel; without IPython loaded it is not."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    return shell is not None and "IPKernelApp" in getattr(shell, "config", {})


class View:
    """What a notebook shows: HTML, and the same as text where there is no HTML."""

    def __init__(self, html: str, text: str) -> None:
        self.html = html
        self.text = text

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.text


class NotebookDisplay(Display):
    """One output under the cell, updated in place: a bar, where the fit stands, and up to 20 epochs, a line each.

    Raises:
        SettingsError: IPython is not installed.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        try:
            self._display: Callable[..., Any] = importlib.import_module("IPython.display").display
        except ImportError as error:
            raise SettingsError(
                "progress='notebook' needs IPython, which is not installed; use progress='plain'"
            ) from error
        self.clock = clock
        self.tracker = Tracker(clock)
        self._handle: Any = None
        self._shown = clock()
        self._epochs: list[str] = []

    def __call__(self, event: Event) -> None:
        """Bring the output up to date, a few times a second at most."""
        if isinstance(event, FitStarted):
            self.tracker, self._epochs, self._shown = Tracker(self.clock), [], self.clock()
            self.tracker(event)
            self._handle = self._display(self.view(), display_id=True)
            return
        if self._handle is None:
            return
        self.tracker(event)
        if isinstance(event, EpochEnded):
            self._epochs.append(_joined(self.tracker.epoch_line()))
        due = self.clock() - self._shown >= _REFRESH_SECONDS
        if self.tracker.over:
            self.close()
        elif isinstance(event, (EpochEnded, Progressed)) and due:
            self._shown = self.clock()
            self._handle.update(self.view())

    def close(self) -> None:
        """Show where the fit stands a last time."""
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.update(self.view())

    def view(self) -> View:
        """What should be shown now."""
        tracker, fit = self.tracker, self.tracker.started
        kept = self._epochs if fit is not None and fit.epochs <= FEW_EPOCHS else []
        line = _joined(tracker.closing() if tracker.ended else [tracker.head(), *tracker.running()])
        bar = "" if tracker.ended or fit is None else f'<progress value="{tracker.step}" max="{fit.total_steps}">'
        bar = bar and bar + "</progress> "
        rows = "".join(f"<div>{escape(text)}</div>" for text in kept)
        html = f'<div style="font-family: monospace; white-space: pre-wrap">{rows}<div>{bar}{escape(line)}</div></div>'
        return View(html, "\n".join([*kept, line]))


def _joined(parts: list[Part]) -> str:
    return "  ".join(part.text for part in parts)
