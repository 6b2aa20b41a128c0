"""Mean and scale of numbers, without overflow."""

from dataclasses import dataclass

import numpy as np

from clearprop.data.columns import Array


@dataclass(frozen=True)
class Statistics:
    """What is known of some finite numbers x.

    Attributes:
        mean: sum(x) / n.
        scale: the standard deviation sqrt(sum((x - mean)^2) / n); 1 if all numbers are equal.
        constant: whether all numbers are equal.
    """

    mean: float
    scale: float
    constant: bool


def statistics(values: Array) -> Statistics:
    """Return the statistics of the entries of an array of finite numbers, at least one of them.

    They are computed in float64 on x / max|x|, so that neither sum nor squares overflow.
    """
    low, high = float(values.min()), float(values.max())
    if low == high:
        return Statistics(low, 1.0, True)
    largest = max(abs(low), abs(high))
    shrunk = np.asarray(values, dtype=np.float64) / largest
    mean = float(shrunk.mean())
    scale = float(np.sqrt(np.mean(np.square(shrunk - mean)))) * largest
    if not scale >= np.finfo(np.float64).tiny:  # numbers so near to each other that the squares vanish
        scale = max(high - low, float(np.finfo(np.float64).tiny))
    return Statistics(min(max(mean * largest, low), high), scale, False)
