"""Every initialiser that draws independent numbers beside SciPy's distribution; and those that do not."""

from __future__ import annotations

import math
from typing import Any

import scipy.stats

from clearprop import nn

FAN_IN, FAN_OUT = 300, 200
SHAPE = (FAN_IN, FAN_OUT)
ROOT3 = math.sqrt(3.0)

CUT = math.sqrt(1 - 4 * scipy.stats.norm.pdf(2) / (2 * scipy.stats.norm.cdf(2) - 1))


def normal(std: float) -> Any:
    return scipy.stats.norm(0, std)


def uniform(std: float) -> Any:
    return scipy.stats.uniform(-std * ROOT3, 2 * std * ROOT3)


def truncated(std: float, at: float = 2.0) -> Any:
    """A normal cut at `at` of its own standard deviations; std is that before the cut."""
    return scipy.stats.truncnorm(-at, at, scale=std)


CASES: dict[nn.Initializer, Any] = {
    nn.Uniform(): uniform(0.05 / ROOT3),
    nn.Uniform(2.0): uniform(2.0 / ROOT3),
    nn.Normal(): normal(0.05),
    nn.Normal(3.0): normal(3.0),
    nn.TruncatedNormal(): truncated(0.05),
    nn.TruncatedNormal(2.0, at=1.0): truncated(2.0, 1.0),
    nn.Xavier(): uniform(math.sqrt(2 / 500)),
    nn.Xavier("normal", gain=5 / 3): normal(5 / 3 * math.sqrt(2 / 500)),
    nn.Xavier("normal", gain="tanh"): normal(5 / 3 * math.sqrt(2 / 500)),
    nn.Xavier("truncated_normal"): truncated(math.sqrt(2 / 500) / CUT),
    nn.Kaiming(): normal(math.sqrt(2 / 300)),
    nn.Kaiming("uniform", mode="fan_out"): uniform(math.sqrt(2 / 200)),
    nn.Kaiming(mode="fan_avg"): normal(math.sqrt(2 / 250)),
    nn.Kaiming(gain=1.0): normal(math.sqrt(1 / 300)),
    nn.Kaiming(gain="selu"): normal(0.75 * math.sqrt(1 / 300)),
    nn.LeCun(): normal(math.sqrt(1 / 300)),
    nn.LeCun("uniform"): uniform(math.sqrt(1 / 300)),
    nn.VarianceScaling(): normal(math.sqrt(1 / 300)),
    nn.VarianceScaling(2.0, "fan_out", "uniform"): uniform(math.sqrt(2 / 200)),
    nn.VarianceScaling(3.0, "fan_avg", "truncated_normal"): truncated(math.sqrt(3 / 250) / CUT),
}
"""The distribution of each initialiser that draws independent numbers, as SciPy knows it."""

OTHERS = (nn.Zeros(), nn.Fill(2.5), nn.Eye(3.0), nn.Given(((1.0, 2.0),)), nn.Orthogonal(), nn.Sparse(), nn.LSUV())
DATA_DRIVEN = (nn.LSUV(), nn.ClassPrior(), nn.TargetMean())
