"""Ctrl-C and SIGTERM as requests to stop after the step at hand."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any


@dataclass
class StopRequest:
    """Why training should stop: empty, "interrupted" (Ctrl-C) or "terminated" (SIGTERM)."""

    reason: str = ""


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn the first Ctrl-C or SIGTERM into a request; a second one acts as it did before.

    One that is ignored, as Ctrl-C in `clearprop train ... &` of a script, stays ignored.

    Outside of the main thread signals cannot be caught, and the request stays empty.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    reasons = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
    before: dict[signal.Signals, Any] = {}

    def ask(number: int, frame: FrameType | None) -> None:
        request.reason = reasons[signal.Signals(number)]
        _restore(before)

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
