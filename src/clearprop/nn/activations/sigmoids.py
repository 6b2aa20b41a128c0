"""Activations that level off at both ends, the identity and the threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from clearprop import ops
from clearprop.nn.activations.activation import Activation
from clearprop.nn.layer import Tensors
from clearprop.ops import Tensor
from clearprop.settings import real


@dataclass(frozen=True)
class Identity(Activation):
    """a = z."""

    name: str | None = None

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return x itself, under its own name."""
        return x

    def function(self, z: Tensor) -> Tensor:
        """Return z."""
        return z


@dataclass(frozen=True)
class Sigmoid(Activation):
    """a = 1 / (1 + exp(-z)), the logistic function, in (0, 1)."""

    name: str | None = None

    def function(self, z: Tensor) -> Tensor:
        """Write sigmoid(z)."""
        return ops.sigmoid(z)


@dataclass(frozen=True)
class Tanh(Activation):
    """a = tanh(z), in (-1, 1)."""

    gain: ClassVar[float] = 5.0 / 3.0
    name: str | None = None

    def function(self, z: Tensor) -> Tensor:
        """Write tanh(z)."""
        return ops.tanh(z)


@dataclass(frozen=True)
class ScaledTanh(Activation):
    """a = 1.7159 tanh(2 z / 3), for which a(1) = 1 and a(-1) = -1 (LeCun et al., 1998, Efficient BackProp)."""

    name: str | None = None

    def function(self, z: Tensor) -> Tensor:
        """Write 1.7159 tanh(2 z / 3)."""
        return 1.7159 * ops.tanh(z * (2.0 / 3.0))


@dataclass(frozen=True)
class Softsign(Activation):
    """a = z / (1 + |z|), in (-1, 1) (Bergstra et al., 2009)."""

    name: str | None = None

    def function(self, z: Tensor) -> Tensor:
        """Write z / (1 + |z|)."""
        return z / (1.0 + ops.abs(z))


@dataclass(frozen=True)
class HardSigmoid(Activation):
    """a = z / 6 + 1/2, held within [0, 1] (PyTorch's form of Courbariaux et al., 2015); derivative 0 at the ends."""

    name: str | None = None

    def function(self, z: Tensor) -> Tensor:
        """Write clip(z / 6 + 1/2, 0, 1)."""
        return ops.clip(z * (1.0 / 6.0) + 0.5, 0.0, 1.0)


@dataclass(frozen=True)
class HardTanh(Activation):
    """a = z, held within [-1, 1] (Collobert, 2004); the derivative at the ends is 0."""

    name: str | None = None

    def function(self, z: Tensor) -> Tensor:
        """Write clip(z, -1, 1)."""
        return ops.clip(z, -1.0, 1.0)


@dataclass(frozen=True)
class LogSigmoid(Activation):
    """a = log(sigmoid(z)) = -softplus(-z), at most 0, exact where sigmoid(z) would round to 0 or 1."""

    name: str | None = None

    def function(self, z: Tensor) -> Tensor:
        """Write -softplus(-z)."""
        return ops.log_sigmoid(z)


@dataclass(frozen=True)
class Threshold(Activation):
    """a = 1 for z > at, else 0: the unit of McCulloch and Pitts (1943) and of the perceptron (Rosenblatt, 1958).

    Its derivative is 0 everywhere, so that nothing before it learns: it is for inference. Train the perceptron without
    it, with the loss `Hinge(margin=0.0)`, whose gradient is the perceptron's rule.
    """

    at: float = real(0.0, "(-inf, inf)")
    name: str | None = None

    def function(self, z: Tensor) -> Tensor:
        """Write 1 where z > at and 0 elsewhere."""
        return ops.astype(z > self.at, z.dtype)
