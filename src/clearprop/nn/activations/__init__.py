"""Activations: functions of the weighted input, as layers and by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import cast

from clearprop.description import choose
from clearprop.nn.activations.activation import Activation
from clearprop.nn.activations.gates import GELU, GLU, HardSwish, Maxout, Mish, SiLU
from clearprop.nn.activations.normalised import LogSoftmax, Softmax, Softmin
from clearprop.nn.activations.rectifiers import (
    CELU,
    ELU,
    SELU,
    Hardshrink,
    LeakyReLU,
    PReLU,
    ReLU,
    ReLU6,
    RReLU,
    Softplus,
    Softshrink,
)
from clearprop.nn.activations.sigmoids import (
    HardSigmoid,
    HardTanh,
    Identity,
    LogSigmoid,
    ScaledTanh,
    Sigmoid,
    Softsign,
    Tanh,
    Threshold,
)
from clearprop.nn.function import Function
from clearprop.nn.layer import Layer
from clearprop.ops import Tensor

ACTIVATIONS: dict[str, Callable[[], Activation]] = {
    "identity": Identity,
    "sigmoid": Sigmoid,
    "tanh": Tanh,
    "scaled_tanh": ScaledTanh,
    "relu": ReLU,
    "relu6": ReLU6,
    "leaky_relu": LeakyReLU,
    "prelu": PReLU,
    "rrelu": RReLU,
    "elu": ELU,
    "celu": CELU,
    "selu": SELU,
    "gelu": GELU,
    "gelu_tanh": partial(GELU, exact=False),
    "silu": SiLU,
    "mish": Mish,
    "softplus": Softplus,
    "softsign": Softsign,
    "softshrink": Softshrink,
    "hardshrink": Hardshrink,
    "hard_sigmoid": HardSigmoid,
    "hard_swish": HardSwish,
    "hard_tanh": HardTanh,
    "log_sigmoid": LogSigmoid,
    "glu": GLU,
    "maxout": Maxout,
    "softmax": Softmax,
    "log_softmax": LogSoftmax,
    "softmin": Softmin,
    "threshold": Threshold,
}
"""The activations by the names that `Dense(..., activation=...)` and the command line take."""

ActivationChoice = str | Layer | Callable[[Tensor], Tensor] | None


def activation(choice: ActivationChoice) -> Layer:
    """Return the activation of a name, a layer or function as it is, and the identity for None."""
    if choice is None:
        return Identity()
    if isinstance(choice, str | Layer | type) or not callable(choice):
        return cast(Layer, choose(choice, Layer, ACTIVATIONS, "activation"))
    return Function(choice)


__all__ = [
    "ACTIVATIONS",
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Activation",
    "HardSigmoid",
    "HardSwish",
    "HardTanh",
    "Hardshrink",
    "Identity",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Maxout",
    "Mish",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "ScaledTanh",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Threshold",
    "activation",
]
