"""AdaBelief."""

from __future__ import annotations

from dataclasses import dataclass

from clearprop import ops
from clearprop.ops import Tensor
from clearprop.optim.adam import Adam
from clearprop.optim.optimizer import Slots, Tensors, average, scaled
from clearprop.settings import real


@dataclass(frozen=True)
class AdaBelief(Adam):
    """Adam, dividing by how far gradients are from what was expected (Zhuang et al., 2020).

    m <- beta1 m + (1 - beta1) g;  v <- beta2 v + (1 - beta2) (g - m)^2 + epsilon;
    w <- w - rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon).

    Epsilon stands in both places, as in the paper's Algorithm 2; `epsilon_form` moves the second (see `Adam`).
    """

    epsilon: float = real(1e-16, "[0, inf)")

    def update(self, parameter: Tensor, gradient: Tensor, slots: Tensors, hyper: Tensors) -> tuple[Tensor, Slots]:
        """Write the new moments and w less the corrected step."""
        m = average(hyper["beta1"], slots["m"], gradient)
        surprise = average(hyper["beta2"], slots["v"], ops.square(gradient - m))
        v = surprise + ops.astype(hyper["epsilon"], surprise.dtype)
        step = scaled(hyper["rate"], m) / self.root(v, hyper)
        return parameter - step, {"m": m, "v": v}
