"""scikit-learn, as `clearprop bench` measures it."""

from __future__ import annotations

from collections.abc import Iterable

from clearprop.bench import Side
from clearprop.bench.scikit import ScikitLearn


def sides(threads: Iterable[int]) -> list[Side]:
    """Return a form for each number of threads."""
    return [ScikitLearn(count) for count in threads]
