"""Layers that put noise on their input, in training only."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

from clearprop import ops
from clearprop.description import choose
from clearprop.errors import ShapeError
from clearprop.ir import Shape
from clearprop.nn.activations.rectifiers import SELU_ALPHA, SELU_SCALE
from clearprop.nn.context import hyper, is_training, mix_loss, random_normal, random_uniform
from clearprop.nn.layer import Layer, Tensors
from clearprop.ops import Tensor, show
from clearprop.settings import real


class Noise(Layer):
    """A layer that is random in training, and gives its input as it is otherwise."""

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return x, in training with its noise."""
        return self.disturbed(x) if is_training() else x

    @abstractmethod
    def disturbed(self, x: Tensor) -> Tensor:
        """Write x with its noise."""


@dataclass(frozen=True)
class Dropout(Noise):
    """In training, each number is zero with probability `rate` and else divided by 1 - rate; nothing otherwise.

    The expectation is the input, so that inference needs no change (inverted dropout; Srivastava et al., 2014).
    The masks are a pure function of the seed, the step and the place, hence the same in a resumed run.
    """

    rate: float = real(0.5, "[0, 1)")
    name: str | None = None

    def disturbed(self, x: Tensor) -> Tensor:
        """Return x / (1 - rate) where a uniform draw reaches the rate, and 0 elsewhere."""
        return ops.label(x * dropout_mask(x.shape, self.rate, x.dtype), "a")


def dropout_mask(shape: Shape, rate: float, dtype: str) -> Tensor:
    """1 / (1 - rate) where a uniform draw reaches the rate, and 0 elsewhere."""
    dropped = hyper("rate", rate)
    u = ops.name(random_uniform(shape), "u")
    keep = ops.name(ops.astype(dropped, "float32") <= u, "keep")
    return ops.label(ops.astype(keep, dtype) * ops.astype(1.0 / (1.0 - dropped), dtype), "mask")


@dataclass(frozen=True)
class SpatialDropout(Noise):
    """Dropout of whole channels: (n, *lengths, channels) in and out (Tompson et al., 2015).

    The places of a channel are much alike, so that dropping single ones hides little. In training, each channel of each
    sample is zero with probability `rate` and else divided by 1 - rate.
    """

    rate: float = real(0.5, "[0, 1)")
    name: str | None = None

    def disturbed(self, x: Tensor) -> Tensor:
        """Return x with channels dropped."""
        if x.rank < 2:
            raise ShapeError(f"SpatialDropout takes channels, (n, *lengths, channels), received {show(x.shape)}")
        shape = (x.shape[0], *(1,) * (x.rank - 2), x.shape[-1])
        return ops.label(x * dropout_mask(shape, self.rate, x.dtype), "a")


@dataclass(frozen=True)
class GaussianNoise(Noise):
    """In training, x + std e with e standard normal, new for each number and step; x otherwise."""

    std: float = real(0.1, "[0, inf)")
    name: str | None = None

    def disturbed(self, x: Tensor) -> Tensor:
        """Return x plus noise."""
        std = ops.astype(hyper("std", self.std), x.dtype)
        return ops.label(x + std * ops.label(ops.astype(random_normal(x.shape), x.dtype), "noise"), "a")


@dataclass(frozen=True)
class GaussianDropout(Noise):
    """In training, x (1 + s e) with e standard normal and s = sqrt(rate / (1 - rate)); x otherwise.

    The mean and the variance are those of dropout with the same rate (Srivastava et al., 2014, section 10).
    """

    rate: float = real(0.5, "[0, 1)")
    name: str | None = None

    def disturbed(self, x: Tensor) -> Tensor:
        """Return x times noise of mean 1."""
        rate = hyper("rate", self.rate)
        std = ops.astype(ops.sqrt(rate / (1.0 - rate)), x.dtype)
        noise = ops.label(1.0 + std * ops.astype(random_normal(x.shape), x.dtype), "noise")
        return ops.label(x * noise, "a")


@dataclass(frozen=True)
class AlphaDropout(Noise):
    """Dropout for SELU: in training, dropped numbers become -scale alpha of SELU, and an affine map follows.

    With k = 1 for a kept number, else 0, q = 1 - rate and c = -scale alpha = -1.7581: a = s (x k + c (1 - k)) + t,
    where s = (q + c^2 q rate)^(-1/2) and t = -s rate c keep mean 0 and variance 1 (Klambauer et al., 2017).
    """

    rate: float = real(0.1, "[0, 1)")
    name: str | None = None

    def disturbed(self, x: Tensor) -> Tensor:
        """Return x with numbers dropped to SELU's lower end, brought back to mean 0 and variance 1."""
        rate = hyper("rate", self.rate)
        low = -SELU_SCALE * SELU_ALPHA
        scale = 1.0 / ops.sqrt((1.0 - rate) * (1.0 + low * low * rate))
        keep = ops.name(ops.astype(rate, "float32") <= random_uniform(x.shape), "keep")
        kept = ops.where(keep, x, low)
        return ops.label(kept * ops.astype(scale, x.dtype) + ops.astype(-(scale * rate * low), x.dtype), "a")


@dataclass(frozen=True)
class Mixup(Noise):
    """In training, mixes each sample with another one of its batch, and what is asked of it too (Zhang et al., 2018).

    x becomes w x + (1 - w) x', and the loss w loss(output, y) + (1 - w) loss(output, y'), where x', y' are the sample
    r places further on in the batch (which is in random order), and w is from Beta(alpha, alpha); r and w are new at
    each step. For a loss that is linear in the target, such as cross-entropy, this is the loss of the mixed target; it
    takes class indices as well. It stands first in a network, or later, to mix hidden activations (Verma et al., 2019).

    w = 1/2 + S / (2 sqrt(1 + 1 / ((U^(-1/alpha) - 1) cos^2(2 pi V)))) with the sign S of the cosine, exact for every
    alpha (Devroye, 1996, Random variate generation in one line of code).
    """

    alpha: float = real(0.2, "(0, inf)")
    name: str | None = None

    def disturbed(self, x: Tensor) -> Tensor:
        """Return w x + (1 - w) x'."""
        weight = ops.label(_symmetric_beta(hyper("alpha", self.alpha)), "weight")
        partner = ops.name(_partners(x), "partner")
        mix_loss(weight, partner)
        own = ops.astype(weight, x.dtype)
        return ops.label(own * x + (1.0 - own) * ops.take(x, partner), "a")


def _symmetric_beta(alpha: Tensor) -> Tensor:
    u = 1.0 - ops.astype(random_uniform(()), "float64")
    cosine = ops.cos(2.0 * math.pi * ops.astype(random_uniform(()), "float64"))
    distance = (ops.exp(-ops.log(u) / alpha) - 1.0) * ops.square(cosine)
    return 0.5 + 0.5 * ops.sign(cosine) / ops.sqrt(1.0 + 1.0 / distance)


def _partners(x: Tensor) -> Tensor:
    """Row i's partner i + r, counted round the batch of n rows, with r from 1 to n - 1 (0 of a batch of one)."""
    n = ops.astype(ops.element_count(x, 0), "float64")
    shift = ops.minimum(1.0 + ops.astype(random_uniform(()), "float64") * (n - 1.0), n - 1.0)
    places = ops.arange(x.shape[0], "int64") + ops.astype(shift, "int64")
    count = ops.astype(n, "int64")
    return ops.where(places < count, places, places - count)


NOISE: dict[str, type[Noise]] = {
    "dropout": Dropout,
    "spatial_dropout": SpatialDropout,
    "alpha_dropout": AlphaDropout,
    "gaussian_noise": GaussianNoise,
    "gaussian_dropout": GaussianDropout,
    "mixup": Mixup,
}
"""The layers that are random in training, by name; `Dense(weight_noise=Dropout(...))` is DropConnect."""


def noise(choice: str | Layer) -> Layer:
    """Return the noise of a name, or a layer as it is."""
    return choose(choice, Layer, NOISE, "noise")
