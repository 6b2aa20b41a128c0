"""Muon."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from clearprop import ops
from clearprop.errors import SettingsError
from clearprop.ops import Tensor
from clearprop.optim.adam import AdamW
from clearprop.optim.optimizer import Optimizer, Slots, Tensors, average, scaled, zeros_like
from clearprop.settings import choice, flag, real, whole

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


@dataclass(frozen=True)
class Muon(Optimizer):
    """Momentum whose matrices are orthogonalised (Jordan et al., 2024); other parameters go to another optimiser.

    v <- momentum v + (1 - momentum) g;  u = (1 - momentum) g + momentum v (Nesterov; v itself without);
    w <- w - rate weight_decay w - rate scale O(u).

    O(u) brings all singular values of u near 1: u / |u|, and then `iterations` times X <- a X + (b A + c A^2) X with
    A = X X^T and (a, b, c) = (3.4445, -4.7750, 2.0315) (Newton-Schulz), in the model's dtype (PyTorch: bfloat16).
    A parameter W (inputs, outputs) is one matrix, one of more dimensions (..., outputs) too, all but the last taken
    together. `adjust` sets scale: "shape", sqrt(max(1, outputs / inputs)) (the author's), or "rms",
    0.2 sqrt(max(inputs, outputs)) (Liu et al., 2025), by which rates of AdamW can be used.

    Parameters of fewer than two dimensions are left to `other`; its hyper-parameters are inputs led by `other.`. The
    author also leaves the first and last layer to it: `ParameterGroups` can.
    """

    learning_rate: float = real(0.02, "[0, inf)")
    momentum: float = real(0.95, "[0, 1)")
    weight_decay: float = real(0.0, "[0, inf)")
    epsilon: float = real(1e-7, "[0, inf)")
    nesterov: bool = flag(True)
    iterations: int = whole(5, 1)
    adjust: str = choice("shape", "rms")
    other: Optimizer = field(default_factory=AdamW)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.other, Optimizer):
            raise SettingsError(f"other is the optimiser of all but matrices, received {self.other!r}")

    @property
    def parts(self) -> tuple[Optimizer, ...]:
        """The other optimiser."""
        return (self.other,)

    def hyper(self) -> dict[str, float]:
        """Its own, and those of `other`."""
        return super().hyper() | {f"other.{name}": value for name, value in self.other.hyper().items()}

    def init(self, parameter: Tensor) -> Slots:
        """The velocity, zero."""
        return {"velocity": zeros_like(parameter)}

    def init_all(self, parameters: Tensors) -> Slots:
        """The velocity of matrices, and the slots of `other`."""
        matrices, rest = _by_rank(parameters)
        return super().init_all(matrices) | self.other.init_all(rest)

    def apply(self, parameters: Tensors, gradients: Tensors, slots: Tensors, hyper: Tensors) -> tuple[Slots, Slots]:
        """Write the update of the matrices, and `other` on the rest."""
        matrices, rest = _by_rank(parameters)
        new, after = super().apply(matrices, gradients, slots, hyper)
        own = {name.removeprefix("other."): value for name, value in hyper.items() if name.startswith("other.")}
        moved, state = self.other.apply(rest, gradients, slots, {"t": hyper["t"], **own})
        new |= moved
        return {name: new[name] for name in parameters}, after | state

    def update(self, parameter: Tensor, gradient: Tensor, slots: Tensors, hyper: Tensors) -> tuple[Tensor, Slots]:
        """Write the new velocity, and w less its orthogonal part."""
        velocity = average(hyper["momentum"], slots["velocity"], gradient)
        direction = average(hyper["momentum"], velocity, gradient) if self.nesterov else velocity
        outputs = parameter.shape[-1]
        matrix = ops.reshape(direction, (-1, outputs))
        rows, columns = (int(str(dim)) for dim in matrix.shape)
        scale = math.sqrt(max(1.0, columns / rows)) if self.adjust == "shape" else 0.2 * math.sqrt(max(rows, columns))
        step = ops.reshape(orthogonal(matrix, self.iterations, hyper["epsilon"]), parameter.shape) * scale
        decay = scaled(hyper["weight_decay"], parameter)
        return parameter - scaled(hyper["learning_rate"], decay + step), {"velocity": velocity}


def orthogonal(matrix: Tensor, iterations: int, epsilon: Tensor) -> Tensor:
    """Write a matrix with the singular vectors of the given one and singular values near 1."""
    rows, columns = (int(str(dim)) for dim in matrix.shape)
    x = ops.permute_dims(matrix) if rows > columns else matrix
    x = x / ops.maximum(ops.norm(x), ops.astype(epsilon, x.dtype))
    a, b, c = _COEFFICIENTS
    for _ in range(iterations):
        gram = x @ ops.permute_dims(x)
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return ops.permute_dims(x) if rows > columns else x


def _by_rank(parameters: Tensors) -> tuple[Slots, Slots]:
    """Divide parameters into those of two and more dimensions, and the rest."""
    matrices = {name: tensor for name, tensor in parameters.items() if tensor.rank >= 2}
    return matrices, {name: tensor for name, tensor in parameters.items() if name not in matrices}
