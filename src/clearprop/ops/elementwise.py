"""Elementwise primitives: arithmetic, functions, comparisons, choice and conversion."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from clearprop.errors import ShapeError
from clearprop.ir import DTYPES, Attribute, Type, is_float
from clearprop.ops.record import Example, OpDef, Operand, register
from clearprop.ops.rules import (
    FLOATS,
    INTEGERS,
    N,
    binary_examples,
    elementwise_rule,
    take_inputs,
    unary_examples,
)
from clearprop.ops.tensor import Tensor, emit

_NUMBERS = FLOATS + INTEGERS


def where(condition: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Choose x where the condition holds and y elsewhere; all of one shape."""
    return emit("where", condition, x, y)


def astype(x: Tensor, dtype: str) -> Tensor:
    """Convert to another dtype; truncates toward zero from float to integer."""
    return x if x.dtype == dtype else emit("astype", x, dtype=dtype)


def stop_gradient(x: Tensor) -> Tensor:
    """Pass x on as it is, but treat it as a constant when derivatives are taken."""
    return emit("stop_gradient", x)


def _function(name: str, numpy: str, vjp: Callable[..., Any] | None, low: float, high: float, **more: Any) -> None:
    avoid = more.pop("avoid", ())
    register(
        OpDef(
            name=name,
            infer=elementwise_rule(name, 1, FLOATS),
            numpy=numpy,
            vjp=vjp,
            examples=unary_examples(low, high, avoid),
            elementwise=True,
            **more,
        )
    )


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), without overflow for large |x|."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def erf(x: Any) -> Any:
    """The error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x."""
    return np.asarray(np.vectorize(math.erf, otypes=[float])(x), dtype=np.asarray(x).dtype)


_function("negative", "-x0", lambda g, ans, x: (-g,), -3, 3)
_function("exp", "np.exp(x0)", lambda g, ans, x: (g * ans,), -3, 3)
_function("expm1", "np.expm1(x0)", lambda g, ans, x: (g * (ans + 1.0),), -3, 3)
_function("log", "np.log(x0)", lambda g, ans, x: (g / x,), 0.2, 4)
_function("log1p", "np.log1p(x0)", lambda g, ans, x: (g / (1.0 + x),), -0.7, 4)
_function("sqrt", "np.sqrt(x0)", lambda g, ans, x: (g * 0.5 / ans,), 0.2, 4)
_function("tanh", "np.tanh(x0)", lambda g, ans, x: (g * (1.0 - ans * ans),), -3, 3)
_function("sigmoid", "sigmoid(x0)", lambda g, ans, x: (g * (ans * (1.0 - ans)),), -5, 5, helpers=(sigmoid,))
_function(
    "erf",
    "erf(x0)",
    lambda g, ans, x: (g * (2.0 / math.sqrt(math.pi) * emit("exp", -(x * x))),),
    -2.5,
    2.5,
    helpers=(erf,),
)
_function("sin", "np.sin(x0)", lambda g, ans, x: (g * emit("cos", x),), -4, 4)
_function("cos", "np.cos(x0)", lambda g, ans, x: (-(g * emit("sin", x)),), -4, 4)
_function("arctan", "np.arctan(x0)", lambda g, ans, x: (g / (1.0 + x * x),), -3, 3)
_function("abs", "np.abs(x0)", lambda g, ans, x: (g * emit("sign", x),), -2, 2, avoid=(0.0,))
_function("sign", "np.sign(x0)", lambda g, ans, x: (None,), -2, 2, avoid=(0.0,))
_function("stop_gradient", "x0", lambda g, ans, x: (None,), -2, 2)


def _arithmetic(
    name: str, numpy: str, vjp: Callable[..., Any], first: tuple[float, float], second: tuple[float, float]
) -> None:
    register(
        OpDef(
            name=name,
            infer=elementwise_rule(name, 2, FLOATS if name in ("divide", "power") else _NUMBERS),
            numpy=numpy,
            vjp=vjp,
            examples=binary_examples(first, second),
            elementwise=True,
        )
    )


def _masked(condition: Tensor, g: Tensor) -> Tensor:
    return where(condition, g, fill_like(g, 0.0))


def fill_like(x: Tensor, number: float) -> Tensor:
    """A tensor of the same type as x, filled with one number."""
    scalar = emit("constant", value=number, dtype=x.dtype, shape=())
    return scalar if x.shape == () else emit("broadcast_to", scalar, shape=x.shape)


def _power_vjp(g: Tensor, ans: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    one, zero = fill_like(x, 1.0), fill_like(x, 0.0)
    # where y is 0 the derivative is 0, at x = 0 too; its own derivative by y is 1 / x there
    safe = where(y == 0.0, where(x == 0.0, one, x), x)
    base = g * (y * safe ** (y - 1.0))
    exponent = g * where(zero < x, ans * emit("log", where(zero < x, x, one)), zero)
    return base, exponent


_arithmetic("add", "x0 + x1", lambda g, ans, x, y: (g, g), (-2, 2), (-2, 2))
_arithmetic("subtract", "x0 - x1", lambda g, ans, x, y: (g, -g), (-2, 2), (-2, 2))
_arithmetic("multiply", "x0 * x1", lambda g, ans, x, y: (g * y, g * x), (-2, 2), (-2, 2))
_arithmetic("divide", "x0 / x1", lambda g, ans, x, y: (g / y, -(g * ans / y)), (-2, 2), (0.5, 3))
_arithmetic("power", "x0 ** x1", _power_vjp, (0.3, 3), (-2, 3))
_arithmetic(
    # a tie goes to the second argument, so that max(x, 0) has the derivative 0 at x = 0
    "maximum",
    "np.maximum(x0, x1)",
    lambda g, ans, x, y: (_masked(y < x, g), _masked(x <= y, g)),
    (-2, 2),
    (-1.9, 2.1),
)
_arithmetic(
    "minimum",
    "np.minimum(x0, x1)",
    lambda g, ans, x, y: (_masked(x < y, g), _masked(y <= x, g)),
    (-2, 2),
    (-1.9, 2.1),
)


def _comparison(name: str, numpy: str) -> None:
    register(
        OpDef(
            name=name,
            infer=elementwise_rule(name, 2, DTYPES, "bool"),
            numpy=numpy,
            vjp=None,
            examples=binary_examples((-2, 2), (-1.9, 2.1)),
            elementwise=True,
        )
    )


_comparison("equal", "x0 == x1")
_comparison("less", "x0 < x1")
_comparison("less_equal", "x0 <= x1")

_BOOL = Operand((N, 3), dtype="bool")

register(
    OpDef(
        name="logical_not",
        infer=elementwise_rule("logical_not", 1, ("bool",)),
        numpy="~x0",
        vjp=None,
        examples=(Example((_BOOL,)),),
        elementwise=True,
    )
)
register(
    OpDef(
        name="logical_and",
        infer=elementwise_rule("logical_and", 2, ("bool",)),
        numpy="x0 & x1",
        vjp=None,
        examples=(Example((_BOOL, _BOOL)),),
        elementwise=True,
    )
)
register(
    OpDef(
        name="bitwise_right_shift",
        infer=elementwise_rule("bitwise_right_shift", 2, INTEGERS),
        numpy="x0 >> x1",
        vjp=None,
        examples=(Example((Operand((N, 3), 0, 2**31, dtype="uint32"), Operand((N, 3), 0, 31, dtype="uint32"))),),
        elementwise=True,
    )
)


def _where_rule(types: Sequence[Type], attrs: dict[str, Attribute]) -> tuple[Type, ...]:
    condition, x, y = take_inputs("where", types, 3)
    if condition.dtype != "bool" or x != y or condition.shape != x.shape:
        raise ShapeError(
            f"where needs a bool condition and two choices of one type and shape, received {condition}, {x} and {y}"
        )
    return (x,)


register(
    OpDef(
        name="where",
        infer=_where_rule,
        numpy="np.where(x0, x1, x2)",
        vjp=lambda g, ans, condition, x, y: (
            None,
            _masked(condition, g),
            where(condition, fill_like(g, 0.0), g),
        ),
        examples=(Example((_BOOL, Operand((N, 3)), Operand((N, 3)))),),
        elementwise=True,
    )
)


def _astype_rule(types: Sequence[Type], attrs: dict[str, Attribute]) -> tuple[Type, ...]:
    (x,) = take_inputs("astype", types, 1)
    dtype = attrs["dtype"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ShapeError(f"astype: unknown dtype {dtype!r}; expected one of {', '.join(DTYPES)}")
    return (x.with_dtype(dtype),)


register(
    OpDef(
        name="astype",
        infer=_astype_rule,
        numpy="np.asarray(x0).astype(dtype)",
        vjp=lambda g, ans, x, dtype: (astype(g, x.dtype) if is_float(x.type) else None,),
        examples=(
            Example((Operand((N, 3)),), {"dtype": "float64"}),
            Example((_BOOL,), {"dtype": "float32"}),
            Example((Operand((N, 3), 0, 100, dtype="int64"),), {"dtype": "int32"}),
        ),
        elementwise=True,
    )
)
