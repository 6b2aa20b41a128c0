"""What functions of NumPy do when they meet a tensor: the operators are the tensor's, all others are refused."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop.errors import ProgramError

REFLECTED = {
    np.add: "__radd__",
    np.subtract: "__rsub__",
    np.multiply: "__rmul__",
    np.true_divide: "__rtruediv__",
    np.power: "__rpow__",
    np.matmul: "__rmatmul__",
    np.less: "__gt__",
    np.less_equal: "__ge__",
    np.greater: "__lt__",
    np.greater_equal: "__le__",
    np.equal: "__eq__",
    np.not_equal: "__ne__",
}
"""What an operator of NumPy with an array on its left and a tensor on its right is of the tensor."""


def no_numbers(function: Any) -> ProgramError:
    """Return the error for a function of NumPy that was given a tensor."""
    name = function.__name__
    return ProgramError(
        f"np.{name} cannot take a tensor, which has no numbers while a program is traced: "
        f"write it with Python's operators and the functions of clearprop.ops, such as ops.tanh(x) for np.tanh(x)"
    )
