"""Every activation beside an independent meaning of it: SciPy's function, or a formula in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.special
import scipy.stats

from clearprop import nn

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Case:
    """An activation, what it is, and what is known of it.

    Attributes:
        layer: the activation.
        expected: its meaning.
        source: who says so, "SciPy" or "NumPy".
        low, high: where its values lie.
        kinks: where it has no derivative.
        symmetry: "odd", "shift" for invariance under x + c, or "".
        rising: whether it never falls.
    """

    layer: nn.Activation
    expected: Callable[[Array], Array]
    source: str
    low: float = -np.inf
    high: float = np.inf
    kinks: tuple[float, ...] = ()
    symmetry: str = ""
    rising: bool = True


def normal_gate(z: Array) -> Array:
    return z * scipy.stats.norm.cdf(z)


def tanh_gate(z: Array) -> Array:
    return z / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * np.power(z, 3))))


def leaky(z: Array, slope: float) -> Array:
    return np.maximum(z, 0) + slope * np.minimum(z, 0)


def exponential(z: Array, alpha: float, scale: float = 1.0, width: float = 1.0) -> Array:
    return scale * (np.maximum(z, 0) + alpha * (np.exp(np.minimum(z, 0) / width) - 1))


def halves(z: Array) -> Array:
    first, second = np.split(z, 2, axis=-1)
    return first * scipy.special.expit(second)


def largest(z: Array, pieces: int) -> Array:
    return np.stack([z[..., i::pieces] for i in range(pieces)]).max(0)


def linear_gate(z: Array) -> Array:
    return np.clip((z + 3) / 6, 0, 1)


SOFTMAX = partial(scipy.special.softmax, axis=-1)
RRELU = (1 / 8 + 1 / 3) / 2

CASES: dict[str, list[Case]] = {
    "identity": [Case(nn.Identity(), lambda z: z, "NumPy", symmetry="odd")],
    "sigmoid": [Case(nn.Sigmoid(), scipy.special.expit, "SciPy", 0, 1)],
    "tanh": [Case(nn.Tanh(), np.tanh, "NumPy", -1, 1, symmetry="odd")],
    "scaled_tanh": [
        Case(nn.ScaledTanh(), lambda z: 1.7159 * np.tanh(2 / 3 * z), "NumPy", -1.7159, 1.7159, symmetry="odd")
    ],
    "relu": [Case(nn.ReLU(), lambda z: np.where(z > 0, z, 0), "NumPy", 0, kinks=(0,))],
    "relu6": [Case(nn.ReLU6(), lambda z: np.clip(z, 0, 6), "NumPy", 0, 6, (0, 6))],
    "leaky_relu": [
        Case(nn.LeakyReLU(), partial(leaky, slope=0.01), "NumPy", kinks=(0,)),
        Case(nn.LeakyReLU(0.3), partial(leaky, slope=0.3), "NumPy", kinks=(0,)),
    ],
    "prelu": [
        Case(nn.PReLU(), partial(leaky, slope=0.25), "NumPy", kinks=(0,)),
        Case(nn.PReLU(-0.5, shared=True), partial(leaky, slope=-0.5), "NumPy", 0, kinks=(0,), rising=False),
    ],
    "rrelu": [Case(nn.RReLU(), partial(leaky, slope=RRELU), "NumPy", kinks=(0,))],
    "elu": [
        Case(nn.ELU(), partial(exponential, alpha=1.0), "NumPy", -1),
        Case(nn.ELU(0.5), partial(exponential, alpha=0.5), "NumPy", -0.5, kinks=(0,)),
    ],
    "celu": [
        Case(nn.CELU(), partial(exponential, alpha=1.0), "NumPy", -1),
        Case(nn.CELU(2.0), partial(exponential, alpha=2.0, width=2.0), "NumPy", -2),
    ],
    "selu": [
        Case(
            nn.SELU(),
            partial(exponential, alpha=1.6732632423543772, scale=1.0507009873554805),
            "NumPy",
            -1.7580993408473766,
            kinks=(0,),
        )
    ],
    "gelu": [Case(nn.GELU(), normal_gate, "SciPy", -0.17, rising=False)],
    "gelu_tanh": [Case(nn.GELU(exact=False), tanh_gate, "NumPy", -0.171, rising=False)],
    "silu": [Case(nn.SiLU(), lambda z: z * scipy.special.expit(z), "SciPy", -0.2785, rising=False)],
    "mish": [Case(nn.Mish(), lambda z: z * np.tanh(np.logaddexp(0, z)), "NumPy", -0.3089, rising=False)],
    "softplus": [
        Case(nn.Softplus(), lambda z: np.logaddexp(0, z), "NumPy", 0),
        Case(nn.Softplus(3.0), lambda z: np.logaddexp(0, 3 * z) / 3, "NumPy", 0),
    ],
    "softsign": [Case(nn.Softsign(), lambda z: z / (1 + np.abs(z)), "NumPy", -1, 1, (0,), "odd")],
    "softshrink": [
        Case(
            nn.Softshrink(),
            lambda z: np.sign(z) * np.maximum(np.abs(z) - 0.5, 0),
            "NumPy",
            kinks=(-0.5, 0.5),
            symmetry="odd",
        ),
        Case(
            nn.Softshrink(1.5),
            lambda z: np.sign(z) * np.maximum(np.abs(z) - 1.5, 0),
            "NumPy",
            kinks=(-1.5, 1.5),
            symmetry="odd",
        ),
    ],
    "hardshrink": [
        Case(nn.Hardshrink(), lambda z: z * ~((z >= -0.5) & (z <= 0.5)), "NumPy", kinks=(-0.5, 0.5), symmetry="odd"),
        Case(nn.Hardshrink(1.5), lambda z: z * ~((z >= -1.5) & (z <= 1.5)), "NumPy", kinks=(-1.5, 1.5), symmetry="odd"),
    ],
    "hard_sigmoid": [Case(nn.HardSigmoid(), linear_gate, "NumPy", 0, 1, (-3, 3))],
    "hard_swish": [Case(nn.HardSwish(), lambda z: z * linear_gate(z), "NumPy", -0.375, kinks=(-3, 3), rising=False)],
    "hard_tanh": [Case(nn.HardTanh(), lambda z: np.clip(z, -1, 1), "NumPy", -1, 1, (-1, 1), "odd")],
    "log_sigmoid": [Case(nn.LogSigmoid(), scipy.special.log_expit, "SciPy", high=0)],
    "glu": [Case(nn.GLU(), halves, "SciPy", rising=False)],
    "maxout": [
        Case(nn.Maxout(), lambda z: np.maximum(z[..., ::2], z[..., 1::2]), "NumPy"),
        Case(nn.Maxout(3), partial(largest, pieces=3), "NumPy"),
    ],
    "softmax": [Case(nn.Softmax(), SOFTMAX, "SciPy", 0, 1, symmetry="shift", rising=False)],
    "log_softmax": [
        Case(
            nn.LogSoftmax(),
            partial(scipy.special.log_softmax, axis=-1),
            "SciPy",
            high=0,
            symmetry="shift",
            rising=False,
        )
    ],
    "softmin": [Case(nn.Softmin(), lambda z: SOFTMAX(-z), "SciPy", 0, 1, symmetry="shift", rising=False)],
    "threshold": [
        Case(nn.Threshold(), lambda z: np.heaviside(z, 0.0), "NumPy", 0, 1, (0,)),
        Case(nn.Threshold(0.5), lambda z: np.heaviside(z - 0.5, 0.0), "NumPy", 0, 1, (0.5,)),
    ],
}
