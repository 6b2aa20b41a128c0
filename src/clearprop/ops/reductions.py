"""Reductions over named axes, and the matrix product."""

from __future__ import annotations

from collections.abc import Sequence

from clearprop.errors import ShapeError
from clearprop.ir import Attribute, Dim, Program, Shape, Type, resolve_shape
from clearprop.ops.elementwise import astype
from clearprop.ops.record import Example, Infer, OpDef, Operand, register
from clearprop.ops.rules import INTEGERS, N, attribute_axes, need_float, take_inputs
from clearprop.ops.shaping import permute_dims
from clearprop.ops.tensor import Tensor, broadcast_to, emit, reshape, show

Axis = int | tuple[int, ...] | None


def normal_axes(axis: Axis, rank: int) -> tuple[int, ...]:
    """Return the axes as sorted non-negative integers; None means all of them."""
    axes = range(rank) if axis is None else (axis,) if isinstance(axis, int) else axis
    for item in axes:
        if not -rank <= item < rank:
            raise ShapeError(f"axis {item} is outside of a tensor of {rank} dimensions")
    return tuple(sorted(item % rank for item in axes))


def keep_dims(shape: Shape, axes: tuple[int, ...]) -> Shape:
    """Return the shape with the reduced axes kept at length one."""
    return tuple(1 if axis in axes else dim for axis, dim in enumerate(shape))


def _reduce(op: str, x: Tensor, axis: Axis, keepdims: bool) -> Tensor:
    axes = normal_axes(axis, x.rank)
    result = emit(op, x, axis=axes) if axes else x
    return reshape(result, keep_dims(x.shape, axes)) if keepdims else result


def sum(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Sum over axes (all of them when None)."""
    return _reduce("sum", x, axis, keepdims)


def max(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Largest element over axes; the derivative is shared equally between ties.

    There is no largest of no elements: a `ShapeError`, and when it is the batch that turns out to be empty, one as
    the program runs, on every backend.
    """
    return _reduce("max", x, axis, keepdims)


def check_empty_batch(program: Program) -> None:
    """Raise `ShapeError` if a program asks for the largest element of a batch, which has none."""
    for node in program.nodes:
        for attribute in node.attrs.values():
            if isinstance(attribute, Program):
                check_empty_batch(attribute)
        if node.op == "max":
            x = node.inputs[0].type
            axes = attribute_axes("max", node.attrs["axis"], x.rank)
            if 0 in (resolve_shape(x.shape, 0)[axis] for axis in axes):
                raise ShapeError(
                    f"{program.name}: max of {x} over axes {axes} with n = 0: there is no largest of no elements"
                )


def spread(g: Tensor, axes: tuple[int, ...], shape: Shape) -> Tensor:
    """Repeat a reduced tensor along the axes it was reduced over."""
    return broadcast_to(reshape(g, keep_dims(shape, axes)), shape)


def _rule(op: str) -> Infer:
    def infer(types: Sequence[Type], attrs: dict[str, Attribute]) -> tuple[Type, ...]:
        (x,) = take_inputs(op, types, 1)
        if x.dtype not in INTEGERS:
            need_float(op, x)
        axes = attribute_axes(op, attrs["axis"], x.rank)
        if op == "max" and 0 in (x.shape[axis] for axis in axes):
            raise ShapeError(f"max of {x} over axes {axes}: there is no largest of no elements")
        return (x.with_shape(dim for axis, dim in enumerate(x.shape) if axis not in axes),)

    return infer


def _max_vjp(g: Tensor, ans: Tensor, x: Tensor, axis: tuple[int, ...]) -> tuple[Tensor]:
    ties = astype(x == spread(ans, axis, x.shape), x.dtype)
    return (ties * spread(g / sum(ties, axis), axis, x.shape),)


register(
    OpDef(
        name="sum",
        infer=_rule("sum"),
        numpy="np.sum(x0, axis=axis)",
        vjp=lambda g, ans, x, axis: (spread(g, axis, x.shape),),
        examples=(
            Example((Operand((N, 3)),), {"axis": (1,)}),
            Example((Operand((N, 3, 2)),), {"axis": (0, 2)}),
            Example((Operand((2, 0)),), {"axis": (0, 1)}),
        ),
    )
)
register(
    OpDef(
        name="max",
        infer=_rule("max"),
        numpy="np.max(x0, axis=axis)",
        vjp=_max_vjp,
        examples=(
            Example((Operand((N, 3), distinct=True),), {"axis": (1,)}),
            Example((Operand((N, 3, 2), distinct=True),), {"axis": (0, 2)}),
        ),
    )
)


def _matmul_rule(types: Sequence[Type], attrs: dict[str, Attribute]) -> tuple[Type, ...]:
    x, y = take_inputs("matmul", types, 2)
    need_float("matmul", x)
    if x.rank < 2 or x.rank != y.rank or x.dtype != y.dtype or x.shape[:-2] != y.shape[:-2]:
        raise ShapeError(f"matmul needs two stacks of matrices of one dtype, received {x} and {y}")
    if x.shape[-1] != y.shape[-2]:
        raise ShapeError(
            f"matmul of {show(x.shape)} and {show(y.shape)}: the columns of the first, {x.shape[-1]}, "
            f"must be as many as the rows of the second, {y.shape[-2]}"
        )
    shape: tuple[Dim, ...] = (*x.shape[:-1], y.shape[-1])
    return (x.with_shape(shape),)


def swap_last(x: Tensor) -> Tensor:
    """Transpose the last two dimensions."""
    return permute_dims(x, (*range(x.rank - 2), x.rank - 1, x.rank - 2))


register(
    OpDef(
        name="matmul",
        infer=_matmul_rule,
        numpy="x0 @ x1",
        vjp=lambda g, ans, x, y: (emit("matmul", g, swap_last(y)), emit("matmul", swap_last(x), g)),
        examples=(
            Example((Operand((N, 3)), Operand((3, 4)))),
            Example((Operand((2, 1, 3)), Operand((2, 3, 2)))),
            Example((Operand((3, N)), Operand((N, 1)))),
            Example((Operand((2, 0)), Operand((0, 3)))),
        ),
    )
)
