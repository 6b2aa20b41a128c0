"""Any Python function over tensors as a layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from clearprop import ops
from clearprop.nn.layer import Layer, Tensors
from clearprop.ops import Tensor


@dataclass(frozen=True)
class Function(Layer):
    """A function of one tensor, written with operators and `ops.*`; its derivative is derived.

    To load a saved model that holds one, give the function by name: `load(path, custom={"f": f})`. A lambda has none:
    a model with one cannot be saved.
    """

    function: Callable[[Tensor], Tensor]
    name: str | None = None

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return function(x)."""
        result = self.function(x)
        return ops.label(result, "a") if isinstance(result, Tensor) else self._refuse(result)

    def _refuse(self, result: object) -> Tensor:
        raise TypeError(f"the function of {self!r} must return a tensor, and returned {type(result).__name__}")
