"""Losses of numbers: functions of the error, output minus target."""

from __future__ import annotations

import math
from dataclasses import dataclass

from clearprop import ops
from clearprop.ir import dims_product
from clearprop.losses.loss import OutputLoss
from clearprop.ops import Tensor
from clearprop.settings import choice, real


@dataclass(frozen=True)
class SquaredError(OutputLoss):
    """scale times the mean (or sum) over the outputs of (output - target)^2.

    `SquaredError(scale=0.5, over="sum")` is the half squared error of the textbooks.
    """

    scale: float = real(1.0, "(0, inf)")
    over: str = choice("mean", "sum")

    def per_sample(self, output: Tensor, target: Tensor) -> Tensor:
        """Write scale mean_j (output_j - target_j)^2, of shape (n,)."""
        total = super().per_sample(output, target)
        return total if self.scale == 1.0 else self.scale * total

    def per_output(self, output: Tensor, target: Tensor) -> Tensor:
        """Write (output - target)^2."""
        return ops.square(output - target)

    def residual(self, output: Tensor, target: Tensor) -> Tensor:
        """Write sqrt(scale) (output - target), over the root of the number of outputs when their mean is taken."""
        axes = tuple(range(1, output.rank))
        share = self.scale / dims_product(output.shape[axis] for axis in axes)[0] if self.over == "mean" else self.scale
        return (output - target) * math.sqrt(share)


@dataclass(frozen=True)
class AbsoluteError(OutputLoss):
    """The mean (or sum) over the outputs of |output - target|; the derivative at 0 is 0."""

    over: str = choice("mean", "sum")

    def per_output(self, output: Tensor, target: Tensor) -> Tensor:
        """Write |output - target|."""
        return ops.abs(output - target)


@dataclass(frozen=True)
class Huber(OutputLoss):
    """e^2 / 2 for |e| <= delta, else delta (|e| - delta / 2), with e = output - target (Huber, 1964)."""

    delta: float = real(1.0, "(0, inf)")
    over: str = choice("mean", "sum")

    def per_output(self, output: Tensor, target: Tensor) -> Tensor:
        """Write half the squared error where it is small, and a multiple of the absolute one where it is large."""
        error = output - target
        size = ops.abs(error)
        return ops.where(size > self.delta, self.delta * size - 0.5 * self.delta**2, 0.5 * ops.square(error))


@dataclass(frozen=True)
class SmoothL1(OutputLoss):
    """e^2 / (2 beta) for |e| <= beta, else |e| - beta / 2, with e = output - target: Huber / beta (Girshick, 2015)."""

    beta: float = real(1.0, "(0, inf)")
    over: str = choice("mean", "sum")

    def per_output(self, output: Tensor, target: Tensor) -> Tensor:
        """Write the squared error where it is small, and the absolute one where it is large."""
        error = output - target
        size = ops.abs(error)
        return ops.where(size > self.beta, size - 0.5 * self.beta, (0.5 / self.beta) * ops.square(error))


@dataclass(frozen=True)
class LogCosh(OutputLoss):
    """log cosh e with e = output - target: e^2 / 2 near 0 and |e| - log 2 far away.

    Computed as e + softplus(-2 e) - log 2, which does not overflow; its derivative is tanh e.
    """

    over: str = choice("mean", "sum")

    def per_output(self, output: Tensor, target: Tensor) -> Tensor:
        """Write e + softplus(-2 e) - log 2."""
        error = output - target
        return error + ops.softplus(-2.0 * error) - math.log(2.0)


@dataclass(frozen=True)
class Poisson(OutputLoss):
    """exp(z) - t z for counts t with the rate exp(z): the negative log likelihood without its constant, log t!.

    `predict` gives the rate. The rate of an output above 709 (88 in float32) is too large for a number.

    Attributes:
        form: "likelihood"; or "deviance" to add t log t - t, so that the least loss is 0 (half the deviance).
        over: how the outputs are joined.
    """

    form: str = choice("likelihood", "deviance")
    over: str = choice("mean", "sum")

    def per_output(self, output: Tensor, target: Tensor) -> Tensor:
        """Write exp(z) - t z, and in the form of a deviance t log t - t."""
        loss = ops.exp(output) - target * output
        return loss if self.form == "likelihood" else loss + target * ops.log(positive(target)) - target

    def predict(self, output: Tensor) -> Tensor:
        """Write the rates exp(z)."""
        return ops.exp(output)


def positive(x: Tensor) -> Tensor:
    """x where it is positive and 1 elsewhere, so that t log t is 0 at t = 0."""
    return ops.where(x > 0.0, x, 1.0)
