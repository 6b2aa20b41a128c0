"""Optimisers and schedules. They write programs and never run them."""

from collections.abc import Callable
from typing import Any, cast

from clearprop.description import choose
from clearprop.optim.accumulation import Accumulation
from clearprop.optim.adabelief import AdaBelief
from clearprop.optim.adafactor import Adafactor
from clearprop.optim.adagrad import AdaDelta, AdaGrad
from clearprop.optim.adam import Adam, AdamW, AMSGrad
from clearprop.optim.adamax import AdaMax
from clearprop.optim.averaging import ExponentialAverage, WeightAverage
from clearprop.optim.clipping import ClipByNorm, ClipByValue
from clearprop.optim.cycles import CosineRestarts, Cyclic, OneCycle
from clearprop.optim.decays import (
    Constant,
    Cosine,
    ExponentialDecay,
    InverseSquareRoot,
    InverseTimeDecay,
    LinearDecay,
    MultiStep,
    PolynomialDecay,
    Step,
)
from clearprop.optim.lion import Lion
from clearprop.optim.lookahead import Lookahead
from clearprop.optim.muon import Muon
from clearprop.optim.nadam import Nadam
from clearprop.optim.optimizer import (
    Optimizer,
    at_parameter,
    average,
    check_declared,
    check_kept,
    scaled,
    slots_of,
    zeros_like,
)
from clearprop.optim.parameter_groups import ParameterGroups
from clearprop.optim.phases import FunctionOfStep, Phases, Warmup
from clearprop.optim.plateau import ReduceOnPlateau
from clearprop.optim.radam import RAdam
from clearprop.optim.rmsprop import RMSprop
from clearprop.optim.rprop import Rprop
from clearprop.optim.schedule import Position, Schedule
from clearprop.optim.schedule_free import ScheduleFree
from clearprop.optim.sgd import SGD, Momentum, Nesterov
from clearprop.optim.trust_ratio import LAMB, LARS
from clearprop.optim.weight_decay import WeightDecay
from clearprop.optim.whole_batch import (
    LBFGS,
    BayesianRegularization,
    ConjugateGradient,
    LevenbergMarquardt,
    NewtonCG,
    SciPyMinimizer,
    WholeBatch,
)
from clearprop.optim.wrapper import Wrapper, inside

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "momentum": Momentum,
    "nesterov": Nesterov,
    "adagrad": AdaGrad,
    "adadelta": AdaDelta,
    "rmsprop": RMSprop,
    "adam": Adam,
    "adamw": AdamW,
    "amsgrad": AMSGrad,
    "adamax": AdaMax,
    "nadam": Nadam,
    "radam": RAdam,
    "adabelief": AdaBelief,
    "adafactor": Adafactor,
    "lion": Lion,
    "rprop": Rprop,
    "lars": LARS,
    "lamb": LAMB,
    "muon": Muon,
}
"""The optimisers by name."""

WRAPPERS: dict[str, type[Wrapper]] = {
    "clip_by_value": ClipByValue,
    "clip_by_norm": ClipByNorm,
    "accumulation": Accumulation,
    "exponential_average": ExponentialAverage,
    "weight_average": WeightAverage,
    "lookahead": Lookahead,
    "weight_decay": WeightDecay,
    "parameter_groups": ParameterGroups,
    "schedule_free": ScheduleFree,
}
"""What goes around an optimiser, by name."""

WHOLE_BATCH: dict[str, type[WholeBatch]] = {
    "lbfgs": LBFGS,
    "conjugate_gradient": ConjugateGradient,
    "newton_cg": NewtonCG,
    "levenberg_marquardt": LevenbergMarquardt,
    "bayesian_regularization": BayesianRegularization,
}
"""The optimisers that need all of the data at every iteration, by name."""

SCHEDULES: dict[str, type[Schedule]] = {
    "constant": Constant,
    "step": Step,
    "multi_step": MultiStep,
    "exponential": ExponentialDecay,
    "inverse_time": InverseTimeDecay,
    "inverse_square_root": InverseSquareRoot,
    "polynomial": PolynomialDecay,
    "linear": LinearDecay,
    "cosine": Cosine,
    "cosine_restarts": CosineRestarts,
    "cyclic": Cyclic,
    "one_cycle": OneCycle,
    "warmup": Warmup,
    "reduce_on_plateau": ReduceOnPlateau,
}
"""The schedules by name; `Phases` and `FunctionOfStep` have no defaults, and so no names."""


def optimizer(choice: str | Optimizer | WholeBatch) -> Optimizer | WholeBatch:
    """Return the optimiser of a name (also of one around another, with its defaults), or one as it is."""
    if isinstance(choice, WholeBatch):
        return choice
    known: dict[str, Any] = {**OPTIMIZERS, **WRAPPERS, **WHOLE_BATCH}
    chosen: Optimizer | WholeBatch = choose(choice, Optimizer, known, "optimiser")
    if isinstance(chosen, Optimizer):
        for part in reversed(inside(chosen)):
            check_declared(part)
    return chosen


def schedule(choice: str | Schedule | Callable[[int], float]) -> Schedule:
    """Return the schedule of a name, one as it is, or any function of the step as a schedule."""
    if isinstance(choice, (str, Schedule, type)) or not callable(choice):
        return cast(Schedule, choose(choice, Schedule, SCHEDULES, "schedule"))
    return FunctionOfStep(choice)


__all__ = [
    "LAMB",
    "LARS",
    "LBFGS",
    "OPTIMIZERS",
    "SCHEDULES",
    "SGD",
    "WHOLE_BATCH",
    "WRAPPERS",
    "AMSGrad",
    "Accumulation",
    "AdaBelief",
    "AdaDelta",
    "AdaGrad",
    "AdaMax",
    "Adafactor",
    "Adam",
    "AdamW",
    "BayesianRegularization",
    "ClipByNorm",
    "ClipByValue",
    "ConjugateGradient",
    "Constant",
    "Cosine",
    "CosineRestarts",
    "Cyclic",
    "ExponentialAverage",
    "ExponentialDecay",
    "FunctionOfStep",
    "InverseSquareRoot",
    "InverseTimeDecay",
    "LevenbergMarquardt",
    "LinearDecay",
    "Lion",
    "Lookahead",
    "Momentum",
    "MultiStep",
    "Muon",
    "Nadam",
    "Nesterov",
    "NewtonCG",
    "OneCycle",
    "Optimizer",
    "ParameterGroups",
    "Phases",
    "PolynomialDecay",
    "Position",
    "RAdam",
    "RMSprop",
    "ReduceOnPlateau",
    "Rprop",
    "Schedule",
    "ScheduleFree",
    "SciPyMinimizer",
    "Step",
    "Warmup",
    "WeightAverage",
    "WeightDecay",
    "WholeBatch",
    "Wrapper",
    "at_parameter",
    "average",
    "check_kept",
    "optimizer",
    "scaled",
    "schedule",
    "slots_of",
    "zeros_like",
]
