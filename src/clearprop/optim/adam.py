"""Adam, and Adam with decoupled weight decay (AdamW) and with a lasting maximum (AMSGrad)."""

from __future__ import annotations

from dataclasses import dataclass

from clearprop import ops
from clearprop.ops import Tensor
from clearprop.optim.optimizer import Optimizer, Slots, Tensors, average, scaled, zeros_like
from clearprop.settings import choice, real


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adaptive moments (Kingma and Ba, 2015).

    m <- beta1 m + (1 - beta1) g;  v <- beta2 v + (1 - beta2) g^2;
    w <- w - rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon).

    `epsilon_form` says where epsilon stands: "outside" of the root and after the bias correction (here above: the
    paper's Algorithm 1, PyTorch, JAX); "uncorrected", beside the root of the uncorrected v, rate
    sqrt(1 - beta2^t) / (1 - beta1^t) m / (sqrt(v) + epsilon) (the end of the paper's section 2, Keras); or "inside" of
    the root (optax' eps_root). The bias corrections are computed in float64.
    """

    learning_rate: float = real(0.001, "[0, inf)")
    beta1: float = real(0.9, "[0, 1)")
    beta2: float = real(0.999, "[0, 1)")
    epsilon: float = real(1e-8, "[0, inf)")
    epsilon_form: str = choice("outside", "uncorrected", "inside")

    def prepare(self, hyper: Tensors) -> dict[str, Tensor]:
        """Write rate / (1 - beta1^t) and 1 / (1 - beta2^t)."""
        rate = ops.name(hyper["learning_rate"] / (1.0 - hyper["beta1"] ** hyper["t"]), "rate")
        return {"rate": rate, "correction": ops.name(1.0 / (1.0 - hyper["beta2"] ** hyper["t"]), "correction")}

    def init(self, parameter: Tensor) -> Slots:
        """The first and second moments, zero."""
        return {"m": zeros_like(parameter), "v": zeros_like(parameter)}

    def update(self, parameter: Tensor, gradient: Tensor, slots: Tensors, hyper: Tensors) -> tuple[Tensor, Slots]:
        """Write the new moments and w less the corrected step."""
        m = average(hyper["beta1"], slots["m"], gradient)
        v = average(hyper["beta2"], slots["v"], ops.square(gradient))
        step = ops.name(scaled(hyper["rate"], m) / self.root(v, hyper), "step")
        return parameter - step, {"m": m, "v": v}

    def root(self, v: Tensor, hyper: Tensors) -> Tensor:
        """Write the root of the corrected second moment, with epsilon where `epsilon_form` puts it."""
        corrected = scaled(hyper["correction"], v)
        epsilon = hyper["epsilon"]
        if self.epsilon_form == "inside":
            return ops.sqrt(corrected + ops.astype(epsilon, v.dtype))
        if self.epsilon_form == "uncorrected":
            epsilon = epsilon * ops.sqrt(hyper["correction"])
        return ops.name(ops.sqrt(corrected), "root") + ops.astype(epsilon, v.dtype)


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019): w <- w - rate weight_decay w, then Adam's step.

    The decay does not pass through the moments, as an L2 penalty's gradient would, and it is multiplied by the
    scheduled rate (PyTorch, Keras, optax; the paper multiplies it by the schedule alone).
    """

    weight_decay: float = real(0.01, "[0, inf)")

    def update(self, parameter: Tensor, gradient: Tensor, slots: Tensors, hyper: Tensors) -> tuple[Tensor, Slots]:
        """Write the new moments, and the decayed w less the corrected step."""
        decay = scaled(hyper["learning_rate"] * hyper["weight_decay"], parameter)
        return super().update(parameter - decay, gradient, slots, hyper)


@dataclass(frozen=True)
class AMSGrad(Adam):
    """Adam, dividing by the largest second moment so far (Reddi, Kale and Kumar, 2018), so that rates never grow again.

    u <- max(u, v) stands in the place of v. `maximum` says of what: "moment", of v, which is corrected afterwards
    (PyTorch, Keras), or "corrected", of v / (1 - beta2^t) (optax). The paper corrects neither m nor v.
    """

    maximum: str = choice("moment", "corrected")

    def init(self, parameter: Tensor) -> Slots:
        """The moments and the largest second moment, zero."""
        return super().init(parameter) | {"u": zeros_like(parameter)}

    def update(self, parameter: Tensor, gradient: Tensor, slots: Tensors, hyper: Tensors) -> tuple[Tensor, Slots]:
        """Write the new moments and their maximum, and w less the corrected step."""
        m = average(hyper["beta1"], slots["m"], gradient)
        v = average(hyper["beta2"], slots["v"], ops.square(gradient))
        seen = v if self.maximum == "moment" else scaled(hyper["correction"], v)
        u = ops.maximum(slots["u"], seen)
        largest = u if self.maximum == "moment" else u / ops.astype(hyper["correction"], u.dtype)
        step = ops.name(scaled(hyper["rate"], m) / self.root(largest, hyper), "step")
        return parameter - step, {"m": m, "v": v, "u": u}
