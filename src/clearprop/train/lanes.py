"""Samples in lanes: windows of long sequences, side by side, so that states are carried from batch to batch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from clearprop.errors import DataError
from clearprop.train.fit import Samples
from clearprop.train.step import Lanes

Array = np.ndarray[Any, Any]


def lanes_to_train(samples: Samples, count: int) -> tuple[Samples, Lanes]:
    """Bring samples, which are windows in their order, to lanes; windows that make no full row are left out.

    Lane b holds the windows b m, b m + 1, ..., b m + m - 1 of n, with m = n div count.

    Args:
        samples: the windows.
        count: how many lanes.

    Returns:
        The samples with arrays (m, count, ...), row t of which has the window t of every lane; and what they are.

    Raises:
        DataError: there are fewer windows than lanes.
    """
    steps = len(samples) // count
    if not steps:
        raise DataError(
            f"{len(samples)} windows make no {count} lanes, each of which is a sequence of windows: "
            "take a smaller batch_size, shorter windows, or more data"
        )
    return _in_lanes(samples, np.arange(count * steps).reshape(count, steps).T), Lanes(count, steps)


def lanes_to_measure(samples: Samples, count: int) -> Samples:
    """Bring samples to lanes, all of them: the last lanes are filled up with repetitions that do not count.

    Args:
        samples: windows in their order.
        count: how many lanes.
    """
    steps = -(-len(samples) // count)
    rows = np.arange(count * steps).reshape(count, steps).T
    lanes = _in_lanes(samples, np.minimum(rows, len(samples) - 1))
    real = rows < len(samples)
    if real.all():
        return lanes
    weights = [None if w is None else w * real for w in (lanes.weight, lanes.metric_weight)]
    whole = real.astype(samples.x.dtype)
    return replace(
        lanes,
        weight=whole if weights[0] is None else weights[0],
        metric_weight=whole if weights[1] is None else weights[1],
    )


def _in_lanes(samples: Samples, rows: Array) -> Samples:
    arrays = (samples.x, samples.y, samples.weight, samples.metric_weight)
    x, y, weight, metric_weight = (None if array is None else array[rows] for array in arrays)
    assert x is not None
    assert y is not None
    return replace(samples, x=x, y=y, weight=weight, metric_weight=metric_weight, lanes=rows.shape[1])
