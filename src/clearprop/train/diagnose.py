"""Where a computation first became non-finite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from clearprop.backends.reference import ReferenceExecutable
from clearprop.ir import Program

Array = np.ndarray[Any, Any]

_TINY = "numbers nearer to zero than 1.2e-38 (float64: 2.2e-308) count as zero in a training step"


def first_non_finite(program: Program, inputs: Mapping[str, Array]) -> str:
    """Run a program on the reference backend and say which value, of which layer, is the first to be non-finite.

    Infinities that are meant, such as constants, do not count: only floats computed from finite ones, or inputs. Where
    there is none, numbers so small that machine code takes them for zero are taken for zero as well.
    """
    run = ReferenceExecutable(program)
    found = _first(program, run.inspect(inputs))
    if found:
        return found
    found = _first(program, run.inspect(inputs, denormal=False))
    if found:
        return f"{found}, for {_TINY}: is something divided by such a number, or its logarithm taken?"
    return "the objective is not finite, though every value of the reference computation is"


def _first(program: Program, values: Mapping[str, Array]) -> str:
    """Return what the first value is that is not finite, or nothing."""
    for value in program.values():
        array = values[value.name]
        if array.dtype.kind != "f" or np.isfinite(array).all():
            continue
        kind = "NaN" if np.isnan(array).any() else "infinite"
        count = int((~np.isfinite(array)).sum())
        quantity = f" ({value.note.quantity})" if value.note.quantity else ""
        layer = f" of layer {value.note.layer}" if value.note.layer else ""
        return f"{value.name}{quantity}{layer} is the first to be {kind}, in {count} of {array.size} elements"
    return ""
