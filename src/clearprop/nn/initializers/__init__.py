"""Initialisers: how the parameters of a layer start."""

from __future__ import annotations

from clearprop.description import choose
from clearprop.nn.allowance import is_bounded
from clearprop.nn.initializers.data_driven import LSUV, ClassPrior, DataDriven, TargetMean
from clearprop.nn.initializers.fixed import Eye, Fill, Given, Zeros
from clearprop.nn.initializers.initializer import Counted, Initializer
from clearprop.nn.initializers.random import Normal, TruncatedNormal, Uniform
from clearprop.nn.initializers.scaled import Kaiming, LeCun, VarianceScaling, Xavier, gain_of
from clearprop.nn.initializers.structured import Orthogonal, Sparse

INITIALIZERS: dict[str, type[Initializer]] = {
    "zeros": Zeros,
    "constant": Fill,
    "identity": Eye,
    "uniform": Uniform,
    "normal": Normal,
    "truncated_normal": TruncatedNormal,
    "xavier": Xavier,
    "kaiming": Kaiming,
    "lecun": LeCun,
    "variance_scaling": VarianceScaling,
    "orthogonal": Orthogonal,
    "sparse": Sparse,
    "lsuv": LSUV,
    "class_prior": ClassPrior,
    "target_mean": TargetMean,
}
"""The initialisers by name; `Given` has none, since it needs an array."""


def initializer(choice: str | Initializer) -> Initializer:
    """Return the initialiser of a name, or one as it is; where first values are bounded, one that counts its own."""
    chosen = choose(choice, Initializer, INITIALIZERS, "initialiser")
    return Counted(chosen) if is_bounded() else chosen


__all__ = [
    "INITIALIZERS",
    "LSUV",
    "ClassPrior",
    "DataDriven",
    "Eye",
    "Fill",
    "Given",
    "Initializer",
    "Kaiming",
    "LeCun",
    "Normal",
    "Orthogonal",
    "Sparse",
    "TargetMean",
    "TruncatedNormal",
    "Uniform",
    "VarianceScaling",
    "Xavier",
    "Zeros",
    "gain_of",
    "initializer",
]
