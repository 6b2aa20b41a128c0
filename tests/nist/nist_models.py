"""NIST's certified nonlinear regressions as clearprop models, solved by Levenberg-Marquardt.

Usage: python tests/nist/nist_models.py     the table of all problems, from the second start

The data are the Statistical Reference Datasets of NIST/ITL (https://www.itl.nist.gov/div898/strd/), a work of the U.S.
government in the public domain.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clearprop import nn, ops, optim
from clearprop.model import Model
from clearprop.ops import Tensor
from clearprop.train import History

Array = np.ndarray[Any, Any]
Formula = Callable[..., Tensor]

PROBLEMS: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("nist.json").read_text(encoding="utf-8"))[
    "problems"
]
EPOCHS = 2000


def gauss(x, b1, b2, b3, b4, b5, b6, b7, b8):
    first, second = ops.square((x - b4) / b5), ops.square((x - b7) / b8)
    return b1 * ops.exp(-b2 * x) + b3 * ops.exp(-first) + b6 * ops.exp(-second)


def cubics(x, b1, b2, b3, b4, b5, b6, b7):
    return (b1 + x * (b2 + x * (b3 + x * b4))) / (1.0 + x * (b5 + x * (b6 + x * b7)))


def lanczos(x, b1, b2, b3, b4, b5, b6):
    return b1 * ops.exp(-b2 * x) + b3 * ops.exp(-b4 * x) + b5 * ops.exp(-b6 * x)


def chwirut(x, b1, b2, b3):
    return ops.exp(-b1 * x) / (b2 + b3 * x)


def enso(x, b1, b2, b3, b4, b5, b6, b7, b8, b9):
    def wave(cycle, a, b):
        angle = 2.0 * math.pi * x / cycle
        return a * ops.cos(angle) + b * ops.sin(angle)

    return b1 + wave(12.0, b2, b3) + wave(b4, b5, b6) + wave(b7, b8, b9)


FORMULAS: dict[str, Formula] = {
    "Bennett5": lambda x, b1, b2, b3: b1 * (b2 + x) ** (-1.0 / b3),
    "BoxBOD": lambda x, b1, b2: b1 * (1.0 - ops.exp(-b2 * x)),
    "Chwirut1": chwirut,
    "Chwirut2": chwirut,
    "DanWood": lambda x, b1, b2: b1 * x**b2,
    "ENSO": enso,
    "Eckerle4": lambda x, b1, b2, b3: b1 / b2 * ops.exp(-0.5 * ops.square((x - b3) / b2)),
    "Gauss1": gauss,
    "Gauss2": gauss,
    "Gauss3": gauss,
    "Hahn1": cubics,
    "Kirby2": lambda x, b1, b2, b3, b4, b5: (b1 + x * (b2 + x * b3)) / (1.0 + x * (b4 + x * b5)),
    "Lanczos1": lanczos,
    "Lanczos2": lanczos,
    "Lanczos3": lanczos,
    "MGH09": lambda x, b1, b2, b3, b4: b1 * (x * x + x * b2) / (x * x + x * b3 + b4),
    "MGH10": lambda x, b1, b2, b3: b1 * ops.exp(b2 / (x + b3)),
    "MGH17": lambda x, b1, b2, b3, b4, b5: b1 + b2 * ops.exp(-x * b4) + b3 * ops.exp(-x * b5),
    "Misra1a": lambda x, b1, b2: b1 * (1.0 - ops.exp(-b2 * x)),
    "Misra1b": lambda x, b1, b2: b1 * (1.0 - (1.0 + b2 * x / 2.0) ** -2.0),
    "Misra1c": lambda x, b1, b2: b1 * (1.0 - (1.0 + 2.0 * b2 * x) ** -0.5),
    "Misra1d": lambda x, b1, b2: b1 * b2 * x / (1.0 + b2 * x),
    "Nelson": lambda x, b1, b2, b3: b1 - b2 * x[:, :1] * ops.exp(-b3 * x[:, 1:]),
    "Rat42": lambda x, b1, b2, b3: b1 / (1.0 + ops.exp(b2 - b3 * x)),
    "Rat43": lambda x, b1, b2, b3, b4: b1 / (1.0 + ops.exp(b2 - b3 * x)) ** (1.0 / b4),
    "Roszman1": lambda x, b1, b2, b3, b4: b1 - b2 * x - ops.arctan(b3 / (x - b4)) / math.pi,
    "Thurber": cubics,
}


@dataclass(frozen=True)
class Curve(nn.Layer):
    """A formula of x and of parameters b1, b2, ... that begin at `start`."""

    formula: Formula
    start: tuple[float, ...]

    def init(self, key, shapes):
        return {f"b{i}": np.array(value) for i, value in enumerate(self.start, 1)}

    def apply(self, params, x):
        return self.formula(x, *(params[f"b{i}"] for i in range(1, len(self.start) + 1)))


def data(name: str) -> tuple[Array, Array]:
    table = np.array(PROBLEMS[name]["data"])
    return table[:, 1:], np.log(table[:, :1]) if name == "Nelson" else table[:, :1]


def solve(name: str, start: str = "start2", backend: str = "reference") -> tuple[Model, History]:
    curve = Curve(FORMULAS[name], tuple(PROBLEMS[name][start]))
    loss, optimizer = "squared_error", optim.LevenbergMarquardt()
    model = Model(curve, loss, optimizer, dtype="float64", backend=backend)
    return model, model.fit(*data(name), epochs=EPOCHS, progress=False)


def digits(name: str, model: Model) -> float:
    """The number of certified digits that the worst of the parameters has, at most 11 (NIST's log relative error)."""
    certified = np.array(PROBLEMS[name]["certified"])
    found = np.array([float(value) for value in model.parameters.values()])
    return float(np.min(-np.log10(np.maximum(np.abs(found - certified) / np.abs(certified), 1e-11))))


def main() -> None:
    solved = 0
    print(f"{'problem':<10} {'level':<8} {'parameters':>10} {'iterations':>10} {'digits':>7}  end")
    for name, problem in PROBLEMS.items():
        model, history = solve(name)
        right = digits(name, model)
        solved += right >= 6
        count = len(problem["certified"])
        print(f"{name:<10} {problem['level']:<8} {count:>10} {len(history):>10} {right:>7.1f}  {history.reason}")
    print(f"{solved} of {len(PROBLEMS)} to 6 digits or more")


if __name__ == "__main__":
    main()
