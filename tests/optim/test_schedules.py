"""Schedules: what all of them keep to, those that PyTorch lacks against closed forms, and settings that are refused."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
from schedule_table import FORMULAS, half_after_ten
from sklearn.metrics import get_scorer_names

from clearprop import optim
from clearprop.description import build, describe
from clearprop.errors import SettingsError
from clearprop.optim import (
    Constant,
    Cosine,
    CosineRestarts,
    Cyclic,
    ExponentialDecay,
    FunctionOfStep,
    InverseSquareRoot,
    InverseTimeDecay,
    LinearDecay,
    MultiStep,
    OneCycle,
    Phases,
    PolynomialDecay,
    Position,
    ReduceOnPlateau,
    Schedule,
    Step,
    Warmup,
)
from clearprop.train import METRICS, EarlyStopping

KINDS = [
    thing
    for name in optim.__all__
    if inspect.isclass(thing := getattr(optim, name))
    and issubclass(thing, optim.Schedule)
    and not inspect.isabstract(thing)
]
UNNAMED: dict[type[Schedule], Schedule] = {
    Phases: Phases([(Constant(), 3), (Warmup(Cosine(), 1), None)]),
    FunctionOfStep: FunctionOfStep(lambda step: 1 / (1 + step)),
}
RISING = (Cyclic, OneCycle, Warmup)
SCHEDULES = [UNNAMED.get(kind) or kind() for kind in KINDS]
every = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: type(schedule).__name__)


class Own(optim.Schedule):
    """A schedule that knows single positions only."""

    def __call__(self, position: Position) -> float:
        return 1 / (1 + position.step)


def at(step: int, memory: object = ()) -> Position:
    return Position(step, steps_per_epoch=10, total_steps=80, memory=memory)


@every
def test_every_schedule_is_a_factor(schedule):
    assert all(0 <= schedule(at(step)) <= 1 for step in range(200))
    assert isinstance(schedule(at(5)), float)
    assert math.isfinite(schedule(Position(0, 0, 0)))
    if not isinstance(schedule, RISING):
        assert schedule(at(0)) == schedule(Position(0, 0, 0)) == 1.0
    assert schedule.observe(schedule.first(), dict.fromkeys(schedule.watched, 1.0)) is not None


@every
def test_descriptions(schedule):
    known = {kind.__name__: kind for kind in KINDS}
    if not isinstance(schedule, FunctionOfStep):
        assert build(describe(schedule), known) == schedule


def test_names():
    assert set(KINDS) == set(optim.SCHEDULES.values()) | set(UNNAMED)
    for name, kind in optim.SCHEDULES.items():
        assert optim.schedule(name) == kind()
    assert optim.schedule(Step(0.5, 3)) == Step(0.5, 3)
    assert optim.schedule(half_after_ten) == FunctionOfStep(half_after_ten)
    for wrong in ("lineal", 3, None):
        with pytest.raises(SettingsError, match=r"there is no schedule .*cosine"):
            optim.schedule(wrong)
    with pytest.raises(SettingsError, match=r"the schedule is the class Step: make one of it, Step\(...\)"):
        optim.schedule(Step)


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
    assert schedule(at(500)) == pytest.approx(final, abs=1e-15)


@pytest.mark.parametrize(
    ("schedule", "formula"), FORMULAS, ids=lambda value: repr(value)[:40] if isinstance(value, optim.Schedule) else ""
)
def test_formulas(schedule, formula):
    for step in range(100):
        assert schedule(at(step)) == pytest.approx(formula(step), rel=1e-12, abs=1e-12), step


def test_one_cycle_moves_the_momentum_the_other_way():
    settings = {"learning_rate": 0.5, "momentum": 0.9, "group1.learning_rate": 0.1, "group1.beta1": 0.9, "beta2": 0.99}
    schedule = OneCycle(0.5, 0.1, 0.0, "linear", momentum_low=0.8, momentum_high=0.9)
    peak = {name: value for name, (value,) in schedule.values(at(39), 1, settings).items()}
    assert peak == {"learning_rate": 0.5, "momentum": 0.8, "group1.learning_rate": 0.1, "group1.beta1": 0.8}
    assert schedule.values(at(70), 10, settings)["momentum"][9] == pytest.approx(0.9)
    assert OneCycle(cycle_momentum=False).others(at(3)) == {}
    assert Warmup(schedule, 1).others(at(5)) == schedule.others(at(0))
    phases = Phases([(schedule, 2), (Constant(), None)])
    assert phases.others(at(30)) == {}
    assert phases.values(at(19), 2, {"momentum": 0.7})["momentum"].tolist() == [pytest.approx(0.9), 0.7]
    rates = {name: values.tolist() for name, values in Constant().values(at(3), 2, settings).items()}
    assert rates == {"learning_rate": [0.5] * 2, "group1.learning_rate": [0.1] * 2}


@pytest.mark.parametrize("schedule", [*SCHEDULES, Own()], ids=lambda schedule: type(schedule).__name__)
def test_factors_of_many_steps_are_those_of_each(schedule):
    """To the last bit, however many are asked for at once: a resumed run depends on it."""
    factors = schedule.factors(at(7), 80)
    assert factors.dtype == np.float64
    assert factors.tolist() == [schedule(at(step)) for step in range(7, 87)]
    for begin, count in ((0, 3), (1, 17), (5, 75)):
        assert schedule.factors(at(7 + begin), count).tolist() == factors[begin : begin + count].tolist()
    assert schedule.factors(at(7), 0).shape == (0,)


def fold(schedule: Schedule, values: list[float]) -> list[float]:
    memory, factors = schedule.first(), []
    for value in values:
        factors.append(schedule(at(0, memory)))
        memory = schedule.observe(memory, dict.fromkeys(schedule.watched, value))
    return [*factors, schedule(at(0, memory))]


def test_reduce_on_plateau():
    nan = math.nan
    schedule = ReduceOnPlateau(factor=0.5, patience=1)
    assert fold(schedule, [3, 2, 2, 2, 1, 1, 1]) == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25]
    assert fold(schedule, [nan, nan]) == [1, 1, 0.5]
    assert fold(ReduceOnPlateau("accuracy", 0.5, 1, mode="max"), [1, 2, 2, 2, 3]) == [1, 1, 1, 1, 0.5, 0.5]
    assert fold(ReduceOnPlateau(factor=0.5, patience=0, cooldown=2), [1] * 6) == [1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]
    assert fold(ReduceOnPlateau(factor=0.5, patience=0, lowest=0.3), [1] * 4) == [1, 1, 0.5, 0.3, 0.3]
    assert fold(ReduceOnPlateau(factor=0.5, patience=0, min_delta=0.5), [1, 0.6, 0.4]) == [1, 1, 0.5, 0.5]


@pytest.mark.parametrize("lead", ["", "val_"])
@pytest.mark.parametrize("name", ["loss", *METRICS])
def test_which_way_a_plateau_is_left_goes_by_the_name(name, lead):
    """scikit-learn's scorers of what is to fall are led by neg_."""
    rises = name != "loss" and f"neg_{name}" not in get_scorer_names()
    values = [0.1, 0.2, 0.3, 0.4] if rises else [0.4, 0.3, 0.2, 0.1]
    metric = lead + name
    for given, level, mode in (
        (values, 1.0, "auto"),
        (values[::-1], 0.125, "auto"),
        (values, 0.125, "min" if rises else "max"),
        (values[::-1], 1.0, "min" if rises else "max"),
    ):
        assert fold(ReduceOnPlateau(metric, 0.5, 0, mode=mode), given)[-1] == level
    stopping = EarlyStopping(metric)
    assert stopping.improves(values[1], values[0])
    assert not stopping.improves(values[0], values[1])
    assert not stopping.improves(math.nan, values[0])


def test_phases_watch_their_own_epochs():
    schedule = Phases([(Constant(), 2), (Warmup(ReduceOnPlateau(factor=0.5, patience=0), 1, 1.0), None)])
    assert schedule.watched == ("val_loss",)
    memory, factors = schedule.first(), []
    for epoch, loss in enumerate([5, 5, 5, 5, 4, 4]):
        factors.append(schedule(at(10 * epoch, memory)))
        memory = schedule.observe(memory, {"val_loss": loss})
    assert factors == [1, 1, 1, 1, 0.5, 0.5]
    assert schedule(at(60, memory)) == 0.25


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        *((Step, {"every": value}) for value in (0, 1.5, True)),
        *((Step, {"factor": value}) for value in (0.0, -1.0, math.nan, math.inf, "1")),
        *((Cosine, {"final": value}) for value in (-0.1, 1.5, math.nan, None)),
        *((MultiStep, {"epochs": value}) for value in ((), (3, 2), (3, 3), (0,), (1.5,))),
        (MultiStep, {"factor": 0}),
        (ExponentialDecay, {"factor": 0}),
        *((kind, {"staircase": 1}) for kind in (ExponentialDecay, InverseTimeDecay)),
        (InverseTimeDecay, {"rate": -1}),
        (InverseSquareRoot, {"steps": 0}),
        *((PolynomialDecay, {name: -1}) for name in ("power", "final")),
        (LinearDecay, {"final": 2}),
        *((CosineRestarts, value) for value in ({"epochs": 0}, {"growth": 0.5}, {"final": 2})),
        *((Cyclic, value) for value in ({"epochs": 0}, {"low": 2}, {"form": "round"}, {"decay": 2})),
        *((OneCycle, {name: 2}) for name in ("rise", "start", "final", "momentum_low", "momentum_high")),
        *((OneCycle, value) for value in ({"form": "round"}, {"cycle_momentum": 1})),
        *((Warmup, value) for value in ({"epochs": 0}, {"start": 2}, {"schedule": "cosine"})),
        *((Phases, {"phases": value}) for value in ((), [(Cosine(),)], [("cosine", 1)])),
        *((Phases, {"phases": [(Cosine(), value), (Cosine(), None)]}) for value in (None, 0, "1")),
        (Phases, {"phases": [(Cosine(), -1)]}),
        *((ReduceOnPlateau, {name: 2}) for name in ("factor", "lowest")),
        *((ReduceOnPlateau, {name: -1}) for name in ("patience", "cooldown", "min_delta")),
        (ReduceOnPlateau, {"mode": "smaller"}),
    ],
)
def test_settings_that_are_refused(kind, arguments):
    with pytest.raises(SettingsError, match="received"):
        kind(**arguments)


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, "1", None])
def test_a_function_must_give_a_factor(value):
    with pytest.raises(SettingsError, match="at step 7"):
        FunctionOfStep(lambda step: value)(at(7))


@pytest.mark.parametrize("wrong", [[Step()], [("step", 3)], [(Step(), 3, 4)], []])
def test_phases_are_pairs(wrong):
    with pytest.raises(SettingsError, match="pairs of a schedule and its epochs"):
        optim.Phases(wrong)
