"""An optimiser of a user's own: it trains on both backends, and its mistakes are told by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import ops, optim
from clearprop.errors import ClearpropError, ProgramError, SettingsError, ShapeError

X = np.random.default_rng(0).normal(size=(24, 3))
Y = X @ [[1.0], [2.0], [3.0]]


@dataclass(frozen=True)
class Averaged(optim.Optimizer):
    """w <- w - rate v, with v <- beta v + (1 - beta) g."""

    learning_rate: float = 0.1
    beta: float = 0.9

    def init(self, parameter: ops.Tensor) -> Any:
        return {"v": optim.zeros_like(parameter)}

    def update(self, parameter: ops.Tensor, gradient: ops.Tensor, slots: Any, hyper: Any) -> Any:
        v = optim.average(hyper["beta"], slots["v"], gradient)
        return parameter - optim.scaled(hyper["learning_rate"], v), {"v": v}


def fit(optimizer: optim.Optimizer, backend: str = "reference") -> cp.Model:
    model = cp.Model([cp.Dense(1)], "squared_error", optimizer, dtype="float64", backend=backend)
    model.fit(X, Y, epochs=3, batch_size=24, shuffle=False, progress=False)
    return model


@pytest.mark.parametrize("backend", ["reference", "native"])
@pytest.mark.parametrize("wrap", [lambda inner: inner, optim.ClipByNorm, optim.Lookahead, optim.ExponentialAverage])
def test_it_trains(backend: str, wrap: Callable[[optim.Optimizer], optim.Optimizer]) -> None:
    model = fit(wrap(Averaged()), backend)
    np.testing.assert_allclose(model.parameters["dense1.W"], fit(wrap(Averaged())).parameters["dense1.W"], rtol=1e-12)


def test_it_does_what_it_says() -> None:
    start = cp.Model([cp.Dense(1)], "squared_error", dtype="float64")
    start.init((3,))
    w, b = (start.parameters[f"dense1.{name}"] for name in "Wb")
    v, u = np.zeros_like(w), np.zeros_like(b)
    for _ in range(3):
        error = 2 * (X @ w + b - Y) / len(X)
        v, u = 0.9 * v + 0.1 * (X.T @ error), 0.9 * u + 0.1 * error.sum(0)
        w, b = w - 0.1 * v, b - 0.1 * u
    np.testing.assert_allclose(fit(Averaged()).parameters["dense1.W"], w, rtol=1e-12)


MISTAKES: dict[str, tuple[Callable[..., Any], type[ClearpropError], str]] = {
    "no slots": (lambda p, g: p - g, ProgramError, r"Mistaken\.update must return a new parameter and its slots"),
    "lost": (lambda p, g: (p - g, {}), ProgramError, r"lost dense1\.[Wb]\.v: it returns every slot of init"),
    "more": (lambda p, g: (p - g, {"v": g, "u": g}), ProgramError, r"makes, though init does not, dense1\.[Wb]\.u"),
    "shape": (lambda p, g: (ops.sum(p), {"v": g}), ShapeError, r"must leave dense1\.W as float64\[3, 1\], and gives"),
    "slot": (lambda p, g: (p - g, {"v": ops.sum(g)}), ShapeError, r"must leave dense1\.W\.v as float64\[3, 1\]"),
    "number": (lambda p, g: (p - g, {"v": 0.0}), ProgramError, "must give tensors by name"),
    "no parameter": (lambda p, g: (None, {"v": g}), ProgramError, "must give tensors by name"),
}


@pytest.mark.parametrize("wrap", [lambda inner: inner, optim.ClipByNorm, optim.Lookahead, optim.ExponentialAverage])
@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told(name: str, wrap: Callable[[optim.Optimizer], optim.Optimizer]) -> None:
    write, error, message = MISTAKES[name]

    class Mistaken(Averaged):
        def update(self, parameter: ops.Tensor, gradient: ops.Tensor, slots: Any, hyper: Any) -> Any:
            return write(parameter, gradient)

    with pytest.raises(error, match=message):
        fit(wrap(Mistaken()))


def test_slots_that_are_no_tensors() -> None:
    class Mistaken(Averaged):
        def init(self, parameter: ops.Tensor) -> Any:
            return {"v": 0.0}

    with pytest.raises(ProgramError, match=r"Mistaken\.init must give tensors by name, as optim\.zeros_like"):
        fit(Mistaken())


TYPOS: dict[str, tuple[Callable[..., Any], str]] = {
    "hyper": (
        lambda slots, hyper: hyper["lr"],
        "no hyper-parameter 'lr'; choose one of learning_rate, beta, .*t$",
    ),
    "near": (lambda slots, hyper: hyper["beta1"], "no hyper-parameter 'beta1'; did you mean 'beta'[?] There are"),
    "slot": (lambda slots, hyper: slots["velocity"], "no slot 'velocity'; choose one of v"),
    "int": (lambda slots, hyper: hyper["every"], "no hyper-parameter 'every': .* declared int; write every: float"),
}


@pytest.mark.parametrize("wrap", [lambda inner: inner, optim.ClipByNorm])
@pytest.mark.parametrize("name", TYPOS)
def test_a_name_that_there_is_not(name: str, wrap: Callable[[optim.Optimizer], optim.Optimizer]) -> None:
    ask, message = TYPOS[name]

    @dataclass(frozen=True)
    class Mistyped(Averaged):
        every: int = 2

        def update(self, parameter: ops.Tensor, gradient: ops.Tensor, slots: Any, hyper: Any) -> Any:
            return parameter - optim.scaled(ask(slots, hyper), gradient), slots

    for error in (ClearpropError, KeyError):
        with pytest.raises(error, match=f"^Mistyped has {message}"):
            fit(wrap(Mistyped()))


@pytest.mark.parametrize("wrap", [lambda inner: inner, optim.ClipByNorm])
def test_what_is_not_declared_is_refused_at_once(wrap: Callable[[optim.Optimizer], optim.Optimizer]) -> None:
    class Plain(optim.Optimizer):
        learning_rate = 0.1
        init, update = Averaged.init, Averaged.update

    @dataclass(frozen=True)
    class Whole(Averaged):
        learning_rate: int = 1  # type: ignore[assignment]

    @dataclass(frozen=True)
    class Without(optim.Optimizer):
        beta: float = 0.9
        init, update = Averaged.init, Averaged.update

    for optimizer, message in (
        (Plain(), r"Plain is no dataclass.*write @dataclass\(frozen=True\) before class Plain"),
        (Whole(), "Whole has no hyper-parameter 'learning_rate': .* declared int; write learning_rate: float"),
        (Without(), "Without has no hyper-parameter 'learning_rate', which is a field declared float"),
    ):
        with pytest.raises(SettingsError, match=message):
            cp.Model([cp.Dense(1)], "squared_error", wrap(optimizer))
