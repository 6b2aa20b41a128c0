"""Averages of the weights over training: exponential (EMA) and stochastic weight averaging (SWA)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

from clearprop import ops
from clearprop.ops import Tensor
from clearprop.optim.adam import Adam
from clearprop.optim.optimizer import Optimizer, Slots, Tensors, scaled, whole_part
from clearprop.optim.sgd import SGD
from clearprop.optim.wrapper import Wrapper, trained_values
from clearprop.settings import choice, real, whole


class _Average(Wrapper):
    """What the averages share: the slot `average`, a copy of the weights at first, by which they are evaluated."""

    def init(self, parameter: Tensor) -> Slots:
        """The average: the weights at the start."""
        return {"average": parameter + 0.0}

    @abstractmethod
    def keep(self, hyper: Tensors) -> Tensor:
        """Write the part of the average that stays when this step's weights are taken in, from 0 to 1."""

    def apply(self, parameters: Tensors, gradients: Tensors, slots: Tensors, hyper: Tensors) -> tuple[Slots, Slots]:
        """Write the inner optimiser, and the average with its new weights taken in."""
        new, after = self.optimizer.apply(parameters, gradients, slots, hyper)
        take = 1.0 - self.keep(hyper)
        for name, value in trained_values(self.optimizer, new, after).items():
            before = slots[f"{name}.average"]
            after[f"{name}.average"] = before + scaled(take, value - before)
        return new, after

    def evaluated(self, names: Sequence[str]) -> dict[str, str]:
        """By their averages."""
        return {name: f"{name}.average" for name in names}


@dataclass(frozen=True)
class ExponentialAverage(_Average):
    """a <- decay a + (1 - decay) w after every step of the inner optimiser (Polyak averaging, EMA).

    Validation, early stopping and the fitted model use a; training goes on with w. `start` says how a begins: "copy",
    as the weights after the first step (PyTorch's AveragedModel), or "warm", with min(decay, (1 + t) / (10 + t)) in the
    place of the decay (TensorFlow's num_updates), so that the first weights are soon forgotten.
    """

    optimizer: Optimizer = field(default_factory=Adam)
    decay: float = real(0.999, "[0, 1)")
    start: str = choice("copy", "warm")

    def keep(self, hyper: Tensors) -> Tensor:
        """The decay, 0 at the first step or warmed up."""
        decay, t = self.own(hyper)["decay"], hyper["t"]
        if self.start == "warm":
            return ops.minimum(decay, (1.0 + t) / (10.0 + t))
        return ops.where(t <= 1.0, 0.0, decay)


@dataclass(frozen=True)
class WeightAverage(_Average):
    """Stochastic weight averaging (Izmailov et al., 2018): the plain mean of weights along the way.

    From the step `start` on, a <- (n a + w) / (n + 1) after every `every` steps; until then a is w. Validation, early
    stopping and the fitted model use a; training goes on with w. It wants a rate that stays large (`Cyclic` or
    constant); with `every` the steps of an epoch it is the paper's average over epochs. As the paper has it, statistics
    of batch normalisation are computed for a, see `BatchNorm`.
    """

    optimizer: Optimizer = field(default_factory=SGD)
    start: int = whole(1, 1)
    every: int = whole(1, 1)

    def keep(self, hyper: Tensors) -> Tensor:
        """n / (n + 1) when weights are taken in, 1 in between, 0 before the start."""
        past = (hyper["t"] - float(self.start)) / float(self.every)
        n = whole_part(ops.maximum(past, 0.0))
        kept = ops.where(past == n, n / (n + 1.0), 1.0)
        return ops.where(past < 0.0, 0.0, kept)
