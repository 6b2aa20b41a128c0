"""Plain lines for pipes and log files: no control codes, every line flushed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

from clearprop.display.display import Display
from clearprop.display.tracker import Part, Tracker
from clearprop.train.events import EpochEnded, Event, FitStarted, Progressed

_EPOCH_SECONDS = 1.0
_WITHIN_EPOCH_SECONDS = 60.0


class PlainDisplay(Display):
    """A line an epoch, but of epochs quicker than a second about a line a second, the first and the last.

    Within an epoch that takes minutes there is a line a minute.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self.stream = stream
        self.clock = clock
        self.tracker = Tracker(clock)
        self._written = clock()
        self._any_epoch = False
        self._pending: str | None = None
        self._closed = True

    def __call__(self, event: Event) -> None:
        """Write a line, if the event asks for one and the last is not too new."""
        if isinstance(event, FitStarted):
            self._open()
        if self._closed:
            return
        self.tracker(event)
        if isinstance(event, FitStarted):
            self._write(self.tracker.opening())
        elif isinstance(event, EpochEnded):
            self._pending = _joined([*self.tracker.epoch_line(), *self._speed(event)])
            if not self._any_epoch or self.clock() - self._written >= _EPOCH_SECONDS:
                self._write_pending()
        elif isinstance(event, Progressed) and self.clock() - self._written >= _WITHIN_EPOCH_SECONDS:
            done = Part(f"{self.tracker.fraction:.0%}")
            self._write(_joined([self.tracker.head(), done, *self.tracker.running()]))
        if self.tracker.over:
            self.close()

    def close(self) -> None:
        """Write the last epoch, if it was held back, and how the fit ended, if it did."""
        if self._closed:
            return
        self._closed = True
        self._write_pending()
        if self.tracker.ended is not None:
            self._write(_joined(self.tracker.closing()))

    def _open(self) -> None:
        self.close()
        self.tracker = Tracker(self.clock)
        self._closed, self._any_epoch, self._pending = False, False, None

    def _speed(self, event: EpochEnded) -> list[Part]:
        wanted = [part for part in self.tracker.running() if part.text.startswith("ETA") or part.text.endswith("/s")]
        fit = self.tracker.started
        left = fit is not None and event.step < fit.total_steps
        return [part for part in wanted if left or not part.text.startswith("ETA")]

    def _write_pending(self) -> None:
        if self._pending is not None:
            line, self._pending, self._any_epoch = self._pending, None, True
            self._write(line)

    def _write(self, line: str) -> None:
        self._written = self.clock()
        self.stream.write(_printable(line, self.stream) + "\n")
        self.stream.flush()


def _joined(parts: list[Part]) -> str:
    return "  ".join(part.text for part in parts)


def _printable(line: str, stream: TextIO) -> str:
    """Drop control characters, and what the stream's encoding cannot write."""
    clean = "".join(character if character.isprintable() else " " for character in line)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return clean.encode(encoding, "replace").decode(encoding)
