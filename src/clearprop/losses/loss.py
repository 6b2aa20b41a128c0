"""The loss contract, and the three quantities: loss (of a sample), cost (the mean), objective (cost + penalty)."""

from __future__ import annotations

from abc import ABC, abstractmethod

from clearprop import ops
from clearprop.errors import SettingsError, ShapeError
from clearprop.ir import Type
from clearprop.ops import Tensor


class Loss(ABC):
    """How far the network's output is from the target, for each sample.

    The network's output is taken before any final squashing (logits); `predict` applies it.
    """

    @abstractmethod
    def target_type(self, output: Type, given: Type) -> Type:
        """Return the type the target must have, from the output's and the given target's.

        Raises:
            ShapeError: no target like the given one fits the output; the message says what would.
        """

    @abstractmethod
    def per_sample(self, output: Tensor, target: Tensor) -> Tensor:
        """Write the loss of every sample, of shape (n,)."""

    def residual(self, output: Tensor, target: Tensor) -> Tensor:
        """Write, for a loss that is a sum of squares, what is squared: (n, ...), per sample adding up to the loss.

        Raises:
            SettingsError: this loss is none.
        """
        raise SettingsError(f"{self!r} is no sum of squares, which Levenberg-Marquardt needs: take SquaredError")

    def predict(self, output: Tensor) -> Tensor:
        """Write what `Model.predict` gives from the network's output; the output itself by default."""
        return output


def same_shape(loss: Loss, output: Type, given: Type) -> Type:
    """Return the output's type as the target's; a target (n,) stands for (n, 1)."""
    if given.shape == output.shape or (output.shape[1:] == (1,) and given.shape == output.shape[:1]):
        return output
    raise ShapeError(
        f"{loss!r} compares an output {output} with a target of the same shape, received {given}; "
        "change the last layer's units or the target"
    )


def over_outputs(per_output: Tensor, over: str) -> Tensor:
    """Reduce the losses of a sample's outputs to one: their mean or their sum."""
    axes = tuple(range(1, per_output.rank))
    if not axes:
        return per_output
    return ops.mean(per_output, axes) if over == "mean" else ops.sum(per_output, axes)


def check_over(over: str) -> None:
    """Raise `SettingsError` unless the reduction is 'mean' or 'sum'."""
    if over not in ("mean", "sum"):
        raise SettingsError(f"over is 'mean' or 'sum', received {over!r}")


def cost(per_sample: Tensor, weight: Tensor | None) -> Tensor:
    """Write the cost: (1/n) sum_i w_i loss_i over the batch, with w_i = 1 when there are no weights."""
    weighted = per_sample if weight is None else per_sample * weight
    return ops.mean(weighted)
