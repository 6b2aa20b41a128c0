"""What every activation is."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from clearprop import ops
from clearprop.nn.layer import Layer, Tensors
from clearprop.ops import Tensor


class Activation(Layer):
    """A function of the weighted input z, as a layer, and by name in `Dense(activation=...)`.

    Attributes:
        gain: what a standard deviation of 1 / sqrt(fan) is multiplied by, to keep the variance through the activation.
        start: the name of the initialiser that suits the weights before it.
    """

    gain: ClassVar[float] = 1.0
    start: ClassVar[str] = "xavier"

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return function(x)."""
        return ops.label(self.function(x), "a")

    @abstractmethod
    def function(self, z: Tensor) -> Tensor:
        """Write the activation of z."""
