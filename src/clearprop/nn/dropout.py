"""Dropout."""

from __future__ import annotations

from dataclasses import dataclass

from clearprop import ops
from clearprop.nn.context import hyper, is_training, random_uniform
from clearprop.nn.layer import Layer, Tensors
from clearprop.ops import Tensor
from clearprop.settings import check_settings, real


@dataclass(frozen=True)
class Dropout(Layer):
    """In training, each number is zero with probability `rate` and else divided by 1 - rate; nothing otherwise.

    The expectation is the input, so that inference needs no change (inverted dropout; Srivastava et al., 2014).
    The masks are a pure function of the seed, the step and the place, hence the same in a resumed run.
    """

    rate: float = real(0.5, "[0, 1)")
    name: str | None = None

    def __post_init__(self) -> None:
        check_settings(self)

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return x / (1 - rate) where a uniform draw reaches the rate, and 0 elsewhere."""
        if not is_training():
            return x
        rate = hyper("rate", self.rate)
        u = ops.name(random_uniform(x.shape), "u")
        keep = ops.name(ops.astype(rate, "float32") <= u, "keep")
        mask = ops.astype(keep, x.dtype) * ops.astype(1.0 / (1.0 - rate), x.dtype)
        return ops.label(x * ops.label(mask, "mask"), "a")
