"""Activations that let positive numbers pass and hold negative ones back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from clearprop import ops
from clearprop.errors import SettingsError, ShapeError
from clearprop.ir import Shape
from clearprop.nn.activations.activation import Activation
from clearprop.nn.allowance import filled
from clearprop.nn.context import is_training, random_uniform
from clearprop.nn.layer import Arrays, Tensors
from clearprop.ops import Tensor, show
from clearprop.randomness import Key
from clearprop.settings import flag, real

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


class Rectifier(Activation):
    """An activation that behaves as ReLU does for large inputs; half of the variance passes."""

    gain: ClassVar[float] = math.sqrt(2.0)
    start: ClassVar[str] = "kaiming"


def negative_part(z: Tensor) -> Tensor:
    """min(z, 0) with the derivative 1 at 0, so that what is made of it goes on smoothly from below."""
    return ops.where(z > 0.0, 0.0, z)


@dataclass(frozen=True)
class ReLU(Rectifier):
    """a = max(z, 0), with the derivative 0 at z = 0 (Nair and Hinton, 2010)."""

    name: str | None = None

    def function(self, z: Tensor) -> Tensor:
        """Write max(z, 0)."""
        return ops.relu(z)


@dataclass(frozen=True)
class ReLU6(Rectifier):
    """a = max(z, 0), at most 6 (Krizhevsky, 2010); the derivative at 0 and 6 is 0."""

    name: str | None = None

    def function(self, z: Tensor) -> Tensor:
        """Write clip(z, 0, 6)."""
        return ops.clip(z, 0.0, 6.0)


@dataclass(frozen=True)
class LeakyReLU(Rectifier):
    """a = z for z > 0, else slope z (Maas, Hannun and Ng, 2013)."""

    slope: float = real(0.01, "[0, inf)")
    name: str | None = None

    def function(self, z: Tensor) -> Tensor:
        """Write z where it is positive and slope z elsewhere."""
        return ops.leaky_relu(z, self.slope)


@dataclass(frozen=True)
class PReLU(Rectifier):
    """a = z for z > 0, else slope z, with a slope that is learnt, one for each unit (He et al., 2015).

    Shapes: z (n, ..., units), slope (units), or (1) when it is shared.

    Attributes:
        start_slope: where the slopes start.
        shared: whether all units share one slope.
    """

    start_slope: float = real(0.25, "(-inf, inf)")
    shared: bool = flag(False)
    name: str | None = None

    def init(self, key: Key, shapes: Shape) -> Arrays:
        """Return the slope, (units) or (1)."""
        units = shapes[-1] if shapes else None
        if not isinstance(units, int):
            raise ShapeError(f"PReLU takes samples with a last axis of numbers, received samples {show(shapes)}")
        return {"slope": filled(self.start_slope, 1 if self.shared else units)}

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return x where it is positive and slope x elsewhere."""
        return ops.label(ops.where(x > 0.0, x, x * params["slope"]), "a")

    def function(self, z: Tensor) -> Tensor:
        """Write the activation with the first slope."""
        return ops.leaky_relu(z, self.start_slope)


@dataclass(frozen=True)
class RReLU(Rectifier):
    """a = z for z > 0, else r z: in training r is uniform in [lower, upper), new for each number; else their mean.

    Source: Xu et al. (2015), Empirical evaluation of rectified activations.
    """

    lower: float = real(1.0 / 8.0, "[0, inf)")
    upper: float = real(1.0 / 3.0, "[0, inf)")
    name: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lower > self.upper:
            raise SettingsError(f"RReLU: lower is at most upper, {self.upper!r}, received {self.lower!r}")

    def function(self, z: Tensor) -> Tensor:
        """Write z where it is positive and r z elsewhere."""
        if not is_training():
            return ops.leaky_relu(z, 0.5 * (self.lower + self.upper))
        slope = self.lower + (self.upper - self.lower) * ops.astype(random_uniform(z.shape), z.dtype)
        return ops.where(z > 0.0, z, z * slope)


@dataclass(frozen=True)
class ELU(Rectifier):
    """a = z for z > 0, else alpha (exp(z) - 1) (Clevert, Unterthiner and Hochreiter, 2016)."""

    alpha: float = real(1.0, "(0, inf)")
    name: str | None = None

    def function(self, z: Tensor) -> Tensor:
        """Write z where it is positive and alpha expm1(z) elsewhere."""
        return ops.where(z > 0.0, z, self.alpha * ops.expm1(negative_part(z)))


@dataclass(frozen=True)
class CELU(Rectifier):
    """a = z for z > 0, else alpha (exp(z / alpha) - 1), smooth at 0 for every alpha (Barron, 2017)."""

    alpha: float = real(1.0, "(0, inf)")
    name: str | None = None

    def function(self, z: Tensor) -> Tensor:
        """Write z where it is positive and alpha expm1(z / alpha) elsewhere."""
        return ops.where(z > 0.0, z, self.alpha * ops.expm1(negative_part(z) * (1.0 / self.alpha)))


@dataclass(frozen=True)
class SELU(Activation):
    """a = scale z for z > 0, else scale alpha (exp(z) - 1), with scale 1.0507 and alpha 1.6733.

    With LeCun's weights, mean 0 and variance 1 are kept from layer to layer (Klambauer et al., 2017).
    """

    gain: ClassVar[float] = 0.75
    start: ClassVar[str] = "lecun"
    name: str | None = None

    def function(self, z: Tensor) -> Tensor:
        """Write scale z where z is positive and scale alpha expm1(z) elsewhere."""
        return SELU_SCALE * ops.where(z > 0.0, z, SELU_ALPHA * ops.expm1(negative_part(z)))


@dataclass(frozen=True)
class Softplus(Rectifier):
    """a = log(1 + exp(beta z)) / beta, a smooth ReLU (Dugas et al., 2001), in a form that does not overflow."""

    beta: float = real(1.0, "(0, inf)")
    name: str | None = None

    def function(self, z: Tensor) -> Tensor:
        """Write softplus(beta z) / beta."""
        return ops.softplus(z) if self.beta == 1.0 else ops.softplus(self.beta * z) * (1.0 / self.beta)


@dataclass(frozen=True)
class Softshrink(Activation):
    """a = z - sign(z) limit where |z| > limit, else 0: the proximal map of limit |z| (Donoho, 1995)."""

    limit: float = real(0.5, "[0, inf)")
    name: str | None = None

    def function(self, z: Tensor) -> Tensor:
        """Write z less z held within [-limit, limit]."""
        return z - ops.where(ops.abs(z) > self.limit, self.limit * ops.sign(z), z)


@dataclass(frozen=True)
class Hardshrink(Activation):
    """a = z where |z| > limit, else 0: keeps what is large as it is (Donoho and Johnstone, 1994)."""

    limit: float = real(0.5, "[0, inf)")
    name: str | None = None

    def function(self, z: Tensor) -> Tensor:
        """Write z where |z| > limit and 0 elsewhere."""
        return ops.where(ops.abs(z) > self.limit, z, 0.0)
