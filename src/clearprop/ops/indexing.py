"""Primitives that make numbers or pick them by index: constant, arange, take, scatter-add, random bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.errors import ShapeError
from clearprop.ir import DTYPES, Attribute, Dim, Shape, Type, dims_product
from clearprop.ops.record import Example, OpDef, Operand, register
from clearprop.ops.rules import INTEGERS, N, attribute_dims, need_float, take_inputs
from clearprop.ops.tensor import Tensor, emit, show
from clearprop.randomness import philox


def arange(size: Dim, dtype: str = "int64") -> Tensor:
    """0, 1, ..., size - 1."""
    return emit("arange", size=size, dtype=dtype)


def take(x: Tensor, indices: Tensor) -> Tensor:
    """Gather rows: result[i, ...] = x[indices[i], ...]; the indices may have any shape.

    A negative index counts from the end. When the program runs, an index outside of -rows..rows - 1 is an IndexError,
    on every backend.
    """
    return emit("take", x, indices)


def scatter_add(indices: Tensor, rows: Tensor, size: Dim) -> Tensor:
    """Add rows[i, ...] to row indices[i] of zeros of `size` rows; repeated indices add up, in order.

    A negative index counts from the end. When the program runs, an index outside of -size..size - 1 is an IndexError,
    on every backend.
    """
    return emit("scatter_add", indices, rows, size=size)


def random_bits(key: Tensor, step: Tensor, stream: int, shape: Shape) -> Tensor:
    """Uniform random uint32 from Philox 4x32-10: a pure function of key, step, stream and the position.

    Args:
        key: uint32[2], the run's seed.
        step: int64[], the training step.
        stream: which of the program's random sites this is.
        shape: the result's shape; element i is word i mod 4 of block i // 4.
    """
    return emit("random_bits", key, step, stream=stream, shape=shape)


def _integer_type(op: str, type_: Type) -> None:
    if type_.dtype not in INTEGERS:
        raise ShapeError(f"{op} needs integer indices, received {type_}")


# -- constant, arange ------------------------------------------------------------------------------------------


def _dtype(op: str, value: Attribute) -> str:
    if not isinstance(value, str) or value not in DTYPES:
        raise ShapeError(f"{op}: unknown dtype {value!r}; expected one of {', '.join(DTYPES)}")
    return value


def _constant_rule(types: Sequence[Type], attrs: dict[str, Attribute]) -> tuple[Type, ...]:
    """A number, a tuple of numbers in row-major order, or (for a scalar) a multiple of the batch size n."""
    take_inputs("constant", types, 0)
    value, shape = attrs["value"], attribute_dims("constant", attrs["shape"])
    count = len(value) if isinstance(value, tuple) else 1
    if dims_product(shape) != (count, 0) and not (count == 0 and dims_product(shape) == (0, 0)):
        raise ShapeError(f"constant: {count} number(s) do not fill the shape {show(shape)}")
    return (Type(_dtype("constant", attrs["dtype"]), shape),)


register(
    OpDef(
        name="constant",
        infer=_constant_rule,
        numpy="np.reshape(np.array(value, dtype=dtype), shape)",
        vjp=lambda g, ans, value, dtype, shape: (),
        examples=(
            Example((), {"value": 0.5, "dtype": "float32", "shape": ()}),
            Example((), {"value": N, "dtype": "float64", "shape": ()}),
            Example((), {"value": (1, 2, 3, 4), "dtype": "int64", "shape": (2, 2)}),
        ),
    )
)


def _arange_rule(types: Sequence[Type], attrs: dict[str, Attribute]) -> tuple[Type, ...]:
    take_inputs("arange", types, 0)
    return (Type(_dtype("arange", attrs["dtype"]), attribute_dims("arange", (attrs["size"],))),)


register(
    OpDef(
        name="arange",
        infer=_arange_rule,
        numpy="np.arange(size, dtype=dtype)",
        vjp=lambda g, ans, size, dtype: (),
        examples=(
            Example((), {"size": 4, "dtype": "int64"}),
            Example((), {"size": N, "dtype": "float32"}),
        ),
    )
)

# -- take, scatter_add -----------------------------------------------------------------------------------------


def _take_rule(types: Sequence[Type], attrs: dict[str, Attribute]) -> tuple[Type, ...]:
    x, indices = take_inputs("take", types, 2)
    _integer_type("take", indices)
    if x.rank < 1:
        raise ShapeError(f"take needs a tensor with rows to pick from, received {x}")
    return (x.with_shape(indices.shape + x.shape[1:]),)


def _scatter_rule(types: Sequence[Type], attrs: dict[str, Attribute]) -> tuple[Type, ...]:
    indices, rows = take_inputs("scatter_add", types, 2)
    _integer_type("scatter_add", indices)
    need_float("scatter_add", rows)
    if rows.shape[: indices.rank] != indices.shape:
        raise ShapeError(f"scatter_add: one row an index, received indices {indices} and rows {rows}")
    (size,) = attribute_dims("scatter_add", (attrs["size"],))
    return (rows.with_shape((size, *rows.shape[indices.rank :])),)


def add_rows(indices: Any, rows: Any, size: Any) -> Any:
    """Zeros of `size` rows, with rows[i] added to row indices[i]."""
    result = np.zeros((size, *rows.shape[np.ndim(indices) :]), rows.dtype)
    np.add.at(result, indices, rows)
    return result


_INDICES = Operand((N, 2), 0, 5, dtype="int64")

register(
    OpDef(
        name="take",
        infer=_take_rule,
        numpy="x0[x1]",
        vjp=lambda g, ans, x, indices: (scatter_add(indices, g, x.shape[0]), None),
        examples=(
            Example((Operand((5, 3)), _INDICES)),
            Example((Operand((5,)), Operand((N,), 0, 5, dtype="int32"))),
        ),
    )
)
register(
    OpDef(
        name="scatter_add",
        infer=_scatter_rule,
        numpy="add_rows(x0, x1, size)",
        vjp=lambda g, ans, indices, rows, size: (None, take(g, indices)),
        examples=(
            Example((_INDICES, Operand((N, 2, 3))), {"size": 5}),
            Example((Operand((N,), 0, 5, dtype="int32"), Operand((N,))), {"size": 5}),
        ),
        helpers=(add_rows,),
    )
)

# -- random bits -----------------------------------------------------------------------------------------------


def _random_rule(types: Sequence[Type], attrs: dict[str, Attribute]) -> tuple[Type, ...]:
    key, step = take_inputs("random_bits", types, 2)
    if key != Type("uint32", (2,)) or step != Type("int64"):
        raise ShapeError(f"random_bits needs a key uint32[2] and a step int64[], received {key} and {step}")
    stream = attrs["stream"]
    if not isinstance(stream, int) or not 0 <= stream < 2**32:
        raise ShapeError(f"random_bits: the stream is an integer from 0 to 2^32 - 1, received {stream!r}")
    return (Type("uint32", attribute_dims("random_bits", attrs["shape"])),)


register(
    OpDef(
        name="random_bits",
        infer=_random_rule,
        numpy="philox(x0, x1, stream, shape)",
        vjp=None,
        examples=(
            Example(
                (Operand((2,), 0, 2**32, dtype="uint32"), Operand((), 0, 2**40, dtype="int64")),
                {"stream": 3, "shape": (N, 5)},
            ),
        ),
        helpers=(philox,),
    )
)
