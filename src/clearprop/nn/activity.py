"""Layers that pass their input on and add a penalty on it to the objective, in training."""

from __future__ import annotations

from dataclasses import dataclass

from clearprop import ops
from clearprop.nn.context import add_penalty, hyper, is_training
from clearprop.nn.layer import Layer, Tensors
from clearprop.nn.penalties import Penalty, penalty
from clearprop.ops import Tensor
from clearprop.settings import real


@dataclass(frozen=True)
class ActivityPenalty(Layer):
    """Passes x on; in training adds the penalty of x, divided by the number of samples, to the objective.

    `Sequential(Dense(32, "relu"), ActivityPenalty(L1(1e-3)), Dense(10))` makes the hidden activations sparse.
    """

    penalty: str | Penalty
    name: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        penalty(self.penalty)

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return x, and add penalty(x) / n."""
        if is_training():
            with ops.current_builder().at(quantity="penalty"):
                add_penalty(ops.label(penalty(self.penalty)(x) / ops.element_count(x, 0), "penalty"))
        return x


@dataclass(frozen=True)
class KLSparsity(Layer):
    """Passes x on; in training adds factor sum_j KL(target || m_j) with the mean m_j of unit j over the batch.

    KL(r || m) = r log(r / m) + (1 - r) log((1 - r) / (1 - m)), for activations in (0, 1), such as a sigmoid's; m is
    held within [1e-6, 1 - 1e-6] (Ng, 2011, Sparse autoencoder; Hinton, 2010).

    Attributes:
        target: the mean activation that is asked for.
        factor: what the sum is multiplied by.
    """

    target: float = real(0.05, "(0, 1)")
    factor: float = real(1e-3, "[0, inf)")
    name: str | None = None

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return x, and add factor sum_j KL(target || m_j)."""
        if is_training():
            with ops.current_builder().at(quantity="penalty"):
                add_penalty(ops.label(self._divergence(x), "penalty"))
        return x

    def _divergence(self, x: Tensor) -> Tensor:
        r = ops.astype(hyper("sparsity", self.target), x.dtype)
        mean = ops.clip(ops.mean(x, 0), 1e-6, 1.0 - 1e-6)
        on, off = ops.log(r) - ops.log(mean), ops.log1p(-r) - ops.log1p(-mean)
        return ops.astype(hyper("sparsity_factor", self.factor), x.dtype) * ops.sum(r * on + (1.0 - r) * off)
