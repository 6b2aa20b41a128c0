"""Nadam: Adam with Nesterov's momentum."""

from __future__ import annotations

from dataclasses import dataclass

from clearprop import ops
from clearprop.ops import Tensor
from clearprop.optim.adam import Adam
from clearprop.optim.optimizer import Slots, Tensors, average, scaled
from clearprop.settings import choice, real


@dataclass(frozen=True)
class Nadam(Adam):
    """Adam with Nesterov's momentum (Dozat, 2016).

    With m, v as in Adam: w <- w - rate (mu' m / (1 - P mu') + (1 - mu) g / (1 - P)) / (sqrt(v / (1 - beta2^t)) +
    epsilon), where mu = mu_t, mu' = mu_(t+1) and P = mu_1 ... mu_t.

    `momentum_form` is "warming", mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2) (the paper, PyTorch, Keras), or
    "constant", mu_t = beta1 (optax); `momentum_decay` then has no effect.
    """

    learning_rate: float = real(0.002, "[0, inf)")
    momentum_decay: float = real(0.004, "[0, inf)")
    momentum_form: str = choice("warming", "constant")

    def prepare(self, hyper: Tensors) -> dict[str, Tensor]:
        """Write mu_t, mu_(t+1) and 1 / (1 - beta2^t)."""
        beta1, t = hyper["beta1"], hyper["t"]

        def momentum(t: Tensor) -> Tensor:
            if self.momentum_form == "constant":
                return beta1
            return beta1 * (1.0 - 0.5 * 0.96 ** (t * hyper["momentum_decay"]))

        return super().prepare(hyper) | {"mu": momentum(t), "mu_next": momentum(t + 1.0)}

    def init(self, parameter: Tensor) -> Slots:
        """The moments, zero, and the product of the momenta so far, 1."""
        return super().init(parameter) | {"mu_product": ops.constant(1.0, "float64")}

    def update(self, parameter: Tensor, gradient: Tensor, slots: Tensors, hyper: Tensors) -> tuple[Tensor, Slots]:
        """Write the new moments, and w less the step of gradient and momentum."""
        m = average(hyper["beta1"], slots["m"], gradient)
        v = average(hyper["beta2"], slots["v"], ops.square(gradient))
        rate, mu, mu_next = hyper["learning_rate"], hyper["mu"], hyper["mu_next"]
        product = slots["mu_product"] * mu
        ahead = scaled(rate * mu_next / (1.0 - product * mu_next), m)
        step = (ahead + scaled(rate * (1.0 - mu) / (1.0 - product), gradient)) / self.root(v, hyper)
        return parameter - step, {"m": m, "v": v, "mu_product": product}
