"""clearprop: train neural networks you can read.

A network and its loss become a program; backpropagation is derived from it as a second program; both print as
NumPy code that runs as printed, and every derivative can be checked. Names are imported when they are first used, so
that the command line answers at once.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from clearprop.version import __version__

if TYPE_CHECKING:
    from clearprop import checks, data, estimators, losses, nn, ops, optim, train
    from clearprop.checks import GradientReport, check_gradients
    from clearprop.data import Encoding, Table
    from clearprop.errors import (
        ClearpropError,
        DataError,
        DivergedError,
        FileFormatError,
        ProgramError,
        SettingsError,
        ShapeError,
    )
    from clearprop.estimators import (
        MLPClassifier,
        MLPRegressor,
        NeuralClassifier,
        NeuralRegressor,
        NeuralTransformer,
    )
    from clearprop.losses import BinaryCrossEntropy, CrossEntropy, Loss, SquaredError
    from clearprop.model import Model, Run, load
    from clearprop.nn import (
        L1,
        L2,
        Dense,
        Dropout,
        Flatten,
        Function,
        Identity,
        Initializer,
        Kaiming,
        Layer,
        LeakyReLU,
        Normal,
        Parallel,
        Penalty,
        ReLU,
        Residual,
        Sequential,
        Sigmoid,
        Softmax,
        Tanh,
        Uniform,
        Xavier,
        Zeros,
    )
    from clearprop.optim import SGD, Adam, Constant, Cosine, Momentum, Nesterov, Optimizer, Schedule, Step
    from clearprop.train import EarlyStopping, History, StopTraining

_EXPORTS = {
    "checks": (
        "GradientReport",
        "check_gradients",
    ),
    "data": (
        "Encoding",
        "Table",
    ),
    "errors": (
        "BackendError",
        "BackendNote",
        "ClearpropError",
        "DataError",
        "DivergedError",
        "FileFormatError",
        "ProgramError",
        "SettingsError",
        "ShapeError",
    ),
    "estimators": (
        "MLPClassifier",
        "MLPRegressor",
        "NeuralClassifier",
        "NeuralRegressor",
        "NeuralTransformer",
    ),
    "losses": (
        "BinaryCrossEntropy",
        "CrossEntropy",
        "Loss",
        "SquaredError",
    ),
    "model": (
        "Model",
        "Run",
        "load",
    ),
    "nn": (
        "L1",
        "L2",
        "Dense",
        "Dropout",
        "Flatten",
        "Function",
        "Identity",
        "Initializer",
        "Kaiming",
        "Layer",
        "LeakyReLU",
        "Normal",
        "Parallel",
        "Penalty",
        "ReLU",
        "Residual",
        "Sequential",
        "Sigmoid",
        "Softmax",
        "Tanh",
        "Uniform",
        "Xavier",
        "Zeros",
    ),
    "optim": (
        "SGD",
        "Adam",
        "Constant",
        "Cosine",
        "Momentum",
        "Nesterov",
        "Optimizer",
        "Schedule",
        "Step",
    ),
    "train": (
        "EarlyStopping",
        "History",
        "StopTraining",
    ),
}
_MODULES = ("checks", "data", "estimators", "losses", "nn", "ops", "optim", "train")
_HOME = {name: module for module, names in _EXPORTS.items() for name in names}

__all__ = [
    "L1",
    "L2",
    "SGD",
    "Adam",
    "BinaryCrossEntropy",
    "ClearpropError",
    "Constant",
    "Cosine",
    "CrossEntropy",
    "DataError",
    "Dense",
    "DivergedError",
    "Dropout",
    "EarlyStopping",
    "Encoding",
    "FileFormatError",
    "Flatten",
    "Function",
    "GradientReport",
    "History",
    "Identity",
    "Initializer",
    "Kaiming",
    "Layer",
    "LeakyReLU",
    "Loss",
    "MLPClassifier",
    "MLPRegressor",
    "Model",
    "Momentum",
    "Nesterov",
    "NeuralClassifier",
    "NeuralRegressor",
    "NeuralTransformer",
    "Normal",
    "Optimizer",
    "Parallel",
    "Penalty",
    "ProgramError",
    "ReLU",
    "Residual",
    "Run",
    "Schedule",
    "Sequential",
    "SettingsError",
    "ShapeError",
    "Sigmoid",
    "Softmax",
    "SquaredError",
    "Step",
    "StopTraining",
    "Table",
    "Tanh",
    "Uniform",
    "Xavier",
    "Zeros",
    "__version__",
    "check_gradients",
    "checks",
    "data",
    "estimators",
    "load",
    "losses",
    "nn",
    "ops",
    "optim",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"clearprop.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'clearprop' has no attribute {name!r}")
    return getattr(importlib.import_module(f"clearprop.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
