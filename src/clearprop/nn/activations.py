"""Activations: elementwise functions (and softmax) as layers without parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from clearprop import ops
from clearprop.description import choose
from clearprop.nn.function import Function
from clearprop.nn.layer import Layer, Tensors
from clearprop.ops import Tensor


@dataclass(frozen=True)
class Identity(Layer):
    """a = z."""

    name: str | None = None

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return x."""
        return x


@dataclass(frozen=True)
class Sigmoid(Layer):
    """a = 1 / (1 + exp(-z)), the logistic function."""

    name: str | None = None

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return sigmoid(x)."""
        return ops.label(ops.sigmoid(x), "a")


@dataclass(frozen=True)
class Tanh(Layer):
    """a = tanh(z)."""

    name: str | None = None

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return tanh(x)."""
        return ops.label(ops.tanh(x), "a")


@dataclass(frozen=True)
class ReLU(Layer):
    """a = max(z, 0), with the derivative 0 at z = 0 (Nair and Hinton, 2010)."""

    name: str | None = None

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return max(x, 0)."""
        return ops.label(ops.relu(x), "a")


@dataclass(frozen=True)
class LeakyReLU(Layer):
    """a = z for z > 0, else slope z (Maas, Hannun and Ng, 2013)."""

    slope: float = 0.01
    name: str | None = None

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return x where it is positive and slope x elsewhere."""
        return ops.label(ops.leaky_relu(x, self.slope), "a")


@dataclass(frozen=True)
class Softmax(Layer):
    """a_j = exp(z_j) / sum_k exp(z_k) over the last axis.

    For training a classifier leave it out: cross-entropy takes the logits z, in its safe form.
    """

    name: str | None = None

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return softmax(x) over the last axis."""
        return ops.label(ops.softmax(x, -1), "a")


ACTIVATIONS: dict[str, type[Layer]] = {
    "identity": Identity,
    "sigmoid": Sigmoid,
    "tanh": Tanh,
    "relu": ReLU,
    "leaky_relu": LeakyReLU,
    "softmax": Softmax,
}
"""The activations by the names that `Dense(..., activation=...)` and the command line take."""

Activation = str | Layer | Callable[[Tensor], Tensor] | None


def activation(choice: Activation) -> Layer:
    """Return the activation of a name, a layer or function as it is, and the identity for None."""
    if choice is None:
        return Identity()
    if isinstance(choice, str | Layer):
        return choose(choice, Layer, ACTIVATIONS, "activation")
    return Function(choice)
