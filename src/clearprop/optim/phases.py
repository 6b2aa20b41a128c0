"""Schedules made of others: a warm-up before any, any sequence of them, any function of the step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from clearprop.errors import SettingsError
from clearprop.optim.decays import Constant
from clearprop.optim.schedule import Memory, Position, Schedule
from clearprop.settings import real, within


@dataclass(frozen=True)
class Phases(Schedule):
    """Schedules one after another, each with how many epochs it lasts; the last one, with None, till the end.

    ::

        cp.Phases([(cp.Constant(), 10), (cp.Cosine(), None)])

    To each of them its own phase is the whole fit. One that watches the epochs' records sees those of its phase.
    """

    phases: tuple[tuple[Schedule, float | None], ...] = ()

    def __post_init__(self) -> None:
        phases: tuple[Any, ...] = tuple(tuple(each) if isinstance(each, list) else each for each in self.phases)
        object.__setattr__(self, "phases", phases)
        if not phases or not all(_is_phase(phase) for phase in phases):
            raise SettingsError(f"phases are pairs of a schedule and its epochs, (Cosine(), 10), received {phases!r}")
        if not all(within(epochs, "(0, inf)") for _, epochs in phases[:-1] + phases[-1:] * (phases[-1][1] is not None)):
            raise SettingsError(f"phases last for epochs above 0, the last one or None, received {phases!r}")

    def __call__(self, position: Position) -> float:
        """Return the factor of the phase at hand."""
        schedule, within = self._at(position)
        return schedule(within)

    @property
    def moves_others(self) -> bool:
        """Whether any of them does."""
        return any(schedule.moves_others for schedule, _ in self.phases)

    def others(self, position: Position) -> dict[str, float]:
        """Return those of the phase at hand."""
        schedule, within = self._at(position)
        return schedule.others(within)

    @property
    def watched(self) -> tuple[str, ...]:
        """What any of them watches."""
        return tuple(dict.fromkeys(name for schedule, _ in self.phases for name in schedule.watched))

    def first(self) -> Memory:
        """The number of epochs seen, and the memory of each phase."""
        return (0, tuple(schedule.first() for schedule, _ in self.phases))

    def observe(self, memory: Memory, record: Mapping[str, float]) -> Memory:
        """Let the phase that the epoch began in see its record."""
        epochs, memories = memory
        now = self._phase(float(epochs))
        seen = tuple(
            schedule.observe(own, record) if number == now else own
            for number, ((schedule, _), own) in enumerate(zip(self.phases, memories, strict=True))
        )
        return (epochs + 1, seen)

    def _ends(self) -> list[float]:
        """The epochs at which the phases end; the last one never does."""
        total, ends = 0.0, []
        for _, epochs in self.phases[:-1]:
            total += epochs or 0.0
            ends.append(total)
        return [*ends, math.inf]

    def _phase(self, epochs: float) -> int:
        return next(number for number, end in enumerate(self._ends()) if epochs < end)

    def _at(self, position: Position) -> tuple[Schedule, Position]:
        starts = [0, *(position.steps(end) for end in self._ends()[:-1])]
        number = max(number for number, start in enumerate(starts) if start <= position.step)
        schedule, epochs = self.phases[number]
        start = starts[number]
        end = position.total_steps if epochs is None else start + position.steps(epochs)
        memory = position.memory[1][number] if position.memory else schedule.first()
        return schedule, position.part(start, end, memory)


def _is_phase(phase: Any) -> bool:
    return isinstance(phase, tuple) and len(phase) == 2 and isinstance(phase[0], Schedule)


@dataclass(frozen=True)
class Warmup(Schedule):
    """A straight line from `start` to 1 over the first `epochs` (a fraction will do), and then another schedule.

    To that schedule the rest is the whole fit.
    """

    schedule: Schedule = field(default_factory=Constant)
    epochs: float = real(1.0, "(0, inf)")
    start: float = real(0.01, "[0, 1]")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.schedule, Schedule):
            raise SettingsError(f"a warm-up comes before a schedule, received {self.schedule!r}")

    def __call__(self, position: Position) -> float:
        """Return the line's factor, or the schedule's."""
        steps = position.steps(self.epochs)
        if position.step < steps:
            return self.start + (1.0 - self.start) * position.step / steps
        return self.schedule(self._after(position))

    @property
    def moves_others(self) -> bool:
        """Whether the schedule does."""
        return self.schedule.moves_others

    def others(self, position: Position) -> dict[str, float]:
        """Return the schedule's, which stand at their first values during the warm-up."""
        return self.schedule.others(self._after(position))

    @property
    def watched(self) -> tuple[str, ...]:
        """What the schedule watches."""
        return self.schedule.watched

    def first(self) -> Memory:
        """The schedule's."""
        return self.schedule.first()

    def observe(self, memory: Memory, record: Mapping[str, float]) -> Memory:
        """Let the schedule see the record."""
        return self.schedule.observe(memory, record)

    def _after(self, position: Position) -> Position:
        steps = min(position.steps(self.epochs), position.step)
        return position.part(steps, max(position.total_steps - position.steps(self.epochs), 0) + steps, position.memory)


@dataclass(frozen=True)
class FunctionOfStep(Schedule):
    """function(step), with the step from 0: any factor on the learning rate."""

    function: Callable[[int], float]

    def __call__(self, position: Position) -> float:
        """Return function(step).

        Raises:
            SettingsError: it is not a finite number of at least 0.
        """
        factor = self.function(position.step)
        if not within(factor, "[0, inf)"):
            at = f"at step {position.step}"
            raise SettingsError(f"a schedule's function gives a finite number of at least 0, received {factor!r} {at}")
        return float(factor)
