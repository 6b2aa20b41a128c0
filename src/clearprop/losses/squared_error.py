"""Squared error."""

from __future__ import annotations

import math
from dataclasses import dataclass

from clearprop import ops
from clearprop.ir import Type, dims_product
from clearprop.losses.loss import Loss, check_over, over_outputs, same_shape
from clearprop.ops import Tensor


@dataclass(frozen=True)
class SquaredError(Loss):
    """scale times the mean (or sum) over the outputs of (output - target)^2.

    `SquaredError(scale=0.5, over="sum")` is the half squared error of the textbooks.
    """

    scale: float = 1.0
    over: str = "mean"

    def __post_init__(self) -> None:
        check_over(self.over)

    def target_type(self, output: Type, given: Type) -> Type:
        """The target has the output's shape; (n,) stands for (n, 1)."""
        return same_shape(self, output, given)

    def per_sample(self, output: Tensor, target: Tensor) -> Tensor:
        """Write scale mean_j (output_j - target_j)^2, of shape (n,)."""
        total = over_outputs(ops.square(output - target), self.over)
        return total if self.scale == 1.0 else self.scale * total

    def residual(self, output: Tensor, target: Tensor) -> Tensor:
        """Write sqrt(scale) (output - target), over the root of the number of outputs when their mean is taken."""
        axes = tuple(range(1, output.rank))
        share = self.scale / dims_product(output.shape[axis] for axis in axes)[0] if self.over == "mean" else self.scale
        return (output - target) * math.sqrt(share)
