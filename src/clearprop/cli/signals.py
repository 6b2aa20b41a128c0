"""Ctrl-C and SIGTERM outside of the training loop: end as an exception does, so that nothing half-written stays."""

from __future__ import annotations

import signal
import sys
from types import FrameType

_asked: list[int] = []


def install() -> None:
    """Turn the first Ctrl-C and SIGTERM into exceptions, unless the caller of the process has them ignored."""
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
        if signal.getsignal(number) == usual:
            signal.signal(number, _ask)
    sys.unraisablehook = _tell_others


def check() -> None:
    """Raise again what a signal raised: a bare `except` of some library may have swallowed it."""
    if _asked:
        _raise(_asked[-1])


def _ask(number: int, frame: FrameType | None) -> None:
    _asked.append(number)
    signal.signal(number, signal.SIG_DFL)
    _raise(number)


def _tell_others(unraisable: sys.UnraisableHookArgs) -> None:
    """Tell of an exception that a finalizer swallowed, unless it is one of ours, which `check` raises again."""
    if not (_asked and issubclass(unraisable.exc_type, (KeyboardInterrupt, SystemExit))):
        sys.__unraisablehook__(unraisable)


def _raise(number: int) -> None:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)
