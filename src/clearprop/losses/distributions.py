"""Losses of what is not one number: several quantiles, a mean with its spread."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from clearprop import ops
from clearprop.errors import ShapeError
from clearprop.ir import Type
from clearprop.losses.loss import Array, Loss, over_outputs
from clearprop.ops import Tensor
from clearprop.settings import Allowed, choice, field, flag, real


def _increasing(value: Any) -> bool:
    if not isinstance(value, tuple | list) or not value:
        return False
    if not all(isinstance(q, float) and 0.0 < q < 1.0 for q in value):
        return False
    return all(a < b for a, b in pairwise(value))


_QUANTILES = Allowed(
    "are increasing numbers in (0, 1), such as (0.1, 0.5, 0.9)",
    _increasing,
    ((), (0.5, 0.1), (0.0, 0.5), (0.5, 1.0), (0.5, 0.5), 0.5, "0.5", None),
)


@dataclass(frozen=True)
class Quantile(Loss):
    """The pinball loss of several quantiles at once: max(q e, (q - 1) e) with e = target - quantile, their mean.

    Shapes: outputs (n, ..., quantiles), targets (n, ...); (n, 1) stands for (n,).

    The quantiles do not cross: the lowest is z_1, and each further one adds softplus(z_k); `predict` gives them.
    Source: Koenker and Bassett (1978).

    Attributes:
        quantiles: which quantiles, increasing, in (0, 1).
        crossing: True to take the outputs as the quantiles, whatever their order.
    """

    task: ClassVar[str] = "regression"
    quantiles: tuple[float, ...] = field(_QUANTILES, (0.1, 0.5, 0.9))
    crossing: bool = flag(False)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "quantiles", tuple(self.quantiles))

    def target_type(self, output: Type, given: Type) -> Type:
        """A target (n, ...) for outputs (n, ..., quantiles)."""
        count = len(self.quantiles)
        if output.rank < 2 or output.shape[-1] != count:
            raise ShapeError(f"{self!r} needs {count} outputs, (n, {count}), and the network gives {output}")
        wanted = self.usual_target(output)
        if given.shape not in (wanted.shape, (*wanted.shape, 1)):
            raise ShapeError(f"{self!r} of outputs {output} takes a target {wanted}, received {given}")
        return wanted

    def usual_target(self, output: Type) -> Type:
        """A target (n, ...) for outputs (n, ..., quantiles)."""
        return output.with_shape(output.shape[:-1])

    def per_sample(self, output: Tensor, target: Tensor) -> Tensor:
        """Write the mean pinball loss over the quantiles, of shape (n,)."""
        error = ops.reshape(target, (*target.shape, 1)) - self.predict(output)
        q = ops.constant(np.array(self.quantiles), output.dtype)
        return over_outputs(ops.maximum(q * error, (q - 1.0) * error))

    def predict(self, output: Tensor) -> Tensor:
        """Write the quantiles, in increasing order."""
        count = len(self.quantiles)
        if self.crossing or count == 1:
            return output
        steps = ops.concat([output[..., :1], ops.softplus(output[..., 1:])], axis=-1)
        return ops.name(steps @ ops.constant(np.triu(np.ones((count, count))), output.dtype), "quantiles")

    def in_units(self, prediction: Array, decode: Callable[[Array], Array]) -> Array:
        """Return each quantile in the target's units."""
        columns = [np.asarray(decode(prediction[:, k : k + 1])).reshape(-1) for k in range(prediction.shape[-1])]
        return np.stack(columns, axis=-1)


@dataclass(frozen=True)
class GaussianLikelihood(Loss):
    """(log v + (t - m)^2 / v) / 2: the negative log likelihood of a normal with mean m and variance v, both learnt.

    Shapes: outputs (n, ..., 2 k), the first half means m and the second half z with v = softplus(z) + least; targets
    (n, ..., k); (n,) stands for (n, 1). `predict` gives means and standard deviations, in one array (n, ..., 2 k).
    Source: Nix and Weigend (1994).

    Attributes:
        least: the least variance, which keeps the loss finite where a target is met exactly.
        constant: whether log(2 pi) / 2 is added.
        over: how the outputs are joined.
    """

    task: ClassVar[str] = "regression"
    least: float = real(1e-6, "(0, inf)")
    constant: bool = flag(False)
    over: str = choice("mean", "sum")

    def target_type(self, output: Type, given: Type) -> Type:
        """A target (n, ..., k) for outputs (n, ..., 2 k)."""
        last = output.shape[-1] if output.rank > 1 else 1
        if not isinstance(last, int) or last % 2:
            raise ShapeError(f"{self!r} needs two outputs a target, (n, 2 k), and the network gives {output}")
        wanted = self.usual_target(output)
        if given.shape != wanted.shape and not (last == 2 and given.shape == wanted.shape[:-1]):
            raise ShapeError(f"{self!r} of outputs {output} takes a target {wanted}, received {given}")
        return wanted

    def usual_target(self, output: Type) -> Type:
        """A target (n, ..., k) for outputs (n, ..., 2 k)."""
        return output.with_shape((*output.shape[:-1], _half(output)))

    def per_sample(self, output: Tensor, target: Tensor) -> Tensor:
        """Write (log v + (t - m)^2 / v) / 2, reduced over the targets, of shape (n,)."""
        mean, variance = self._halves(output)
        loss = 0.5 * (ops.log(variance) + ops.square(target - mean) / variance)
        return over_outputs(loss + 0.5 * math.log(2.0 * math.pi) if self.constant else loss, self.over)

    def predict(self, output: Tensor) -> Tensor:
        """Write the means and the standard deviations."""
        mean, variance = self._halves(output)
        return ops.concat([mean, ops.sqrt(variance)], axis=-1)

    def in_units(self, prediction: Array, decode: Callable[[Array], Array]) -> Array:
        """Return means and standard deviations in the target's units."""
        mean, std = np.split(prediction, 2, axis=-1)
        rows = (len(mean), -1)
        means = np.asarray(decode(mean)).reshape(rows)
        return np.concatenate([means, np.asarray(decode(mean + std)).reshape(rows) - means], axis=-1)

    def _halves(self, output: Tensor) -> tuple[Tensor, Tensor]:
        half = _half(output.type)
        return output[..., :half], ops.name(ops.softplus(output[..., half:]) + self.least, "variance")


def _half(output: Type) -> int:
    last = output.shape[-1]
    return last // 2 if isinstance(last, int) else 0
