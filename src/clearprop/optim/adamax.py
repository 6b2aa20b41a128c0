"""AdaMax."""

from __future__ import annotations

from dataclasses import dataclass

from clearprop import ops
from clearprop.ops import Tensor
from clearprop.optim.optimizer import Optimizer, Slots, Tensors, average, scaled, zeros_like
from clearprop.settings import choice, real


@dataclass(frozen=True)
class AdaMax(Optimizer):
    """Adam with the infinity norm (Kingma and Ba, 2015, section 7).

    m <- beta1 m + (1 - beta1) g;  u <- max(beta2 u, |g| + epsilon);  w <- w - rate / (1 - beta1^t) m / u.

    `epsilon_form` says where epsilon stands: "gradient", beside |g| (here above; PyTorch), or "outside",
    m / (u + epsilon) with u <- max(beta2 u, |g|) (Keras). The paper has none.
    """

    learning_rate: float = real(0.002, "[0, inf)")
    beta1: float = real(0.9, "[0, 1)")
    beta2: float = real(0.999, "[0, 1)")
    epsilon: float = real(1e-8, "[0, inf)")
    epsilon_form: str = choice("gradient", "outside")

    def prepare(self, hyper: Tensors) -> dict[str, Tensor]:
        """Write rate / (1 - beta1^t)."""
        return {"rate": ops.name(hyper["learning_rate"] / (1.0 - hyper["beta1"] ** hyper["t"]), "rate")}

    def init(self, parameter: Tensor) -> Slots:
        """The first moment and the infinity norm, zero."""
        return {"m": zeros_like(parameter), "u": zeros_like(parameter)}

    def update(self, parameter: Tensor, gradient: Tensor, slots: Tensors, hyper: Tensors) -> tuple[Tensor, Slots]:
        """Write the new moment and norm, and w less the scaled moment."""
        epsilon = ops.astype(hyper["epsilon"], parameter.dtype)
        m = average(hyper["beta1"], slots["m"], gradient)
        size = ops.abs(gradient)
        size = size + epsilon if self.epsilon_form == "gradient" else size
        u = ops.maximum(scaled(hyper["beta2"], slots["u"]), size)
        divisor = u if self.epsilon_form == "gradient" else u + epsilon
        return parameter - scaled(hyper["rate"], m) / divisor, {"m": m, "u": u}
