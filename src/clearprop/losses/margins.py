"""Losses that ask for a margin between scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from clearprop import ops
from clearprop.ir import Type
from clearprop.losses.loss import BinaryLoss, ClassLoss, Loss, chosen_class, over_outputs, same_shape
from clearprop.ops import Tensor
from clearprop.settings import choice, real, whole


@dataclass(frozen=True)
class Hinge(BinaryLoss):
    """max(0, margin - s z) with s = 2 t - 1 for the answers t, 0 or 1 (Cortes and Vapnik, 1995).

    With margin 0 it is the perceptron's: its gradient is the rule of Rosenblatt (1958). `predict` gives (z + 1) / 2,
    the score in units of the answer: 1/2 is undecided. It is no probability. The derivative at the margin is 0.
    """

    margin: float = real(1.0, "[0, inf)")
    over: str = choice("mean", "sum")

    def per_output(self, output: Tensor, target: Tensor) -> Tensor:
        """Write max(0, margin - s z)."""
        return _short_of(self.margin, (2.0 * target - 1.0) * output)

    def predict(self, output: Tensor) -> Tensor:
        """Write the score in units of the answer, (z + 1) / 2."""
        return 0.5 * (output + 1.0)


@dataclass(frozen=True)
class SquaredHinge(BinaryLoss):
    """max(0, margin - s z)^2 with s = 2 t - 1 for the answers t, 0 or 1; `predict` gives (z + 1) / 2, as `Hinge`."""

    margin: float = real(1.0, "(0, inf)")
    over: str = choice("mean", "sum")

    def per_output(self, output: Tensor, target: Tensor) -> Tensor:
        """Write max(0, margin - s z)^2."""
        return ops.square(_short_of(self.margin, (2.0 * target - 1.0) * output))

    def predict(self, output: Tensor) -> Tensor:
        """Write the score in units of the answer, (z + 1) / 2."""
        return 0.5 * (output + 1.0)


@dataclass(frozen=True)
class MultiMargin(ClassLoss):
    """(1 / K) sum over the other classes k of max(0, margin - z_y + z_k)^power (Crammer and Singer, 2001).

    The 1 / K is PyTorch's. `predict` gives the scores z.
    """

    soft: ClassVar[bool] = False
    margin: float = real(1.0, "(0, inf)")
    power: int = whole(1, 1)

    def per_sample(self, output: Tensor, target: Tensor) -> Tensor:
        """Write the mean shortfall of every sample."""
        hit = chosen_class(target, output)
        own = ops.sum(ops.where(hit, output, 0.0), -1, keepdims=True)
        each = _short_of(self.margin, own - output)
        for _ in range(self.power - 1):
            each = each * _short_of(self.margin, own - output)
        return over_outputs(ops.mean(ops.where(hit, 0.0, each), -1))


@dataclass(frozen=True)
class MultiLabelMargin(Loss):
    """(1 / K) sum over labels i that hold and j that do not of max(0, margin - (z_i - z_j)).

    The targets are 0 or 1, of the output's shape (n, K). The loss only ranks: labels that hold above those that do not.
    `predict` gives z - mean(z) + 1/2, so that the labels above the sample's mean are those that are predicted.
    """

    task: ClassVar[str] = "classification"
    answers: ClassVar[bool] = True
    margin: float = real(1.0, "(0, inf)")

    def target_type(self, output: Type, given: Type) -> Type:
        """The target has the output's shape."""
        return same_shape(self, output, given)

    def per_sample(self, output: Tensor, target: Tensor) -> Tensor:
        """Write the shortfall of every pair of labels, summed, divided by their number K."""
        gap = output[..., :, None] - output[..., None, :]
        pairs = target[..., :, None] * (1.0 - target[..., None, :])
        return over_outputs(ops.mean(ops.sum(pairs * _short_of(self.margin, gap), -1), -1))

    def predict(self, output: Tensor) -> Tensor:
        """Write how far each score lies above the sample's mean, plus 1/2."""
        return output - ops.mean(output, -1, keepdims=True) + 0.5


def _short_of(margin: float, gap: Tensor) -> Tensor:
    return ops.maximum(margin - gap, 0.0)
