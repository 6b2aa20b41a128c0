"""Schedules against their formulas."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest

from clearprop import optim
from clearprop.errors import SettingsError
from clearprop.optim import Constant, Cosine, Position, Step

SCHEDULES = [
    thing
    for name in optim.__all__
    if inspect.isclass(thing := getattr(optim, name))
    and issubclass(thing, optim.Schedule)
    and not inspect.isabstract(thing)
]


class Own(optim.Schedule):
    """A schedule that knows single positions only."""

    def __call__(self, position: Position) -> float:
        return 1 / (1 + position.step)


def at(step: int) -> Position:
    return Position(step, steps_per_epoch=10, total_steps=80)


@pytest.mark.parametrize("kind", SCHEDULES, ids=lambda kind: kind.__name__)
def test_every_schedule_starts_at_one_and_is_a_factor(kind):
    schedule = kind()
    assert schedule(at(0)) == 1.0
    assert all(0 <= schedule(at(step)) <= 1 for step in range(100))
    assert isinstance(schedule(at(5)), float)
    assert schedule(Position(0, 0, 0)) == 1.0


def test_names():
    assert set(SCHEDULES) == set(optim.SCHEDULES.values()) == {Constant, Step, Cosine}
    for name, kind in optim.SCHEDULES.items():
        assert optim.schedule(name) == kind()
    assert optim.schedule(Step(0.5, 3)) == Step(0.5, 3)
    with pytest.raises(SettingsError, match=r"'linear'.*cosine"):
        optim.schedule("linear")


def test_constant():
    assert {Constant()(at(step)) for step in range(100)} == {1.0}


def test_step_drops_once_every_so_many_epochs():
    schedule = Step(factor=0.5, every=3)
    values = [schedule(at(step)) for step in range(80)]
    assert values[:30] == [1.0] * 30
    assert values[30:60] == [0.5] * 30
    assert values[60:] == [0.25] * 20


@pytest.mark.parametrize("final", [0.0, 0.1, 1.0])
def test_cosine(final):
    schedule = Cosine(final)
    for step in range(81):
        expected = final + (1 - final) * math.cos(math.pi * step / 160) ** 2  # (1 + cos 2a) / 2 = cos^2 a
        assert schedule(at(step)) == pytest.approx(expected, rel=1e-12, abs=1e-15)
    assert schedule(at(40)) == pytest.approx((1 + final) / 2, rel=1e-12)
    assert schedule(at(500)) == pytest.approx(final, abs=1e-15)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        *((Step, {"every": value}) for value in (0, 1.5)),
        *((Step, {"factor": value}) for value in (0.0, -1.0, math.nan)),
        *((Cosine, {"final": value}) for value in (-0.1, 1.5, math.nan)),
    ],
)
def test_settings_that_are_refused(kind, arguments):
    with pytest.raises(SettingsError):
        kind(**arguments)


@pytest.mark.parametrize("kind", [*SCHEDULES, Own], ids=lambda kind: kind.__name__)
def test_factors_of_many_steps_are_those_of_each(kind):
    """To the last bit, however many are asked for at once: a resumed run depends on it."""
    factors = kind().factors(at(7), 80)
    assert factors.dtype == np.float64
    assert factors.tolist() == [kind()(at(step)) for step in range(7, 87)]
    for begin, count in ((0, 3), (1, 17), (5, 75)):
        assert kind().factors(at(7 + begin), count).tolist() == factors[begin : begin + count].tolist()
    assert kind().factors(at(7), 0).shape == (0,)
