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
    from clearprop import checks, data, losses, nn, ops, optim, train
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
    from clearprop.losses import (
        AbsoluteError,
        BinaryCrossEntropy,
        BinaryFocal,
        Contrastive,
        CosineEmbedding,
        CrossEntropy,
        Focal,
        GaussianLikelihood,
        Hinge,
        Huber,
        KLDivergence,
        LogCosh,
        Loss,
        MarginRanking,
        MultiLabelMargin,
        MultiMargin,
        NegativeLogLikelihood,
        Poisson,
        Quantile,
        SmoothL1,
        SquaredError,
        SquaredHinge,
        Triplet,
    )
    from clearprop.model import Model, Run, load
    from clearprop.nn import (
        CELU,
        ELU,
        GELU,
        GLU,
        L1,
        L2,
        SELU,
        Dense,
        Dropout,
        Flatten,
        Function,
        Hardshrink,
        HardSigmoid,
        HardSwish,
        HardTanh,
        Identity,
        Initializer,
        Kaiming,
        Layer,
        LeakyReLU,
        LogSigmoid,
        LogSoftmax,
        Maxout,
        Mish,
        Normal,
        Parallel,
        Penalty,
        PReLU,
        ReLU,
        ReLU6,
        Residual,
        RReLU,
        ScaledTanh,
        Sequential,
        Sigmoid,
        SiLU,
        Softmax,
        Softmin,
        Softplus,
        Softshrink,
        Softsign,
        Tanh,
        Threshold,
        Uniform,
        Xavier,
        Zeros,
    )
    from clearprop.optim import (
        LAMB,
        LARS,
        LBFGS,
        SGD,
        AdaBelief,
        AdaDelta,
        Adafactor,
        AdaGrad,
        Adam,
        AdaMax,
        AdamW,
        AMSGrad,
        BayesianRegularization,
        ConjugateGradient,
        Constant,
        Cosine,
        CosineRestarts,
        Cyclic,
        ExponentialDecay,
        FunctionOfStep,
        InverseSquareRoot,
        InverseTimeDecay,
        LevenbergMarquardt,
        LinearDecay,
        Lion,
        Momentum,
        MultiStep,
        Muon,
        Nadam,
        Nesterov,
        NewtonCG,
        OneCycle,
        Optimizer,
        Phases,
        PolynomialDecay,
        RAdam,
        ReduceOnPlateau,
        RMSprop,
        Rprop,
        Schedule,
        Step,
        Warmup,
    )
    from clearprop.train import EarlyStopping, History, StopTraining

_EXPORTS = {
    "checks": "GradientReport check_gradients",
    "data": "Encoding Table",
    "errors": (
        "BackendError BackendNote ClearpropError DataError DivergedError FileFormatError ProgramError SettingsError "
        "ShapeError"
    ),
    "losses": (
        "AbsoluteError BinaryCrossEntropy BinaryFocal Contrastive CosineEmbedding CrossEntropy Focal "
        "GaussianLikelihood Hinge Huber KLDivergence LogCosh Loss MarginRanking MultiLabelMargin MultiMargin "
        "NegativeLogLikelihood Poisson Quantile SmoothL1 SquaredError SquaredHinge Triplet"
    ),
    "model": "Model Run load",
    "nn": (
        "CELU Dense Dropout ELU Flatten Function GELU GLU HardSigmoid HardSwish HardTanh Hardshrink Identity "
        "Initializer Kaiming L1 L2 Layer LeakyReLU LogSigmoid LogSoftmax Maxout Mish Normal PReLU Parallel Penalty "
        "RReLU ReLU ReLU6 Residual SELU ScaledTanh Sequential SiLU Sigmoid Softmax Softmin Softplus Softshrink "
        "Softsign Tanh Threshold Uniform Xavier Zeros"
    ),
    "optim": (
        "AMSGrad AdaBelief AdaDelta AdaGrad AdaMax Adafactor Adam AdamW BayesianRegularization ConjugateGradient "
        "Constant Cosine CosineRestarts Cyclic ExponentialDecay FunctionOfStep InverseSquareRoot InverseTimeDecay "
        "LAMB LARS LBFGS LevenbergMarquardt LinearDecay Lion Momentum MultiStep Muon Nadam Nesterov NewtonCG OneCycle "
        "Optimizer Phases PolynomialDecay RAdam RMSprop ReduceOnPlateau Rprop SGD Schedule Step Warmup"
    ),
    "train": "EarlyStopping History StopTraining",
}
_MODULES = ("checks", "data", "losses", "nn", "ops", "optim", "train")
_HOME = {name: module for module, names in _EXPORTS.items() for name in names.split()}

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "L1",
    "L2",
    "LAMB",
    "LARS",
    "LBFGS",
    "SELU",
    "SGD",
    "AMSGrad",
    "AbsoluteError",
    "AdaBelief",
    "AdaDelta",
    "AdaGrad",
    "AdaMax",
    "Adafactor",
    "Adam",
    "AdamW",
    "BayesianRegularization",
    "BinaryCrossEntropy",
    "BinaryFocal",
    "ClearpropError",
    "ConjugateGradient",
    "Constant",
    "Contrastive",
    "Cosine",
    "CosineEmbedding",
    "CosineRestarts",
    "CrossEntropy",
    "Cyclic",
    "DataError",
    "Dense",
    "DivergedError",
    "Dropout",
    "EarlyStopping",
    "Encoding",
    "ExponentialDecay",
    "FileFormatError",
    "Flatten",
    "Focal",
    "Function",
    "FunctionOfStep",
    "GaussianLikelihood",
    "GradientReport",
    "HardSigmoid",
    "HardSwish",
    "HardTanh",
    "Hardshrink",
    "Hinge",
    "History",
    "Huber",
    "Identity",
    "Initializer",
    "InverseSquareRoot",
    "InverseTimeDecay",
    "KLDivergence",
    "Kaiming",
    "Layer",
    "LeakyReLU",
    "LevenbergMarquardt",
    "LinearDecay",
    "Lion",
    "LogCosh",
    "LogSigmoid",
    "LogSoftmax",
    "Loss",
    "MarginRanking",
    "Maxout",
    "Mish",
    "Model",
    "Momentum",
    "MultiLabelMargin",
    "MultiMargin",
    "MultiStep",
    "Muon",
    "Nadam",
    "NegativeLogLikelihood",
    "Nesterov",
    "NewtonCG",
    "Normal",
    "OneCycle",
    "Optimizer",
    "PReLU",
    "Parallel",
    "Penalty",
    "Phases",
    "Poisson",
    "PolynomialDecay",
    "ProgramError",
    "Quantile",
    "RAdam",
    "RMSprop",
    "RReLU",
    "ReLU",
    "ReLU6",
    "ReduceOnPlateau",
    "Residual",
    "Rprop",
    "Run",
    "ScaledTanh",
    "Schedule",
    "Sequential",
    "SettingsError",
    "ShapeError",
    "SiLU",
    "Sigmoid",
    "SmoothL1",
    "Softmax",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "SquaredError",
    "SquaredHinge",
    "Step",
    "StopTraining",
    "Table",
    "Tanh",
    "Threshold",
    "Triplet",
    "Uniform",
    "Warmup",
    "Xavier",
    "Zeros",
    "__version__",
    "check_gradients",
    "checks",
    "data",
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
