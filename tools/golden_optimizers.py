"""PyTorch's optimisers and schedules, and what each is called here: the cases of `tools/make_golden.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.optim import lr_scheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

torch.set_default_dtype(torch.float64)  # scalars of the state, such as NAdam's product, follow it

STEPS = 20
DECAY = 0.95
EPOCHS = 24

Parameters = list[torch.nn.Parameter]
Make = Callable[[Parameters], torch.optim.Optimizer]


@dataclass(frozen=True)
class Case:
    """One optimiser: its description here, how PyTorch makes it, and what PyTorch does around its step."""

    ours: dict[str, Any]
    make: Make
    clip: Callable[[Parameters], Any] | None = None
    average: dict[str, Any] | None = None
    decay: float = 1.0


def _of(kind: str, **arguments: Any) -> dict[str, Any]:
    return {"type": kind, **arguments}


ADAM = {"learning_rate": 0.1, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-6}
TORCH_ADAM: dict[str, Any] = {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-6}
O = torch.optim  # noqa: E741
SGD = _of("SGD", learning_rate=0.05)

CASES: dict[str, Case] = {
    "sgd": Case(SGD, lambda p: O.SGD(p, lr=0.05), decay=DECAY),
    "momentum": Case(_of("Momentum", learning_rate=0.02, momentum=0.9), lambda p: O.SGD(p, lr=0.02, momentum=0.9)),
    "momentum_gradient": Case(
        _of("Momentum", learning_rate=0.02, momentum=0.9, velocity="gradient"),
        lambda p: O.SGD(p, lr=0.02, momentum=0.9),
        decay=DECAY,
    ),
    "nesterov": Case(
        _of("Nesterov", learning_rate=0.02, momentum=0.8), lambda p: O.SGD(p, lr=0.02, momentum=0.8, nesterov=True)
    ),
    "nesterov_gradient": Case(
        _of("Nesterov", learning_rate=0.02, momentum=0.8, velocity="gradient"),
        lambda p: O.SGD(p, lr=0.02, momentum=0.8, nesterov=True),
        decay=DECAY,
    ),
    "sgd_decay": Case(_of("WeightDecay", optimizer=SGD, decay=0.1), lambda p: O.SGD(p, lr=0.05, weight_decay=0.1)),
    "momentum_decay": Case(
        _of("WeightDecay", optimizer=_of("Momentum", learning_rate=0.02), decay=0.1, form="gradient"),
        lambda p: O.SGD(p, lr=0.02, momentum=0.9, weight_decay=0.1),
    ),
    "adam_decay": Case(
        _of("WeightDecay", optimizer=_of("Adam", **ADAM), decay=0.1, form="gradient"),
        lambda p: O.Adam(p, **TORCH_ADAM, weight_decay=0.1),
    ),
    "adagrad": Case(_of("AdaGrad", learning_rate=0.3), lambda p: O.Adagrad(p, lr=0.3), decay=DECAY),
    "adagrad_initial": Case(
        _of("AdaGrad", learning_rate=0.3, initial=0.1, epsilon=1e-3),
        lambda p: O.Adagrad(p, lr=0.3, initial_accumulator_value=0.1, eps=1e-3),
    ),
    "adadelta": Case(_of("AdaDelta"), lambda p: O.Adadelta(p), decay=DECAY),
    "adadelta_other": Case(
        _of("AdaDelta", learning_rate=0.5, rho=0.7, epsilon=1e-3), lambda p: O.Adadelta(p, lr=0.5, rho=0.7, eps=1e-3)
    ),
    "rmsprop": Case(_of("RMSprop", learning_rate=0.05), lambda p: O.RMSprop(p, lr=0.05), decay=DECAY),
    "rmsprop_centred": Case(
        _of("RMSprop", learning_rate=0.02, rho=0.9, epsilon=1e-4, centred=True),
        lambda p: O.RMSprop(p, lr=0.02, alpha=0.9, eps=1e-4, centered=True),
    ),
    "rmsprop_momentum": Case(
        _of("RMSprop", learning_rate=0.01, rho=0.9, momentum=0.5, centred=True),
        lambda p: O.RMSprop(p, lr=0.01, alpha=0.9, momentum=0.5, centered=True),
        decay=DECAY,
    ),
    "adam": Case(_of("Adam", **ADAM), lambda p: O.Adam(p, **TORCH_ADAM), decay=DECAY),
    "adamw": Case(
        _of("AdamW", **ADAM, weight_decay=0.1), lambda p: O.AdamW(p, **TORCH_ADAM, weight_decay=0.1), decay=DECAY
    ),
    "amsgrad": Case(_of("AMSGrad", **ADAM), lambda p: O.Adam(p, **TORCH_ADAM, amsgrad=True), decay=DECAY),
    "adamax": Case(_of("AdaMax", **ADAM), lambda p: O.Adamax(p, **TORCH_ADAM), decay=DECAY),
    "nadam": Case(
        _of("Nadam", **ADAM, momentum_decay=0.02), lambda p: O.NAdam(p, **TORCH_ADAM, momentum_decay=0.02), decay=DECAY
    ),
    "radam": Case(_of("RAdam", **ADAM), lambda p: O.RAdam(p, **TORCH_ADAM), decay=DECAY),
    "adafactor": Case(
        _of("Adafactor", learning_rate=0.2, weight_decay=0.1),
        lambda p: O.Adafactor(p, lr=0.2, weight_decay=0.1),
        decay=DECAY,
    ),
    "rprop": Case(_of("Rprop", learning_rate=0.1), lambda p: O.Rprop(p, lr=0.1)),
    "clip_by_norm": Case(
        _of("ClipByNorm", optimizer=SGD, limit=0.5, epsilon=1e-6),
        lambda p: O.SGD(p, lr=0.05),
        clip=lambda p: torch.nn.utils.clip_grad_norm_(p, 0.5),
    ),
    "clip_by_value": Case(
        _of("ClipByValue", optimizer=SGD, limit=0.3),
        lambda p: O.SGD(p, lr=0.05),
        clip=lambda p: torch.nn.utils.clip_grad_value_(p, 0.3),
    ),
    "exponential_average": Case(
        _of("ExponentialAverage", optimizer=SGD, decay=0.7),
        lambda p: O.SGD(p, lr=0.05),
        average={"multi_avg_fn": get_ema_multi_avg_fn(0.7)},
    ),
    "weight_average": Case(_of("WeightAverage", optimizer=SGD), lambda p: O.SGD(p, lr=0.05), average={}),
}


def optimizers() -> dict[str, Any]:
    """Minimise sum(scale (w - target)^4) from one start; record w, or its average, after every step."""
    rng = np.random.default_rng(0)
    start, target, scale = rng.normal(size=(4, 3)), rng.normal(size=(4, 3)), rng.uniform(0.1, 1.0, (4, 3))
    cases = {}
    for name, case in CASES.items():
        module = torch.nn.ParameterList([torch.nn.Parameter(torch.tensor(start))])
        parameters = list(module.parameters())
        optimizer = case.make(parameters)
        averaged = None if case.average is None else AveragedModel(module, **case.average)
        schedule = lr_scheduler.ExponentialLR(optimizer, case.decay)
        path = []
        for _ in range(STEPS):
            optimizer.zero_grad()
            (torch.tensor(scale) * (parameters[0] - torch.tensor(target)) ** 4).sum().backward()
            if case.clip is not None:
                case.clip(parameters)
            optimizer.step()
            schedule.step()
            if averaged is not None:
                averaged.update_parameters(module)
            shown = parameters[0] if averaged is None else next(averaged.module.parameters())
            path.append(shown.detach().tolist())
        cases[name] = {"optimizer": case.ours, "decay": case.decay, "path": path}
    return {"start": start.tolist(), "target": target.tolist(), "scale": scale.tolist(), "cases": cases}


def _linear(epoch: int) -> float:
    return 1.0 / (1.0 + 0.25 * epoch)


SCHEDULES: dict[str, tuple[dict[str, Any], Callable[[torch.optim.Optimizer], Any]]] = {
    "constant": (_of("Constant"), lambda o: lr_scheduler.LambdaLR(o, lambda epoch: 1.0)),
    "step": (_of("Step", factor=0.5, every=5), lambda o: lr_scheduler.StepLR(o, 5, 0.5)),
    "multi_step": (
        _of("MultiStep", epochs=[3, 8, 15], factor=0.3),
        lambda o: lr_scheduler.MultiStepLR(o, [3, 8, 15], 0.3),
    ),
    "exponential": (_of("ExponentialDecay", factor=0.9), lambda o: lr_scheduler.ExponentialLR(o, 0.9)),
    "polynomial": (_of("PolynomialDecay", power=2.0), lambda o: lr_scheduler.PolynomialLR(o, EPOCHS, 2.0)),
    "linear": (_of("LinearDecay", final=0.1), lambda o: lr_scheduler.LinearLR(o, 1.0, 0.1, EPOCHS)),
    "cosine": (_of("Cosine", final=0.1), lambda o: lr_scheduler.CosineAnnealingLR(o, EPOCHS, 0.1)),
    "cosine_restarts": (
        _of("CosineRestarts", epochs=4, growth=2.0, final=0.05),
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 4, 2, 0.05),
    ),
    "cyclic": (_of("Cyclic", epochs=3, low=0.2), lambda o: lr_scheduler.CyclicLR(o, 0.2, 1.0, 3, cycle_momentum=False)),
    "cyclic_halving": (
        _of("Cyclic", epochs=3, low=0.2, form="halving"),
        lambda o: lr_scheduler.CyclicLR(o, 0.2, 1.0, 3, mode="triangular2", cycle_momentum=False),
    ),
    "inverse_time": (_of("InverseTimeDecay", rate=0.25), lambda o: lr_scheduler.LambdaLR(o, _linear)),
    "warmup": (
        _of("Warmup", schedule=_of("Constant"), epochs=6.0, start=0.1),
        lambda o: lr_scheduler.LinearLR(o, 0.1, 1.0, 6),
    ),
    "phases": (
        _of("Phases", phases=[[_of("LinearDecay", final=0.5), 6], [_of("ExponentialDecay", factor=0.9), None]]),
        lambda o: lr_scheduler.SequentialLR(
            o, [lr_scheduler.LinearLR(o, 1.0, 0.5, 6), lr_scheduler.ExponentialLR(o, 0.9)], [6]
        ),
    ),
    "one_cycle": (
        _of("OneCycle", rise=0.25, start=0.04, final=0.0004, momentum_low=0.85, momentum_high=0.95),
        lambda o: lr_scheduler.OneCycleLR(o, 1.0, EPOCHS, pct_start=0.25, div_factor=25, final_div_factor=100),
    ),
    "one_cycle_linear": (
        _of("OneCycle", rise=0.25, start=0.04, final=0.0004, form="linear", momentum_low=0.85, momentum_high=0.95),
        lambda o: lr_scheduler.OneCycleLR(
            o, 1.0, EPOCHS, pct_start=0.25, anneal_strategy="linear", div_factor=25, final_div_factor=100
        ),
    ),
}
LOSSES = [5, 4, 3, 3.1, 3.2, 2.99, 2.98, 3, 3, 3, 2, 2.1, 2.2, 2.3, 2.4, 2.5, 2.6, 1.9999, 1.9998, 3, 3, 3, 3, 3]
PLATEAUS = {"factor": 0.5, "patience": 2, "min_delta": 1e-2, "cooldown": 1, "lowest": 0.1}


def schedules() -> dict[str, Any]:
    """Record rate and momentum epoch by epoch, with one step an epoch, from a rate of 1 and a momentum of 0.9."""
    cases = {}
    for name, (ours, make) in SCHEDULES.items():
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
        schedule = make(optimizer)
        rates, momenta = [], []
        for epoch in range(EPOCHS):
            rates.append(optimizer.param_groups[0]["lr"])
            momenta.append(optimizer.param_groups[0]["momentum"])
            optimizer.step()
            if epoch < EPOCHS - 1:
                schedule.step()
        cases[name] = {"schedule": ours, "rates": rates, "momenta": momenta}
    return {"cases": cases, "plateau": _plateau()}


def _plateau() -> dict[str, Any]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=2, threshold=1e-2, threshold_mode="abs", cooldown=1, min_lr=0.1
    )
    rates = []
    for loss in LOSSES:
        rates.append(optimizer.param_groups[0]["lr"])
        schedule.step(loss)
    return {"schedule": _of("ReduceOnPlateau", metric="loss", **PLATEAUS), "losses": LOSSES, "rates": rates}
