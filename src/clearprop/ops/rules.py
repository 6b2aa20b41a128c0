"""Type rules and test operands that several primitives share."""

from __future__ import annotations

from collections.abc import Sequence

from clearprop.errors import ShapeError
from clearprop.ir import Attribute, Batch, Dim, Type, is_float
from clearprop.ops.record import Example, Infer, Operand

N = Batch()
FLOATS = ("float32", "float64")
INTEGERS = ("int32", "int64", "uint32")


def take_inputs(op: str, types: Sequence[Type], count: int) -> tuple[Type, ...]:
    """Return the input types; `ShapeError` if there are more or fewer than the operation takes."""
    if len(types) != count:
        raise ShapeError(f"{op} takes {count} input(s), received {len(types)}")
    return tuple(types)


def same_types(op: str, types: Sequence[Type], count: int, dtypes: Sequence[str]) -> Type:
    """Return the one type of all inputs; `ShapeError` if they differ or the dtype is not allowed."""
    first, *rest = take_inputs(op, types, count)
    for other in rest:
        if other != first:
            raise ShapeError(f"{op} needs inputs of one type, received {first} and {other}")
    if first.dtype not in dtypes:
        raise ShapeError(f"{op} needs a dtype of {', '.join(dtypes)}, received {first}")
    return first


def elementwise_rule(op: str, count: int, dtypes: Sequence[str], result: str | None = None) -> Infer:
    """The rule of an elementwise operation: equal types in, the same shape out."""

    def infer(types: Sequence[Type], attrs: dict[str, Attribute]) -> tuple[Type, ...]:
        type_ = same_types(op, types, count, dtypes)
        return (type_.with_dtype(result) if result else type_,)

    return infer


def need_float(op: str, type_: Type) -> Type:
    """Return the type; `ShapeError` unless it is a float."""
    if not is_float(type_):
        raise ShapeError(f"{op} needs a float tensor, received {type_}")
    return type_


def attribute_axes(op: str, value: Attribute, rank: int) -> tuple[int, ...]:
    """Return the axes attribute, checked: distinct integers from 0 to rank - 1."""
    axes = value if isinstance(value, tuple) else (value,)
    if not all(isinstance(axis, int) and 0 <= axis < rank for axis in axes) or len(set(axes)) < len(axes):
        raise ShapeError(f"{op}: axes {axes} must be distinct and lie in 0..{rank - 1}")
    return tuple(axis for axis in axes if isinstance(axis, int))


def attribute_dims(op: str, value: Attribute) -> tuple[Dim, ...]:
    """Return a shape attribute, checked: a tuple of non-negative integers and batch dimensions."""
    if not isinstance(value, tuple):
        raise ShapeError(f"{op}: a shape is a tuple, received {value!r}")
    dims: list[Dim] = []
    for dim in value:
        if isinstance(dim, bool) or not isinstance(dim, (int, Batch)) or (isinstance(dim, int) and dim < 0):
            raise ShapeError(f"{op}: a dimension is a non-negative integer or n, received {dim!r}")
        dims.append(dim)
    return tuple(dims)


def add_dims(a: Dim, b: Dim) -> Dim | None:
    """Return a + b, or None where a batch and a number would be mixed."""
    if isinstance(a, Batch) and isinstance(b, Batch):
        return Batch(a.scale + b.scale)
    if b == 0 or a == 0:
        return a if b == 0 else b
    return a + b if isinstance(a, int) and isinstance(b, int) else None


def subtract_dims(a: Dim, b: Dim) -> Dim | None:
    """Return a - b, or None where it is negative or a batch and a number would be mixed."""
    if a == b or b == 0:
        return 0 if a == b else a
    if isinstance(a, Batch) and isinstance(b, Batch):
        return Batch(a.scale - b.scale) if a.scale > b.scale else None
    return a - b if isinstance(a, int) and isinstance(b, int) and a >= b else None


def unary_examples(low: float, high: float, avoid: tuple[float, ...] = ()) -> tuple[Example, ...]:
    """Test operands of an elementwise function of one argument."""
    return tuple(Example((Operand(shape, low, high, avoid=avoid),)) for shape in ((N, 3), (), (0, 2)))


def binary_examples(*operands: tuple[float, float]) -> tuple[Example, ...]:
    """Test operands of an elementwise function, one (low, high) an argument; no two values tie."""
    return tuple(
        Example(tuple(Operand(shape, low, high, distinct=True) for low, high in operands)) for shape in ((N, 3), ())
    )
