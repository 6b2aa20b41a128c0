"""An optimiser of a user's own: it trains on both backends, and its mistakes are told by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import ops, optim
from clearprop.errors import ClearpropError, ProgramError, ShapeError

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
