"""Losses of what is not one number: several quantiles, a mean with its spread."""

from __future__ import annotations

import math
from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist
from typing import Any, ClassVar

import numpy as np

from clearprop import ops
from clearprop.errors import SettingsError, ShapeError
from clearprop.ir import Type
from clearprop.losses.loss import Array, Loss, over_outputs
from clearprop.ops import Tensor
from clearprop.settings import Allowed, choice, field, flag, real, within


def _increasing(value: Any) -> bool:
    if not isinstance(value, tuple) or not value or not all(within(q, "(0, 1)") for q in value):
        return False
    return all(a < b for a, b in pairwise(value))


class DistributionLoss(Loss):
    """A loss whose prediction says how a number is distributed, of which quantiles are asked."""

    task: ClassVar[str] = "regression"

    @property
    @abstractmethod
    def levels(self) -> tuple[float, ...]:
        """The quantiles that are given if none are asked for, increasing, in (0, 1)."""

    @abstractmethod
    def quantile(self, prediction: Array, level: float) -> Array:
        """Return one quantile (n, targets) of a prediction.

        Raises:
            SettingsError: the prediction does not hold it.
        """

    @abstractmethod
    def spread(self, prediction: Array) -> dict[str, Array]:
        """Return by name what a prediction says beside its point, each (n, targets)."""


_SLACK = 1e-9
"""By how much a level may miss the outermost one: (1 - 0.9) / 2 is not quite 0.05."""
_QUANTILES = Allowed(
    "are increasing numbers in (0, 1), such as (0.1, 0.5, 0.9)",
    _increasing,
    ((), (0.5, 0.1), (0.0, 0.5), (0.5, 1.0), (0.5, 0.5), 0.5, "0.5", None),
)


@dataclass(frozen=True)
class Quantile(DistributionLoss):
    """The pinball loss of several quantiles at once: max(q e, (q - 1) e) with e = target - quantile, their mean.

    Shapes: outputs (n, ..., quantiles), targets (n, ...); (n, 1) stands for (n,).

    The quantiles do not cross: the lowest is z_1, and each further one adds softplus(z_k); `predict` gives them.
    Source: Koenker and Bassett (1978).

    Attributes:
        quantiles: which quantiles, increasing, in (0, 1).
        crossing: True to take the outputs as the quantiles, whatever their order.
    """

    quantiles: tuple[float, ...] = field(_QUANTILES, (0.1, 0.5, 0.9))
    crossing: bool = flag(False)

    def __post_init__(self) -> None:
        if isinstance(self.quantiles, list | np.ndarray):
            object.__setattr__(self, "quantiles", tuple(np.asarray(self.quantiles).tolist()))
        super().__post_init__()

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

    def outputs_for(self, targets: int) -> int:
        """One output for each quantile, of one target."""
        if targets != 1:
            raise SettingsError(
                f"{self!r} takes one number a sample, received {targets}: fit an estimator for each, as scikit-learn's "
                "MultiOutputRegressor does, or a Model whose outputs are (n, numbers, quantiles)"
            )
        return len(self.quantiles)

    @property
    def levels(self) -> tuple[float, ...]:
        """The quantiles that are learnt."""
        return self.quantiles

    def quantile(self, prediction: Array, level: float) -> Array:
        """Return a quantile that is learnt, or one between two of them, interpolated linearly."""
        levels = self.quantiles
        if not levels[0] - _SLACK <= level <= levels[-1] + _SLACK:
            raise SettingsError(
                f"{self!r} gives quantiles from {levels[0]} to {levels[-1]}, and none at {level:g}: add it to quantiles"
            )
        above = min(bisect_right(levels, level), len(levels) - 1)
        below = max(above - 1, 0)
        gap = levels[above] - levels[below]
        share = min(max((level - levels[below]) / gap, 0.0), 1.0) if gap else 0.0
        between = (1.0 - share) * prediction[..., below] + share * prediction[..., above]
        return np.asarray(between[..., None] if prediction.ndim == 2 else between, prediction.dtype)

    def spread(self, prediction: Array) -> dict[str, Array]:
        """Return the quantiles that are learnt."""
        return {f"quantile_{level:g}": self.quantile(prediction, level) for level in self.quantiles}

    def point(self, prediction: Array) -> Array:
        """Return the median, or the quantile nearest to it."""
        return self.quantile(prediction, min(max(0.5, self.quantiles[0]), self.quantiles[-1]))

    def in_units(self, prediction: Array, decode: Callable[[Array], Array]) -> Array:
        """Return each quantile in the target's units."""
        columns = [np.asarray(decode(prediction[:, k : k + 1])).reshape(-1) for k in range(prediction.shape[-1])]
        return np.stack(columns, axis=-1)


@dataclass(frozen=True)
class GaussianLikelihood(DistributionLoss):
    """(log v + (t - m)^2 / v) / 2: the negative log likelihood of a normal with mean m and variance v, both learnt.

    Shapes: outputs (n, ..., 2 k), the first half means m and the second half z with v = softplus(z) + least; targets
    (n, ..., k); (n,) stands for (n, 1). `predict` gives means and standard deviations, in one array (n, ..., 2 k).
    Standardise targets: v starts near 0.7 and moves by about a learning rate a step, which is slow where it is large.
    Source: Nix and Weigend (1994).

    Attributes:
        least: the least variance, which keeps the loss finite where a target is met exactly.
        constant: whether log(2 pi) / 2 is added.
        over: how the outputs are joined.
    """

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

    def outputs_for(self, targets: int) -> int:
        """Two outputs for each target."""
        return 2 * targets

    @property
    def levels(self) -> tuple[float, ...]:
        """The median, with an interval around it that holds 90 % of the targets."""
        return (0.05, 0.5, 0.95)

    def quantile(self, prediction: Array, level: float) -> Array:
        """Return mean + Phi^-1(level) standard deviations."""
        mean, std = np.split(prediction, 2, axis=-1)
        return np.asarray(mean + NormalDist().inv_cdf(level) * std, prediction.dtype)

    def spread(self, prediction: Array) -> dict[str, Array]:
        """Return the standard deviations."""
        return {"standard_deviation": np.split(prediction, 2, axis=-1)[1]}

    def point(self, prediction: Array) -> Array:
        """Return the means."""
        return np.split(prediction, 2, axis=-1)[0]

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
