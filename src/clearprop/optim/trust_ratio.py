"""LARS and LAMB: steps in proportion to the norm of what they change, for large batches."""

from __future__ import annotations

from dataclasses import dataclass

from clearprop import ops
from clearprop.ops import Tensor
from clearprop.optim.adam import Adam
from clearprop.optim.optimizer import Optimizer, Slots, Tensors, average, scaled, zeros_like
from clearprop.settings import flag, real


def ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """numerator / denominator, and 1 where either of these norms is 0."""
    usable = ops.logical_and(numerator > 0.0, denominator > 0.0)
    return ops.where(usable, numerator / ops.where(usable, denominator, 1.0), 1.0)


@dataclass(frozen=True)
class LARS(Optimizer):
    """Layer-wise adaptive rates (You, Gitman and Ginsburg, 2017).

    local = trust |w| / (|g| + weight_decay |w|);  v <- momentum v + rate local (g + weight_decay w);  w <- w - v.

    Norms are over the whole parameter; local is 1 where one of them is 0. With `vectors` False, parameters of fewer
    than two dimensions (biases, scales) take the plain step without decay, as MLPerf has it.
    """

    learning_rate: float = real(1.0, "[0, inf)")
    momentum: float = real(0.9, "[0, 1)")
    weight_decay: float = real(0.0, "[0, inf)")
    trust: float = real(0.001, "[0, inf)")
    vectors: bool = flag(True)

    def init(self, parameter: Tensor) -> Slots:
        """The velocity, zero."""
        return {"velocity": zeros_like(parameter)}

    def update(self, parameter: Tensor, gradient: Tensor, slots: Tensors, hyper: Tensors) -> tuple[Tensor, Slots]:
        """Write the new velocity, and w less it."""
        step = scaled(hyper["learning_rate"], gradient)
        if self.vectors or parameter.rank > 1:
            weight, slope = ops.norm(parameter), ops.norm(gradient)
            local = ratio(scaled(hyper["trust"], weight), slope + scaled(hyper["weight_decay"], weight))
            decayed = gradient + scaled(hyper["weight_decay"], parameter)
            step = scaled(hyper["learning_rate"], local) * decayed
        velocity = scaled(hyper["momentum"], slots["velocity"]) + step
        return parameter - velocity, {"velocity": velocity}


@dataclass(frozen=True)
class LAMB(Adam):
    """Layer-wise adaptive moments for batches (You et al., 2020).

    u = Adam's corrected m / (sqrt(v) + epsilon) + weight_decay w;  w <- w - rate (|w| / |u|) u.

    Norms are over the whole parameter; their ratio is 1 where one of them is 0, and is not clipped (phi of the paper
    is the identity). With `vectors` False, parameters of fewer than two dimensions take Adam's step without decay.
    """

    epsilon: float = real(1e-6, "[0, inf)")
    weight_decay: float = real(0.0, "[0, inf)")
    vectors: bool = flag(True)

    def prepare(self, hyper: Tensors) -> dict[str, Tensor]:
        """Write 1 / (1 - beta1^t) and 1 / (1 - beta2^t)."""
        return super().prepare(hyper) | {"first": 1.0 / (1.0 - hyper["beta1"] ** hyper["t"])}

    def update(self, parameter: Tensor, gradient: Tensor, slots: Tensors, hyper: Tensors) -> tuple[Tensor, Slots]:
        """Write the new moments, and w less the step, as long as w is."""
        m = average(hyper["beta1"], slots["m"], gradient)
        v = average(hyper["beta2"], slots["v"], ops.square(gradient))
        step = scaled(hyper["first"], m) / self.root(v, hyper)
        if self.vectors or parameter.rank > 1:
            step = step + scaled(hyper["weight_decay"], parameter)
            step = ratio(ops.norm(parameter), ops.norm(step)) * step
        return parameter - scaled(hyper["learning_rate"], step), {"m": m, "v": v}
