"""Cross-entropy of several classes, and binary cross-entropy."""

from __future__ import annotations

from dataclasses import dataclass

from clearprop import ops
from clearprop.errors import ShapeError
from clearprop.ir import Type
from clearprop.losses.loss import Loss, check_over, over_outputs, same_shape
from clearprop.ops import Tensor


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """-sum_k t_k log softmax(z)_k from logits z; the target is a class index, or probabilities t_k.

    Computed as log(sum_k exp(s_k)) - s_y with s = z - max(z), which neither overflows nor loses small losses.
    """

    def target_type(self, output: Type, given: Type) -> Type:
        """Class indices of shape (n,), or probabilities of the output's shape."""
        if output.rank < 2:
            raise ShapeError(f"cross-entropy needs logits (n, classes), and the network gives {output}")
        if not given.dtype.startswith("float") and given.shape == output.shape[:-1]:
            return Type("int64", output.shape[:-1])
        if given.dtype.startswith("float") and given.shape == output.shape:
            return output
        raise ShapeError(
            f"cross-entropy of logits {output} takes class indices {Type('int64', output.shape[:-1])} "
            f"or probabilities {output}, received {given}"
        )

    def per_sample(self, output: Tensor, target: Tensor) -> Tensor:
        """Write the loss of every sample; of a sequence, the mean over its places."""
        shifted = ops.name(output - ops.stop_gradient(ops.max(output, -1, keepdims=True)), "shifted")
        log_total = ops.log(ops.name(ops.sum(ops.exp(shifted), -1), "total"))
        if target.rank < output.rank:
            classes = ops.arange(output.shape[-1], target.dtype)
            hit = ops.name(ops.reshape(target, (*target.shape, 1)) == classes, "hit")
            return over_outputs(log_total - ops.sum(ops.where(hit, shifted, 0.0), -1), "mean")
        mass = ops.sum(target, -1)
        return over_outputs(mass * log_total - ops.sum(target * shifted, -1), "mean")

    def predict(self, output: Tensor) -> Tensor:
        """Write the probabilities softmax(z)."""
        return ops.softmax(output, -1)


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """-t log p - (1 - t) log(1 - p) with p = sigmoid(z), from logits z; the mean (or sum) over the outputs.

    Computed as softplus(z) - t z, which does not overflow. The target is 0 or 1, or a probability.
    """

    over: str = "mean"

    def __post_init__(self) -> None:
        check_over(self.over)

    def target_type(self, output: Type, given: Type) -> Type:
        """The target has the output's shape; (n,) stands for (n, 1)."""
        return same_shape(self, output, given)

    def per_sample(self, output: Tensor, target: Tensor) -> Tensor:
        """Write softplus(z) - t z, reduced over the outputs, of shape (n,)."""
        return over_outputs(ops.softplus(output) - target * output, self.over)

    def predict(self, output: Tensor) -> Tensor:
        """Write the probabilities sigmoid(z)."""
        return ops.sigmoid(output)
