"""Where a fit stands, put together from its events: what every display shows, apart from how."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from clearprop.display.numbers import count, duration, number, rate
from clearprop.train.events import Diverged, EpochEnded, Event, FitEnded, FitStarted, Progressed

_WINDOW = 30.0
_NOT_SHOWN = ("epoch", "learning_rate", "loss")

_ENDS = {"finished": "done", "early stopping": "stopped early"}
"""The first word of the last line; other reasons (interrupted, terminated, diverged) are their own."""


@dataclass(frozen=True)
class Part:
    """A piece of a line; of too long a line the parts of the highest `rank` go first, and rank 0 never does."""

    text: str
    rank: int = 0
    style: str = ""


class Tracker:
    """The state of one fit; the next fit gets a new one.

    Speed is that of the last half minute, from the step where this process began: a resumed fit has its own.

    Args:
        clock: gives seconds from any origin, never going back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.started: FitStarted | None = None
        self.step = 0
        self.epoch = 1
        self.batch = 0
        self.loss = math.nan
        self.record: Mapping[str, float] = {}
        self.ended: FitEnded | None = None
        self.message = ""
        self._lowest: tuple[float, int, str] | None = None
        self._marks: deque[tuple[float, int]] = deque()

    def __call__(self, event: Event) -> None:
        """Take an event in."""
        if isinstance(event, FitStarted):
            self.started, self.step = event, event.step
            done, self.batch = divmod(event.step, max(event.steps_per_epoch, 1))
            self.epoch = min(done + 1, max(event.epochs, 1))
            self._mark()
        elif isinstance(event, Progressed):
            self.step, self.epoch, self.batch, self.loss = event.step, event.epoch, event.batch, event.loss
            self._mark()
        elif isinstance(event, EpochEnded):
            self._end_epoch(event)
        elif isinstance(event, Diverged):
            self.message = event.message
        elif isinstance(event, FitEnded):
            self.ended, self.step = event, event.step

    @property
    def over(self) -> bool:
        """Whether everything has been said: a diverged fit ends with its message."""
        return self.ended is not None and (self.ended.reason != "diverged" or self.message != "")

    @property
    def steps_per_second(self) -> float | None:
        """The measured speed, or None before there is one."""
        if not self._marks:
            return None
        (first, before), (last, after) = self._marks[0], self._marks[-1]
        return (after - before) / (last - first) if after > before and last > first else None

    @property
    def samples_per_second(self) -> float | None:
        """The measured speed in samples, evaluation and all included."""
        speed, fit = self.steps_per_second, self.started
        return None if speed is None or fit is None else speed * fit.samples / max(fit.steps_per_epoch, 1)

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes at the measured speed, if no epoch is spared."""
        speed = self.steps_per_second
        return None if speed is None or self.started is None else (self.started.total_steps - self.step) / speed

    @property
    def fraction(self) -> float:
        """The part of the epoch that is done, from 0 to 1."""
        return 0.0 if self.started is None else min(self.batch / max(self.started.steps_per_epoch, 1), 1.0)

    def opening(self) -> str:
        """The line that says what is about to happen."""
        fit = self.started
        if fit is None:
            return ""
        held = f", {count(fit.validation_samples, 'validation sample')}" if fit.validation_samples else ""
        resumed = f"; goes on after step {fit.step:,} of {fit.total_steps:,}" if fit.step else ""
        return (
            f"{count(fit.parameters, 'parameter')}, {count(fit.samples, 'sample')}{held}, "
            f"{count(fit.epochs, 'epoch')} of {count(fit.steps_per_epoch, 'step')}{resumed}"
        )

    def head(self) -> Part:
        """The epoch at work, as wide in the first as in the last."""
        total = str(self.started.epochs if self.started else self.epoch)
        return Part(f"epoch {self.epoch:>{len(total)}}/{total}", 0, "bold")

    def running(self) -> list[Part]:
        """The parts of the line that follows the bar."""
        left, speed = self.seconds_left, self.samples_per_second
        parts = [] if speed is None else [Part(rate(speed), 4)]
        parts += [] if left is None else [Part(f"ETA {duration(left)}", 2, "cyan")]
        parts += [] if math.isnan(self.loss) else [Part(f"loss {number(self.loss)}", 1)]
        return parts + self._quantities()

    def epoch_line(self) -> list[Part]:
        """The parts of the line about the epoch that has just ended."""
        return [self.head(), Part(f"loss {number(self.loss)}", 1), *self._quantities()]

    def closing(self) -> list[Part]:
        """The parts of the last line: what happened, for how long, with what result."""
        end = self.ended
        if end is None or self.started is None:
            return []
        good = end.reason in _ENDS
        parts = [Part(_ENDS.get(end.reason, end.reason), 0, "bold green" if good else "bold red")]
        planned = count(self.started.epochs, "epoch")
        parts.append(Part(planned if end.epochs == self.started.epochs else f"{end.epochs:,} of {planned}", 2))
        parts.append(Part(f"step {end.step:,}", 1 if not good else 6))
        parts.append(Part(duration(end.seconds), 3))
        parts += [] if not self.message else [Part(_cause(self.message), 7)]
        if good and not math.isnan(self.loss):
            parts += [Part(f"loss {number(self.loss)}", 1), *self._quantities()]
        return parts + self._best(end)

    def _best(self, end: FitEnded) -> list[Part]:
        lowest = self._lowest
        if end.best_epoch is not None:
            return [Part(f"best epoch {end.best_epoch}", 4)]
        if lowest is None or end.epochs < 2:
            return []
        return [Part(f"lowest {lowest[2]} {number(lowest[0])} in epoch {lowest[1]}", 4)]

    def _quantities(self) -> list[Part]:
        shown = [name for name in self.record if name not in _NOT_SHOWN]
        shown.sort(key=lambda name: name != "val_loss")
        return [Part(f"{name} {number(self.record[name])}", 3 if i == 0 else 5 + i) for i, name in enumerate(shown)]

    def _end_epoch(self, event: EpochEnded) -> None:
        self.step, self.epoch, self.record = event.step, event.epoch, event.record
        self.batch = self.started.steps_per_epoch if self.started else 0
        self.loss = event.record.get("loss", self.loss)
        watched = "val_loss" if "val_loss" in event.record else "loss"
        value = event.record.get(watched, math.nan)
        if not math.isnan(value) and (self._lowest is None or value < self._lowest[0]):
            self._lowest = (value, event.epoch, watched)
        self._mark()

    def _mark(self) -> None:
        now = self.clock()
        self._marks.append((now, self.step))
        while len(self._marks) > 2 and self._marks[1][0] <= now - _WINDOW:
            self._marks.popleft()


def _cause(message: str) -> str:
    """The first sentence of why training diverged, without what the line says already."""
    sentence = message.partition(". ")[0].removesuffix(".")
    told = sentence.startswith("training diverged at step")
    return sentence.partition(": ")[2] or sentence if told else sentence


def fit_parts(parts: list[Part], width: int, gap: int = 2) -> list[Part]:
    """Leave out parts, the highest rank first, until the line is not wider than `width`."""
    parts = list(parts)
    while sum(len(part.text) for part in parts) + gap * (len(parts) - 1) > width:
        highest = max(part.rank for part in parts)
        if highest == 0:
            break
        parts.remove(next(part for part in reversed(parts) if part.rank == highest))
    return parts
