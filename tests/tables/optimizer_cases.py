"""Every optimiser, in every convention it offers: name -> optimiser."""

from __future__ import annotations

from clearprop import optim
from clearprop.optim import (
    LAMB,
    LARS,
    SGD,
    Accumulation,
    AdaBelief,
    AdaDelta,
    Adafactor,
    AdaGrad,
    Adam,
    AdaMax,
    AdamW,
    AMSGrad,
    ClipByNorm,
    ClipByValue,
    ExponentialAverage,
    Lion,
    Lookahead,
    Momentum,
    Muon,
    Nadam,
    Nesterov,
    ParameterGroups,
    RAdam,
    RMSprop,
    Rprop,
    ScheduleFree,
    WeightAverage,
    WeightDecay,
)
from clearprop.settings import limits

BETAS = {"beta1": 0.5, "beta2": 0.75, "epsilon": 0.1}
GROUPS = (("*.b", Momentum(0.01)), ("layer.*", Adam(0.02)))


def forms(kind: type[optim.Optimizer], name: str) -> tuple[str, ...]:
    """The words that a setting may be."""
    return limits(kind)[name].choices


CASES: dict[str, optim.Optimizer] = {
    **{f"{name} by default": kind() for name, kind in (optim.OPTIMIZERS | optim.WRAPPERS).items()},
    "sgd": SGD(0.03),
    **{f"momentum, {form}": Momentum(0.03, 0.5, form) for form in forms(Momentum, "velocity")},
    **{f"nesterov, {form}": Nesterov(0.03, 0.5, form) for form in forms(Nesterov, "velocity")},
    **{f"adagrad, {form}": AdaGrad(0.1, 0.1, form, 0.2) for form in forms(AdaGrad, "epsilon_form")},
    "adadelta": AdaDelta(0.5, 0.7, 0.01),
    **{f"rmsprop, {form}": RMSprop(0.03, 0.7, 0.1, epsilon_form=form) for form in forms(RMSprop, "epsilon_form")},
    "rmsprop, centred": RMSprop(0.03, 0.7, 0.1, centred=True),
    "rmsprop, with momentum": RMSprop(0.03, 0.7, 0.1, momentum=0.5),
    "rmsprop, all": RMSprop(0.03, 0.7, 0.1, 0.5, True, "inside"),
    **{f"adam, {form}": Adam(0.03, **BETAS, epsilon_form=form) for form in forms(Adam, "epsilon_form")},
    "adamw": AdamW(0.03, **BETAS, weight_decay=0.2),
    **{f"amsgrad, {form}": AMSGrad(0.03, **BETAS, maximum=form) for form in forms(AMSGrad, "maximum")},
    "amsgrad, inside": AMSGrad(0.03, **BETAS, epsilon_form="inside", maximum="corrected"),
    **{f"adamax, {form}": AdaMax(0.03, **BETAS, epsilon_form=form) for form in forms(AdaMax, "epsilon_form")},
    **{
        f"nadam, {form}": Nadam(0.03, **BETAS, momentum_decay=0.1, momentum_form=form)
        for form in forms(Nadam, "momentum_form")
    },
    "radam": RAdam(0.03, 0.5, 0.99, 0.1),
    "radam, outside": RAdam(0.03, 0.5, 0.99, 0.1, epsilon_form="outside"),
    "radam, never rectified": RAdam(0.03, 0.5, 0.5),
    "adabelief": AdaBelief(0.03, **BETAS),
    "adafactor": Adafactor(0.1, 0.6, 0.5, weight_decay=0.2),
    "adafactor, not relative": Adafactor(0.1, relative=False),
    "lion": Lion(0.03, 0.5, 0.75, 0.2),
    "rprop": Rprop(0.1, 0.4, 1.3, 0.01, 0.3),
    "lars": LARS(0.5, 0.5, 0.2, 0.1),
    "lars, matrices": LARS(0.05, 0.5, 0.2, 0.1, vectors=False),
    "lamb": LAMB(0.03, **BETAS, weight_decay=0.2),
    "lamb, matrices": LAMB(0.03, **BETAS, weight_decay=0.2, vectors=False),
    "muon": Muon(0.05, 0.5, 0.2, other=SGD(0.02)),
    "muon, rms": Muon(0.05, 0.5, nesterov=False, iterations=3, adjust="rms"),
    "clip by value": ClipByValue(SGD(0.03), 0.4),
    "clip by norm": ClipByNorm(Adam(0.03), 2.0),
    "clip by norm, epsilon": ClipByNorm(Momentum(0.03), 2.0, 0.1),
    "accumulation": Accumulation(AdamW(0.1), 3),
    "accumulation of clipped": Accumulation(ClipByNorm(Adam(0.1), 2.0), 2),
    "exponential average": ExponentialAverage(Adam(0.03), 0.8),
    "exponential average, warm": ExponentialAverage(SGD(0.03), 0.8, "warm"),
    "weight average": WeightAverage(SGD(0.03), 4, 3),
    "lookahead": Lookahead(Momentum(0.03), 4, 0.3),
    "average of lookahead": ExponentialAverage(Lookahead(SGD(0.03), 3), 0.8),
    "weight decay": WeightDecay(Adam(0.03), 0.2, parameters="*.W"),
    "weight decay, gradient": WeightDecay(Nesterov(0.03), 0.2, "gradient"),
    "groups": ParameterGroups(SGD(0.02), GROUPS),
    "groups of wrappers": ParameterGroups(
        Lookahead(SGD(0.02)), [("*.b", ExponentialAverage(ClipByValue(Lion(0.01), 0.5), 0.7))]
    ),
    "clip over groups": ClipByNorm(ParameterGroups(SGD(0.02), GROUPS[:1]), 1.0),
    "schedule-free sgd": ScheduleFree(SGD(0.05)),
    "schedule-free adamw": ScheduleFree(AdamW(0.05, beta1=0.0, weight_decay=0.1), 0.7, 1.0),
    "schedule-free with decay inside": ScheduleFree(WeightDecay(SGD(0.05), 0.4, parameters="*.W"), 0.7),
    "schedule-free, decay of the gradient": WeightDecay(ScheduleFree(SGD(0.05)), 0.4, "gradient"),
}
