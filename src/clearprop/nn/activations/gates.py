"""Activations that multiply, or choose between, numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from clearprop import ops
from clearprop.errors import ShapeError
from clearprop.nn.activations.activation import Activation
from clearprop.nn.activations.rectifiers import Rectifier
from clearprop.ops import Tensor, show
from clearprop.settings import flag, whole


@dataclass(frozen=True)
class GELU(Rectifier):
    """a = z P(Z <= z) for a standard normal Z: z (1 + erf(z / sqrt 2)) / 2 (Hendrycks and Gimpel, 2016).

    Attributes:
        exact: False for z (1 + tanh(sqrt(2 / pi) (z + 0.044715 z^3))) / 2, by name "gelu_tanh".
    """

    exact: bool = flag(True)
    name: str | None = None

    def function(self, z: Tensor) -> Tensor:
        """Write z times the normal distribution function, or times its approximation."""
        if self.exact:
            return 0.5 * z * (1.0 + ops.erf(z * math.sqrt(0.5)))
        return 0.5 * z * (1.0 + ops.tanh(math.sqrt(2.0 / math.pi) * (z + 0.044715 * (z * z * z))))


@dataclass(frozen=True)
class SiLU(Rectifier):
    """a = z sigmoid(z), also called swish (Elfwing et al., 2018; Ramachandran et al., 2017)."""

    name: str | None = None

    def function(self, z: Tensor) -> Tensor:
        """Write z sigmoid(z)."""
        return z * ops.sigmoid(z)


@dataclass(frozen=True)
class Mish(Rectifier):
    """a = z tanh(softplus(z)) (Misra, 2020)."""

    name: str | None = None

    def function(self, z: Tensor) -> Tensor:
        """Write z tanh(softplus(z))."""
        return z * ops.tanh(ops.softplus(z))


@dataclass(frozen=True)
class HardSwish(Rectifier):
    """a = z (z / 6 + 1/2, held within [0, 1]) (Howard et al., 2019)."""

    name: str | None = None

    def function(self, z: Tensor) -> Tensor:
        """Write z clip(z / 6 + 1/2, 0, 1)."""
        return z * ops.clip(z * (1.0 / 6.0) + 0.5, 0.0, 1.0)


@dataclass(frozen=True)
class GLU(Activation):
    """a = u sigmoid(v), where u and v are the two halves of z along the last axis (Dauphin et al., 2017).

    Shapes: z (n, ..., 2 k), a (n, ..., k): `Dense(64, "glu")` gives 32 numbers a sample.
    """

    name: str | None = None

    def function(self, z: Tensor) -> Tensor:
        """Write the first half of z times the sigmoid of the second."""
        half = _parts(self, z, 2)
        return z[..., :half] * ops.sigmoid(z[..., half:])


@dataclass(frozen=True)
class Maxout(Activation):
    """a_j = the largest of the `pieces` neighbours z_(pieces j) ... (Goodfellow et al., 2013).

    Shapes: z (n, ..., pieces k), a (n, ..., k): `Dense(64, Maxout(4))` gives 16 numbers a sample. Ties share the
    derivative equally.
    """

    start: ClassVar[str] = "kaiming"
    pieces: int = whole(2, 2)
    name: str | None = None

    def function(self, z: Tensor) -> Tensor:
        """Write the largest number of each group."""
        units = _parts(self, z, self.pieces)
        return ops.max(ops.reshape(z, (*z.shape[:-1], units, self.pieces)), -1)


def _parts(owner: Activation, z: Tensor, count: int) -> int:
    last = z.shape[-1] if z.rank > 1 else 0
    if not isinstance(last, int) or not last or last % count:
        raise ShapeError(
            f"{type(owner).__name__} takes a last axis that is a multiple of {count}, received {show(z.shape)}; "
            "change the units of the layer before it"
        )
    return last // count
