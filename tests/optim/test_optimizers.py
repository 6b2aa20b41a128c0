"""Every optimiser, by tables over the registries: against NumPy, on a parabola and in a valley; its settings."""

from __future__ import annotations

import dataclasses
import inspect

import numpy as np
import pytest
from optimizer_cases import CASES
from optimizer_paths import START, bowl, bowl_gradient, path, shown, states, step_program
from optimizer_references import RULES, WRAPPERS, follow

from clearprop import ops, optim
from clearprop.description import build, describe
from clearprop.errors import SettingsError
from clearprop.optim.wrapper import inside
from clearprop.settings import limits

REGISTRY = optim.OPTIMIZERS | optim.WRAPPERS
KINDS = [
    thing
    for name in optim.__all__
    if inspect.isclass(thing := getattr(optim, name))
    and issubclass(thing, optim.Optimizer)
    and thing not in (optim.Optimizer, optim.Wrapper)
]
every = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
every_case = pytest.mark.parametrize("name", CASES)


def decay(t: int) -> float:
    return 0.97 ** (t - 1)


def rates(optimizer: optim.Optimizer) -> dict[str, object]:
    """Every learning rate, falling step by step."""
    values = optimizer.hyper()
    return {k: lambda t, v=v: v * decay(t) for k, v in values.items() if k.rpartition(".")[2] == "learning_rate"}


def test_every_optimizer_has_a_name_a_reference_and_a_case():
    assert set(KINDS) == set(REGISTRY.values()) == set(RULES) | set(WRAPPERS)
    assert {type(part) for optimizer in CASES.values() for part in inside(optimizer)} == set(KINDS)


def test_every_convention_has_a_case():
    """Every word that a choice offers, and both sides of every flag."""
    seen = {(type(part), f.name, getattr(part, f.name)) for optimizer in CASES.values() for part in inside(optimizer)
            for f in dataclasses.fields(part) if f.type in ("str", "bool")}  # fmt: skip
    wanted = {
        (kind, name, word) for kind in KINDS for name, allowed in limits(kind).items() for word in allowed.choices
    }
    wanted |= {(k, f.name, flag) for k in KINDS for f in dataclasses.fields(k) if f.type == "bool" for flag in (0, 1)}
    inherited = {(kind, name, word) for kind, name, word in wanted if name == "epsilon_form" and kind is not optim.Adam}
    assert wanted - seen <= {item for item in inherited if issubclass(item[0], optim.Adam)}


@every_case
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_twenty_steps_follow_the_formula(name, dtype):
    """With a rate that falls; the values for evaluation too."""
    optimizer, memory = CASES[name], {"start": START}
    start, w = {key: array.astype(dtype) for key, array in START.items()}, START
    tolerance = 1e-11 if dtype == np.float64 else 5e-5
    if dtype == np.float32 and any(isinstance(part, (optim.Muon, optim.Lion)) for part in inside(optimizer)):
        pytest.skip("signs and small singular values turn a rounding of the gradient into a different path")
    for t, state in enumerate(states(optimizer, bowl, start, 20, **rates(optimizer)), 1):
        w = follow(optimizer, w, bowl_gradient(w), memory, t, decay(t))
        now = shown(optimizer, state, start)
        for key, expected in memory.pop("shown", w).items():
            assert now[key].dtype == dtype
            np.testing.assert_allclose(now[key], expected, tolerance, tolerance, err_msg=f"{key}, step {t}")
            np.testing.assert_allclose(state[key], w[key], tolerance, tolerance, err_msg=f"{key}, step {t}")


def parabola(w):
    return 0.5 * ops.sum(ops.square(w["w"] - 3.0) * np.array([1.0, 10.0]))


def falling(optimizer: optim.Optimizer, steps: int) -> dict[str, object]:
    """Every learning rate, on a line to 0."""
    names = rates(optimizer)
    return {k: lambda t, v=v: v * (1 - (t - 1) / steps) for k, v in optimizer.hyper().items() if k in names}


RATES = {
    "adagrad": 0.5, "adadelta": 3.0, "rmsprop": 0.05, "adam": 0.1, "adamw": 0.1, "amsgrad": 0.1, "adamax": 0.2,
    "nadam": 0.1, "radam": 0.1, "adabelief": 0.1, "adafactor": 0.3, "lion": 0.05, "rprop": 0.1, "lars": 1.0,
    "lamb": 0.05, "muon": 0.1, "sgd": 0.05, "momentum": 0.02, "nesterov": 0.02,
}  # fmt: skip


def convergent(name: str) -> optim.Optimizer:
    """An optimiser with a rate that suits the parabola, and without decay, which has another minimum."""
    if name in optim.WRAPPERS:
        inner = optim.ScheduleFree(optim.SGD(0.1)) if name == "schedule_free" else None
        options = {"decay": 0.9} if name == "exponential_average" else {"decay": 0.0} if name == "weight_decay" else {}
        options |= {"start": 1500} if name == "weight_average" else {}
        return inner or optim.WRAPPERS[name](optim.Adam(0.1), **options)
    options = {"weight_decay": 0.0} if "weight_decay" in optim.OPTIMIZERS[name]().hyper() else {}
    options |= {"other": optim.Adam(0.1)} if name == "muon" else {}
    options |= {"trust": 0.05} if name == "lars" else {}
    return optim.OPTIMIZERS[name](learning_rate=RATES[name], **options)


@pytest.mark.parametrize("name", REGISTRY)
def test_finds_the_bottom_of_a_parabola(name):
    optimizer, start = convergent(name), {"w": np.array([-4.0, 7.0])}
    *_, last = states(optimizer, parabola, start, 2000, "native", **falling(optimizer, 2000))
    np.testing.assert_allclose(shown(optimizer, last, start)["w"], [3.0, 3.0], atol=5e-3)


def rosenbrock(w):
    x, y = w["w"][0], w["w"][1]
    return ops.square(1.0 - x) + 100.0 * ops.square(y - x * x)


@pytest.mark.parametrize(("name", "rate", "steps"), [
    ("sgd", 2e-3, 3000), ("momentum", 1e-3, 1200), ("nesterov", 1e-3, 1200), ("adam", 0.05, 1200), ("rprop", 0.1, 2000)
])  # fmt: skip
def test_finds_the_end_of_rosenbrocks_valley(name, rate, steps):
    *_, last = path(optim.OPTIMIZERS[name](rate), rosenbrock, {"w": np.array([-1.2, 1.0])}, steps, backend="native")
    x, y = last["w"]
    assert (1 - x) ** 2 + 100 * (y - x * x) ** 2 < 0.01  # it was 24.2 at the start
    np.testing.assert_allclose(last["w"], [1.0, 1.0], atol=0.2)


@every_case
def test_hyper_parameters_are_inputs(name):
    """One program serves every setting: with settings given at run time it does what their own program does."""
    optimizer = CASES[name]
    others = {key: value * 0.75 for key, value in optimizer.hyper().items()}
    if isinstance(optimizer, optim.Rprop):
        others["grow"] = 1.1
    program, _ = step_program(optimizer, bowl, START)
    assert set(optimizer.hyper()) <= set(program.input_names)
    if not inside(optimizer)[1:] and "initial" not in others:
        same = dataclasses.replace(optimizer, **others)
        pairs = zip(path(optimizer, bowl, START, 5, **others), path(same, bowl, START, 5), strict=True)
        for first, second in pairs:
            for key in START:
                np.testing.assert_array_equal(first[key], second[key])


@every_case
def test_a_step_of_no_rate_stays(name):
    optimizer = CASES[name]
    if any(isinstance(part, optim.Rprop) for part in inside(optimizer)):
        pytest.skip("the rate is the first step's size, and sizes have a lower bound")
    none = dict.fromkeys(rates(optimizer), 0.0)
    for w in path(optimizer, bowl, START, 6, **none):
        for key, array in START.items():
            np.testing.assert_allclose(w[key], array, rtol=1e-15)


@pytest.mark.parametrize("name", REGISTRY)
def test_a_gradient_of_zero_stays(name):
    optimizer = REGISTRY[name]()
    hyper = {key: 0.0 for key in optimizer.hyper() if key.rpartition(".")[2] in ("weight_decay", "decay")}
    hyper = {key: value for key, value in hyper.items() if key != "exponential_average.decay" and name != "adafactor"}
    for w in path(optimizer, lambda w: sum(ops.sum(x * 0.0) for x in w.values()), START, 3, **hyper):
        for key, array in START.items():
            np.testing.assert_allclose(w[key], array, rtol=1e-15)


@every
def test_optimisers_of_others_take_optimisers(kind):
    for field in dataclasses.fields(kind):
        name = "wraps an optimiser" if field.name == "optimizer" else field.name
        for value in ("adam", None, optim.Constant()) if field.type == "Optimizer" else ():
            with pytest.raises(SettingsError, match=rf"{name}.* received"):
                kind(**{field.name: value})


@every
def test_rates_of_averages_lie_below_1(kind):
    for name in {"momentum", "beta1", "beta2", "rho", "beta"} & set(limits(kind)):
        assert limits(kind)[name].words == "lies in [0, 1)"


@pytest.mark.parametrize("groups", [["*.b"], [3], [("*.b",)], [(optim.SGD(), "*.b")], [("*.b", "sgd")]])
def test_groups_that_are_none(groups):
    with pytest.raises(SettingsError, match="a pattern and an optimiser"):
        optim.ParameterGroups(optim.Adam(), groups)


def test_a_group_must_match():
    for groups in ([("conv*", optim.SGD())], [("layer.*", optim.SGD()), ("*.b", optim.SGD())]):
        with pytest.raises(SettingsError, match="matches none of"):
            step_program(optim.ParameterGroups(optim.Adam(), groups), bowl, START)


@pytest.mark.parametrize("name", optim.WRAPPERS)
def test_once_is_enough(name):
    kind = optim.WRAPPERS[name]
    with pytest.raises(SettingsError, match=f"{kind.__name__} is wrapped in itself"):
        kind(optim.ClipByValue(kind()) if kind is not optim.ClipByValue else kind())
    with pytest.raises(SettingsError, match="wrapped in itself"):
        kind(optim.ParameterGroups(optim.Adam(), [("*.b", kind())]))


@pytest.mark.parametrize("inner", [
    optim.ScheduleFree(), optim.ClipByNorm(optim.ScheduleFree()),
    optim.ParameterGroups(optim.Adam(), [("*.b", optim.ScheduleFree())]),
])  # fmt: skip
def test_a_decay_that_schedule_free_would_pass_over_is_refused(inner):
    with pytest.raises(SettingsError, match=r"Put the decay inside, as in ScheduleFree\(WeightDecay\("):
        optim.WeightDecay(inner, 0.1)


def test_decay_inside_of_schedule_free_is_that_of_adamw():
    inside_of, own = optim.WeightDecay(optim.Adam(0.05, beta1=0.0), 0.4), optim.AdamW(0.05, 0.0, weight_decay=0.4)
    runs = [states(optim.ScheduleFree(optimizer), bowl, START, 20) for optimizer in (inside_of, own)]
    for first, second in zip(*runs, strict=True):
        for key, array in second.items():
            np.testing.assert_allclose(first[key], array, rtol=1e-12, atol=1e-15, err_msg=key)


@every_case
def test_descriptions(name):
    """A model file can hold every optimiser."""
    known = {kind.__name__: kind for kind in KINDS}
    assert build(describe(CASES[name]), known) == CASES[name]


def test_first_step_of_adam_is_the_rate():
    """m / (1 - beta1) = g and v / (1 - beta2) = g^2: the first step is rate sign(g), whatever the scale of g."""
    for scale in (1e-6, 1.0, 1e6):
        (w,) = path(optim.Adam(0.5), lambda w, scale=scale: scale * ops.sum(w["w"]), {"w": np.zeros(2)}, 1)
        np.testing.assert_allclose(w["w"], [-0.5, -0.5], rtol=0.011 if scale == 1e-6 else 1e-7)


def test_names():
    for name, kind in (optim.OPTIMIZERS | optim.WRAPPERS | optim.WHOLE_BATCH).items():
        assert optim.optimizer(name) == kind()
    assert optim.optimizer(optim.Adam(0.5)) == optim.Adam(0.5)
    with pytest.raises(SettingsError, match=r"'adamv'.*sgd, momentum, nesterov,.*adam, adamw"):
        optim.optimizer("adamv")


@every_case
def test_native_follows_the_reference(name):
    """Every optimiser in every convention, as machine code, with all of its slots."""
    optimizer = CASES[name]
    runs = [states(optimizer, bowl, START, 10, backend, **rates(optimizer)) for backend in ("reference", "native")]
    for first, second in zip(*runs, strict=True):
        assert first.keys() == second.keys()
        for key, array in first.items():
            np.testing.assert_allclose(second[key], array, rtol=1e-9, atol=1e-12, err_msg=key)
