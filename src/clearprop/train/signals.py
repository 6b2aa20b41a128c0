"""Ctrl-C and SIGTERM as requests to stop after the step at hand."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from types import FrameType
from typing import Any

_TWICE = 0.3
"""Seconds after a signal in which another is the same request: who starts a program may pass Ctrl-C on to it, and the
terminal sends it too."""


@dataclass
class StopRequest:
    """Why training should stop: empty, "interrupted" (Ctrl-C) or "terminated" (SIGTERM)."""

    reason: str = ""


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn the first Ctrl-C or SIGTERM into a request; another one, three tenths of a second later, acts as before.

    One that is ignored, as Ctrl-C in `clearprop train ... &` of a script, stays ignored.

    Outside of the main thread signals cannot be caught, and the request stays empty.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    reasons = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
    before: dict[signal.Signals, Any] = {}
    asked = 0.0

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if not request.reason:
            request.reason, asked = reasons[signal.Signals(number)], monotonic()
        elif monotonic() > asked + _TWICE:
            _restore(before)
            signal.raise_signal(number)

    for number in reasons:
        if signal.getsignal(number) != signal.SIG_IGN:
            before[number] = signal.signal(number, ask)
    try:
        yield request
    finally:
        _restore(before)


def _restore(before: dict[signal.Signals, Any]) -> None:
    for number, handler in before.items():
        signal.signal(number, signal.SIG_DFL if handler is None else handler)
