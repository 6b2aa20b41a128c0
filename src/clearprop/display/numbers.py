"""Numbers as people read them: four significant digits, durations, rates."""

from __future__ import annotations

import math


def number(value: float) -> str:
    """Four significant digits: 0.2500, 12.35, 1235, 1.234e+04; nan and inf as they are."""
    if not math.isfinite(value):
        return str(float(value))
    if value == 0:
        return "0.000"
    return f"{value:#.4g}".removesuffix(".")


def duration(seconds: float) -> str:
    """A time span: 0.8 s, 42 s, 3:07, 1:02:33; an endless one is --:--."""
    if not math.isfinite(seconds):
        return "--:--"
    if seconds < 9.95:
        return f"{max(seconds, 0.0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def rate(per_second: float) -> str:
    """How many a second: 950/s, 12.3k/s, 1.20M/s."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if per_second >= 0.9995 * limit:
            digits = f"{per_second / limit:#.3g}".removesuffix(".")
            return f"{digits}{unit}/s"
    return f"{per_second:.0f}/s" if per_second >= 9.95 else f"{per_second:.2g}/s"


def count(items: int, noun: str) -> str:
    """A number of things: 1 epoch, 12,000 samples."""
    return f"{items:,} {noun}" if items == 1 else f"{items:,} {noun}s"
