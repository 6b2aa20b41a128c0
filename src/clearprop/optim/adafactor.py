"""Adafactor."""

from __future__ import annotations

from dataclasses import dataclass

from clearprop import ops
from clearprop.ops import Tensor
from clearprop.optim.optimizer import Optimizer, Slots, Tensors, average, scaled, zeros_like
from clearprop.settings import flag, real


@dataclass(frozen=True)
class Adafactor(Optimizer):
    """Adaptive rates whose second moment is kept as one row and one column (Shazeer and Stern, 2018).

    beta = 1 - t^-decay;  r, c <- beta (r, c) + (1 - beta) (means of g^2 + tiny over the last, the last but one axis);
    v = r c / mean(r);  u = g / sqrt(v);  u <- u / max(1, rms(u) / clip);  a = max(smallest, rms(w)) min(rate, t^-1/2);
    w <- w - rate weight_decay w - a u.

    Parameters of fewer than two dimensions keep all of v. With `relative` False, a is the rate itself. The relative
    step, the clipping and the defaults are the paper's and PyTorch's; PyTorch bounds v by `tiny` from below instead of
    adding it to g^2.
    """

    learning_rate: float = real(0.01, "[0, inf)")
    decay: float = real(0.8, "[0, inf)")
    clip: float = real(1.0, "[0, inf)")
    tiny: float = real(1e-30, "[0, inf)")
    smallest: float = real(1e-3, "[0, inf)")
    weight_decay: float = real(0.0, "[0, inf)")
    relative: bool = flag(True)

    def prepare(self, hyper: Tensors) -> dict[str, Tensor]:
        """Write beta, and min(rate, t^-1/2)."""
        t = hyper["t"]
        return {"beta": 1.0 - t ** -hyper["decay"], "bounded": ops.minimum(hyper["learning_rate"], t**-0.5)}

    def init(self, parameter: Tensor) -> Slots:
        """The means over rows and over columns, or the second moment itself, zero."""
        if parameter.rank < 2:
            return {"v": zeros_like(parameter)}
        squares = ops.square(parameter) * 0.0
        return {"row": ops.sum(squares, -1, keepdims=True), "column": ops.sum(squares, -2, keepdims=True)}

    def update(self, parameter: Tensor, gradient: Tensor, slots: Tensors, hyper: Tensors) -> tuple[Tensor, Slots]:
        """Write the new means, and w less the clipped step."""
        squares = ops.square(gradient) + ops.astype(hyper["tiny"], gradient.dtype)
        if parameter.rank < 2:
            after = {"v": average(hyper["beta"], slots["v"], squares)}
            v = after["v"]
        else:
            row = average(hyper["beta"], slots["row"], ops.mean(squares, -1, keepdims=True))
            column = average(hyper["beta"], slots["column"], ops.mean(squares, -2, keepdims=True))
            after = {"row": row, "column": column}
            v = row / ops.mean(row, -2, keepdims=True) * column
        step = gradient / ops.sqrt(v)
        step = step / ops.maximum(_rms(step) / ops.astype(hyper["clip"], step.dtype), 1.0)
        rate = ops.astype(hyper["learning_rate"], step.dtype)
        if self.relative:
            size = ops.maximum(_rms(parameter), ops.astype(hyper["smallest"], step.dtype))
            rate = size * ops.astype(hyper["bounded"], step.dtype)
        decay = scaled(hyper["learning_rate"] * hyper["weight_decay"], parameter)
        return parameter - decay - rate * step, after


def _rms(x: Tensor) -> Tensor:
    """The root of the mean square of all elements."""
    return ops.sqrt(ops.mean(ops.square(x)))
