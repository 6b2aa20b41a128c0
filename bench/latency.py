"""The time of predicting one row: a NumPy row in, a NumPy row out."""

from __future__ import annotations

import statistics
import time

from clearprop.bench import Data, Predict, Side, Workload


def latency(side: Side, workload: Workload, data: Data, seconds: float) -> float:
    """Return the median time of a call with one row."""
    return timed(side.predictor(workload, data), data, seconds)


def timed(predict: Predict, data: Data, seconds: float) -> float:
    """Call for so long, with one row after another."""
    rows = [data[0][i : i + 1] for i in range(min(len(data[0]), 64))]
    for row in rows:
        predict(row)
    times, end = [], time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        for row in rows:
            start = time.perf_counter()
            predict(row)
            times.append(time.perf_counter() - start)
    return statistics.median(times)
