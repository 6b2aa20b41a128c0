"""The live line of a terminal."""

from __future__ import annotations

import atexit
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from clearprop.display.display import Display
from clearprop.display.tracker import Part, Tracker, fit_parts
from clearprop.train.events import EpochEnded, Event, FitStarted, Progressed

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

FEW_EPOCHS = 20
"""Up to so many epochs each leaves a line of its own above the live one."""

_REFRESH_SECONDS = 0.1
_LONGEST_BAR, _SHORTEST_BAR = 24, 6


class LiveDisplay(Display):
    """One line that is written again in its place: epoch, bar, samples a second, time left, loss, last metrics.

    A fit of up to `FEW_EPOCHS` epochs leaves a line an epoch above it; a longer one leaves the last line alone. In
    a narrow terminal the least important parts are left out, so that the line never wraps. What the program prints
    meanwhile appears above the line, and what it prints to a stdout that is no terminal stays out of it.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = console
        self.clock = clock
        self.tracker = Tracker(clock)
        self._live: Live | None = None
        self._shown = -_REFRESH_SECONDS

    def __call__(self, event: Event) -> None:
        """Bring the line up to date, a few times a second at most."""
        if isinstance(event, FitStarted):
            self.close()
            self.tracker = Tracker(self.clock)
            self.tracker(event)
            self._open()
            return
        self.tracker(event)
        if self._live is None:
            return
        if isinstance(event, EpochEnded):
            self._keep_epoch(self._live)
        due = self.clock() - self._shown >= _REFRESH_SECONDS
        if self.tracker.over:
            self.close()
        elif isinstance(event, (EpochEnded, Progressed)) and due:
            self._shown = self.clock()
            self._live.update(self.line(), refresh=True)

    def close(self) -> None:
        """Leave the last line (that of the fit's end, if there was one) and give the cursor back."""
        live, self._live = self._live, None
        if live is None:
            return
        atexit.unregister(self.close)
        live.update(self.line())
        live.stop()

    def line(self) -> Text:
        """The line as it should be now, no wider than the terminal."""
        width = max(self.console.width - 1, 1)
        tracker = self.tracker
        if tracker.ended is not None:
            closing = fit_parts(_cropped_causes(tracker.closing(), width), width)
            return self._text(closing, width)
        parts = fit_parts([tracker.head(), Part(" " * _SHORTEST_BAR, 3, "bar"), *tracker.running()], width)
        room = width - sum(len(part.text) for part in parts) - 2 * (len(parts) - 1)
        bar = self._bar(min(_SHORTEST_BAR + room, _LONGEST_BAR))
        return self._text([bar if part.style == "bar" else part for part in parts], width)

    def _bar(self, length: int) -> Part:
        ascii_only = not (self.console.encoding or "").lower().startswith("utf")
        full, empty = ("#", "-") if ascii_only else ("━", "╌")
        done = int(self.tracker.fraction * length)
        return Part(full * done + empty * (length - done), 3, "green")

    def _text(self, parts: list[Part], width: int) -> Text:
        from rich.text import Text  # noqa: PLC0415 - rich takes 25 ms, and only a terminal needs it

        text = Text("  ", end="", no_wrap=True, overflow="crop").join([Text(part.text, part.style) for part in parts])
        text.truncate(width, overflow="crop" if self.console.options.ascii_only else "ellipsis")
        return text

    def _open(self) -> None:
        from rich.live import Live  # noqa: PLC0415 - as above

        self._live = Live(
            self.line(),
            console=self.console,
            auto_refresh=False,
            redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
            redirect_stderr=True,
            vertical_overflow="crop",
        )
        atexit.register(self.close)
        self._live.start(refresh=True)

    def _keep_epoch(self, live: Live) -> None:
        fit = self.tracker.started
        if fit is None or fit.epochs > FEW_EPOCHS:
            return
        width = max(self.console.width - 1, 1)
        live.update(self.line())  # printing writes the live line again, which should not be an old one
        live.console.print(self._text(fit_parts(self.tracker.epoch_line(), width), width), highlight=False)


def _cropped_causes(parts: list[Part], width: int) -> list[Part]:
    """Shorten the highest-ranked part (a cause, a sentence long) to the room that the others leave."""
    longest = max(parts, key=lambda part: part.rank, default=None)
    if longest is None or longest.rank < 7:
        return parts
    room = width - sum(len(part.text) + 2 for part in parts if part is not longest)
    if room >= len(longest.text) or room < 12:
        return parts
    short = Part(longest.text[: room - 3].rstrip() + "...", longest.rank, longest.style)
    return [short if part is longest else part for part in parts]
