"""How many first values may be made: a description that was read from a file may ask for any number of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from clearprop.errors import ShapeError

Array = np.ndarray[Any, Any]


class _Allowance:
    """How many numbers there may be, and how many are left."""

    def __init__(self, most: int) -> None:
        self.most = self.left = most


_ALLOWANCE: ContextVar[_Allowance | None] = ContextVar("clearprop_first_values", default=None)


@contextmanager
def at_most(numbers: int) -> Iterator[None]:
    """Bound the first values that `Layer.init` makes, for the length of a `with` block.

    What initialisers give by `nn.initializer` counts, and what the layers of the package fill; what a layer of a
    user's own makes by itself does not.
    """
    token = _ALLOWANCE.set(_Allowance(numbers))
    try:
        yield
    finally:
        _ALLOWANCE.reset(token)


def is_bounded() -> bool:
    """Tell whether first values are counted."""
    return _ALLOWANCE.get() is not None


def count_values(shape: Sequence[int]) -> None:
    """Count first values before they are made; `ShapeError` where they are more than there may be."""
    allowance = _ALLOWANCE.get()
    if allowance is not None:
        allowance.left -= math.prod(shape)
        if allowance.left < 0:
            raise ShapeError(f"the parameters have more than the {allowance.most} numbers that there are values for")


def filled(value: float, *shape: int) -> Array:
    """Return first values that are one number everywhere, float64."""
    count_values(shape)
    return np.full(shape, value, np.float64)
