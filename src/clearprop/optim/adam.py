"""Adam."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from clearprop import ops
from clearprop.ops import Tensor
from clearprop.optim.optimizer import Optimizer, Slots, check_range, scaled, zeros_like


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adaptive moments (Kingma and Ba, 2015).

    m <- beta1 m + (1 - beta1) g;  v <- beta2 v + (1 - beta2) g^2;
    w <- w - rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon).

    Epsilon stands outside of the root, after the bias correction, as in the paper's Algorithm 1. The bias
    corrections are computed in float64.
    """

    learning_rate: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        check_range("learning_rate", self.learning_rate, 0, math.inf)
        check_range("beta1", self.beta1, 0, 1)
        check_range("beta2", self.beta2, 0, 1)
        check_range("epsilon", self.epsilon, 0, math.inf)

    def prepare(self, hyper: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Write rate / (1 - beta1^t) and 1 / (1 - beta2^t)."""
        rate = ops.name(hyper["learning_rate"] / (1.0 - hyper["beta1"] ** hyper["t"]), "rate")
        return {"rate": rate, "correction": ops.name(1.0 / (1.0 - hyper["beta2"] ** hyper["t"]), "correction")}

    def init(self, parameter: Tensor) -> Slots:
        """The first and second moments, zero."""
        return {"m": zeros_like(parameter), "v": zeros_like(parameter)}

    def update(
        self, parameter: Tensor, gradient: Tensor, slots: Mapping[str, Tensor], hyper: Mapping[str, Tensor]
    ) -> tuple[Tensor, Slots]:
        """Write the new moments and w less the corrected step."""
        beta1, beta2 = hyper["beta1"], hyper["beta2"]
        m = scaled(beta1, slots["m"]) + scaled(1.0 - beta1, gradient)
        v = scaled(beta2, slots["v"]) + scaled(1.0 - beta2, ops.square(gradient))
        root = ops.name(ops.sqrt(scaled(hyper["correction"], v)), "root")
        step = ops.name(scaled(hyper["rate"], m) / (root + ops.astype(hyper["epsilon"], v.dtype)), "step")
        return parameter - step, {"m": m, "v": v}
