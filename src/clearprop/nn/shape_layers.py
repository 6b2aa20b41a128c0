"""Layers that only change the shape."""

from __future__ import annotations

from dataclasses import dataclass

from clearprop import ops
from clearprop.nn.layer import Layer, Tensors
from clearprop.ops import Tensor


@dataclass(frozen=True)
class Flatten(Layer):
    """Read each sample as one row: (n, 28, 28) becomes (n, 784)."""

    name: str | None = None

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return x as (n, features)."""
        return ops.label(ops.flatten(x), "a")
