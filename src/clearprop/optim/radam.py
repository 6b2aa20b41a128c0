"""RAdam: Adam whose variance is rectified."""

from __future__ import annotations

from dataclasses import dataclass

from clearprop import ops
from clearprop.ops import Tensor
from clearprop.optim.adam import Adam
from clearprop.optim.optimizer import Slots, Tensors, average, scaled
from clearprop.settings import choice

_TRACTABLE = 5.0


@dataclass(frozen=True)
class RAdam(Adam):
    """Rectified Adam (Liu et al., 2020): momentum alone until the second moment can be trusted.

    With rho_inf = 2 / (1 - beta2) - 1 and rho = rho_inf - 2 t beta2^t / (1 - beta2^t): where rho > 5,
    w <- w - rate r (m / (1 - beta1^t)) / (root of v, as in Adam), with
    r = sqrt((rho - 4)(rho - 2) rho_inf / ((rho_inf - 4)(rho_inf - 2) rho)); else w <- w - rate m / (1 - beta1^t).

    The bound is 5 as in PyTorch and optax (the paper: 4). Epsilon stands beside the root of the uncorrected v
    (PyTorch); `epsilon_form` changes that.
    """

    epsilon_form: str = choice("uncorrected", "outside", "inside")

    def prepare(self, hyper: Tensors) -> dict[str, Tensor]:
        """Write rate / (1 - beta1^t), 1 / (1 - beta2^t), whether rho > 5, and r."""
        beta2, t = hyper["beta2"], hyper["t"]
        limit = 2.0 / (1.0 - beta2) - 1.0
        power = beta2**t
        rho = limit - 2.0 * t * power / (1.0 - power)
        trusted = rho > _TRACTABLE
        safe = ops.where(trusted, rho, _TRACTABLE)
        square = (safe - 4.0) * (safe - 2.0) * limit / ((limit - 4.0) * (limit - 2.0) * safe)
        return super().prepare(hyper) | {"trusted": trusted, "r": ops.sqrt(ops.where(trusted, square, 1.0))}

    def update(self, parameter: Tensor, gradient: Tensor, slots: Tensors, hyper: Tensors) -> tuple[Tensor, Slots]:
        """Write the new moments, and w less the rectified step, or that of momentum alone."""
        m = average(hyper["beta1"], slots["m"], gradient)
        v = average(hyper["beta2"], slots["v"], ops.square(gradient))
        momentum = scaled(hyper["rate"], m)
        adaptive = scaled(hyper["r"], momentum) / self.root(v, hyper)
        return parameter - ops.where(hyper["trusted"], adaptive, momentum), {"m": m, "v": v}
