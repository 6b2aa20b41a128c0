"""Every optimiser: against its formula in NumPy, on a parabola, on Rosenbrock's valley; its settings as inputs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from clearprop import ops, optim
from clearprop.compile import compile_program
from clearprop.errors import SettingsError
from clearprop.grad import derive, replay
from clearprop.ir import Program, Type
from clearprop.ops import Tensor

Array = np.ndarray[Any, Any]
Gradient = Callable[[Array], Array]


def sgd(w: Array, gradient: Gradient, learning_rate: float) -> Iterator[Array]:
    while True:
        w = w - learning_rate * gradient(w)
        yield w


def momentum(w: Array, gradient: Gradient, learning_rate: float, momentum: float) -> Iterator[Array]:
    velocity = np.zeros_like(w)
    while True:
        velocity = momentum * velocity - learning_rate * gradient(w)
        w = w + velocity
        yield w


def nesterov(w: Array, gradient: Gradient, learning_rate: float, momentum: float) -> Iterator[Array]:
    """As it is usually written: the gradient is taken ahead, at theta + momentum v; w is that point ahead."""
    theta, velocity = w, np.zeros_like(w)
    while True:
        velocity = momentum * velocity - learning_rate * gradient(theta + momentum * velocity)
        theta = theta + velocity
        yield theta + momentum * velocity


def adam(
    w: Array, gradient: Gradient, learning_rate: float, beta1: float, beta2: float, epsilon: float
) -> Iterator[Array]:
    m, v, t = np.zeros_like(w), np.zeros_like(w), 0
    while True:
        t += 1
        g = gradient(w)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        w = w - learning_rate * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + epsilon)
        yield w


REFERENCES: dict[type[optim.Optimizer], Callable[..., Iterator[Array]]] = {
    optim.SGD: sgd,
    optim.Momentum: momentum,
    optim.Nesterov: nesterov,
    optim.Adam: adam,
}
OPTIMIZERS = [
    thing
    for name in optim.__all__
    if inspect.isclass(thing := getattr(optim, name))
    and issubclass(thing, optim.Optimizer)
    and not inspect.isabstract(thing)
]
every = pytest.mark.parametrize("kind", OPTIMIZERS, ids=lambda kind: kind.__name__)

Function = Callable[[Tensor], Tensor]


def step_program(optimizer: optim.Optimizer, function: Function, dtype: str, size: int = 2) -> Program:
    """One step on a function of one parameter w."""
    objective = ops.trace(function, {"w": Type(dtype, (size,))})
    derived = derive(objective, ["w"])
    with ops.tracing("step") as builder:
        w = ops.placeholder("w", Type(dtype, (size,)))
        tensors = {derived.input("w"): w}
        replay(derived, tensors)
        hyper = {name: ops.placeholder(name, Type("float64")) for name in (*optimizer.hyper(), "t")}
        hyper |= optimizer.prepare(hyper)
        slots = {name: ops.placeholder(name, Type(dtype, (size,))) for name in optimizer.init(w)}
        new, after = optimizer.update(w, tensors[derived.output("grad.w")], slots, hyper)
        outputs = {"w": new} | after
        return builder.finish((name, tensor.value) for name, tensor in outputs.items())


def path(optimizer: optim.Optimizer, function: Function, start: Array, steps: int, **hyper: float) -> Iterator[Array]:
    """w after each step; `hyper` replaces hyper-parameters at run time."""
    run = compile_program(step_program(optimizer, function, str(start.dtype), len(start)))
    state = {name: np.zeros_like(start) for name in run.program.output_names} | {"w": start}
    settings = {name: np.asarray(value) for name, value in (optimizer.hyper() | hyper).items()}
    for t in range(1, steps + 1):
        state = run(state | settings | {"t": np.asarray(float(t))})
        yield state["w"]


def bowl(w: Tensor) -> Tensor:
    return ops.sum(ops.square(ops.square(w)) + 2.0 * ops.square(w) - ops.sin(w))


def bowl_gradient(w: Array) -> Array:
    return 4 * w**3 + 4 * w - np.cos(w)


def parabola(w: Tensor) -> Tensor:
    return 0.5 * ops.sum(ops.square(w - 3.0) * np.array([1.0, 10.0]))


def rosenbrock(w: Tensor) -> Tensor:
    x, y = w[0], w[1]
    return ops.square(1.0 - x) + 100.0 * ops.square(y - x * x)


def test_every_optimizer_has_a_reference():
    assert set(OPTIMIZERS) == set(REFERENCES) == set(optim.OPTIMIZERS.values())


def settings_of(kind: type[optim.Optimizer]) -> list[optim.Optimizer]:
    rates: dict[str, float] = {"learning_rate": 0.03}
    second = {"momentum": 0.5, "beta1": 0.5, "beta2": 0.75, "epsilon": 0.1}
    fields = kind().hyper()
    return [kind(**rates), kind(**rates | {name: second[name] for name in fields if name in second})]


@every
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_twenty_steps_follow_the_formula(kind, which, dtype):
    optimizer, start = settings_of(kind)[which], np.array([1.5, -0.75, 0.0, 0.2])
    expected = REFERENCES[kind](start, bowl_gradient, **optimizer.hyper())
    for step, w in enumerate(path(optimizer, bowl, start.astype(dtype), 20)):
        assert w.dtype == dtype
        tolerance = 1e-11 if dtype == np.float64 else 2e-5
        np.testing.assert_allclose(w, next(expected), rtol=tolerance, atol=tolerance, err_msg=f"step {step + 1}")


@every
def test_finds_the_bottom_of_a_parabola(kind):
    optimizer = kind(learning_rate=0.1 if kind is optim.Adam else 0.02)
    *_, last = path(optimizer, parabola, np.array([-4.0, 7.0]), 1000)
    np.testing.assert_allclose(last, [3.0, 3.0], atol=1e-4)


@every
def test_finds_the_end_of_rosenbrocks_valley(kind):
    rate, steps = {optim.SGD: (2e-3, 3000), optim.Adam: (0.05, 1200)}.get(kind, (1e-3, 1200))
    *_, last = path(kind(learning_rate=rate), rosenbrock, np.array([-1.2, 1.0]), steps)
    x, y = last
    assert (1 - x) ** 2 + 100 * (y - x * x) ** 2 < 0.01  # it was 24.2 at the start
    np.testing.assert_allclose(last, [1.0, 1.0], atol=0.2)


@every
def test_hyper_parameters_are_inputs(kind):
    """One program serves every setting: with settings given at run time it does what their own program does."""
    plain, other = settings_of(kind)
    start = np.array([1.0, 2.0])
    first = step_program(plain, bowl, "float64")
    assert set(plain.hyper()) <= set(first.input_names)
    np.testing.assert_array_equal(list(path(plain, bowl, start, 5, **other.hyper())), list(path(other, bowl, start, 5)))


@every
def test_a_step_of_no_rate_stays(kind):
    start = np.array([1.0, 2.0])
    for w in path(kind(learning_rate=0.0), bowl, start, 3):
        np.testing.assert_array_equal(w, start)


@every
def test_a_gradient_of_zero_stays(kind):
    start = np.array([1.0, 2.0])
    for w in path(kind(), lambda w: ops.sum(w * 0.0), start, 3):
        np.testing.assert_array_equal(w, start)


@every
def test_every_field_is_checked(kind):
    for name in kind().hyper():
        for value in (-0.1, float("nan"), float("inf"), "0.1", True):
            with pytest.raises(SettingsError, match=name):
                kind(**{name: value})
    for name in {"momentum", "beta1", "beta2"} & set(kind().hyper()):
        with pytest.raises(SettingsError, match=r"\[0, 1\)"):
            kind(**{name: 1.0})


def test_first_step_of_adam_is_the_rate():
    """m / (1 - beta1) = g and v / (1 - beta2) = g^2: the first step is rate sign(g), whatever the scale of g."""
    for scale in (1e-6, 1.0, 1e6):
        (w,) = path(optim.Adam(0.5), lambda w, scale=scale: scale * ops.sum(w), np.zeros(2), 1)
        np.testing.assert_allclose(w, [-0.5, -0.5], rtol=0.011 if scale == 1e-6 else 1e-7)


def test_names():
    for name, kind in optim.OPTIMIZERS.items():
        assert optim.optimizer(name) == kind()
    assert optim.optimizer(optim.Adam(0.5)) == optim.Adam(0.5)
    with pytest.raises(SettingsError, match=r"'adamw'.*sgd, momentum, nesterov, adam"):
        optim.optimizer("adamw")
