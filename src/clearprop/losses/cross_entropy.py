"""Losses of probabilities, from logits: cross-entropy and its kin, of several classes and of yes or no."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from clearprop import ops
from clearprop.losses.loss import BinaryLoss, ClassLoss, chosen_class, over_outputs
from clearprop.losses.regression import positive
from clearprop.ops import Tensor
from clearprop.settings import choice, real


@dataclass(frozen=True)
class CrossEntropy(ClassLoss):
    """-sum_k t_k log softmax(z)_k from logits z; the target is a class index, or probabilities t_k.

    Computed as log(sum_k exp(s_k)) - s_y with s = z - max(z), which neither overflows nor loses small losses.

    Attributes:
        smoothing: the part of each target that is spread over all K classes alike, (1 - smoothing) t_k + smoothing / K
            (label smoothing; Szegedy et al., 2016).
    """

    probabilities: ClassVar[bool] = True
    smoothing: float = real(0.0, "[0, 1)")

    def per_sample(self, output: Tensor, target: Tensor) -> Tensor:
        """Write the loss of every sample; of a sequence, the mean over its places."""
        shifted = ops.name(output - ops.stop_gradient(ops.max(output, -1, keepdims=True)), "shifted")
        log_total = ops.log(ops.name(ops.sum(ops.exp(shifted), -1), "total"))
        if target.rank < output.rank:
            loss = log_total - ops.sum(ops.where(chosen_class(target, output), shifted, 0.0), -1)
        else:
            loss = ops.sum(target, -1) * log_total - ops.sum(target * shifted, -1)
        if self.smoothing:
            even = log_total - ops.mean(shifted, -1)
            mass = 1.0 if target.rank < output.rank else ops.sum(target, -1)
            loss = (1.0 - self.smoothing) * loss + self.smoothing * (mass * even)
        return over_outputs(loss)

    def predict(self, output: Tensor) -> Tensor:
        """Write the probabilities softmax(z)."""
        return ops.softmax(output, -1)

    @property
    def words(self) -> str:
        """What the loss is called in messages."""
        return "cross-entropy"


@dataclass(frozen=True)
class KLDivergence(ClassLoss):
    """sum_k t_k (log t_k - log softmax(z)_k) from logits z: cross-entropy less the entropy of the probabilities t.

    Terms with t_k = 0 are 0 (Kullback and Leibler, 1951).
    """

    probabilities: ClassVar[bool] = True
    hard: ClassVar[bool] = False

    def per_sample(self, output: Tensor, target: Tensor) -> Tensor:
        """Write the divergence of every sample."""
        return over_outputs(ops.sum(target * (ops.log(positive(target)) - ops.log_softmax(output, -1)), -1))

    def predict(self, output: Tensor) -> Tensor:
        """Write the probabilities softmax(z)."""
        return ops.softmax(output, -1)


@dataclass(frozen=True)
class NegativeLogLikelihood(ClassLoss):
    """-sum_k t_k z_k for log probabilities z, as `LogSoftmax` gives; the target is a class index, or probabilities."""

    probabilities: ClassVar[bool] = True

    def per_sample(self, output: Tensor, target: Tensor) -> Tensor:
        """Write minus the log probability of each sample's class."""
        if target.rank < output.rank:
            return over_outputs(-ops.sum(ops.where(chosen_class(target, output), output, 0.0), -1))
        return over_outputs(-ops.sum(target * output, -1))

    def predict(self, output: Tensor) -> Tensor:
        """Write the probabilities exp(z)."""
        return ops.exp(output)


@dataclass(frozen=True)
class Focal(ClassLoss):
    """-sum_k t_k (1 - p_k)^gamma log p_k with p = softmax(z), from logits z: what is already right counts less.

    Source: Lin et al. (2017), for several classes; gamma = 0 is cross-entropy.
    """

    probabilities: ClassVar[bool] = True
    gamma: float = real(2.0, "[0, inf)")

    def per_sample(self, output: Tensor, target: Tensor) -> Tensor:
        """Write the loss of every sample."""
        log_p = ops.log_softmax(output, -1)
        each = _focused(log_p, self.gamma)
        if target.rank < output.rank:
            return over_outputs(ops.sum(ops.where(chosen_class(target, output), each, 0.0), -1))
        return over_outputs(ops.sum(target * each, -1))

    def predict(self, output: Tensor) -> Tensor:
        """Write the probabilities softmax(z)."""
        return ops.softmax(output, -1)


@dataclass(frozen=True)
class BinaryCrossEntropy(BinaryLoss):
    """-t log p - (1 - t) log(1 - p) with p = sigmoid(z), from logits z; the mean (or sum) over the outputs.

    Computed as softplus(z) - t z, which does not overflow. The target is 0 or 1, or a probability.
    """

    probabilities: ClassVar[bool] = True
    over: str = choice("mean", "sum")

    def per_output(self, output: Tensor, target: Tensor) -> Tensor:
        """Write softplus(z) - t z."""
        return ops.softplus(output) - target * output

    def predict(self, output: Tensor) -> Tensor:
        """Write the probabilities sigmoid(z)."""
        return ops.sigmoid(output)


@dataclass(frozen=True)
class BinaryFocal(BinaryLoss):
    """-t a (1 - p)^gamma log p - (1 - t) (1 - a) p^gamma log(1 - p) with p = sigmoid(z), from logits z.

    Source: Lin et al. (2017).

    Attributes:
        gamma: how much less counts what is already right; 0 is cross-entropy (times 1/2 for alpha 1/2).
        alpha: the weight a of the answer 1; that of the answer 0 is 1 - a.
        over: how the outputs are joined.
    """

    probabilities: ClassVar[bool] = True
    gamma: float = real(2.0, "[0, inf)")
    alpha: float = real(0.25, "(0, 1)")
    over: str = choice("mean", "sum")

    def per_output(self, output: Tensor, target: Tensor) -> Tensor:
        """Write the loss of each output."""
        yes, no = (_focused(ops.log_sigmoid(z), self.gamma) for z in (output, -output))
        return self.alpha * (target * yes) + (1.0 - self.alpha) * ((1.0 - target) * no)

    def predict(self, output: Tensor) -> Tensor:
        """Write the probabilities sigmoid(z)."""
        return ops.sigmoid(output)


def _focused(log_p: Tensor, gamma: float) -> Tensor:
    """-(1 - p)^gamma log p; 1 - p is written as -expm1(log p), exact where p is near 1, and above 0 for its power."""
    return -log_p if gamma == 0.0 else ops.maximum(-ops.expm1(log_p), 1e-30) ** gamma * -log_p
