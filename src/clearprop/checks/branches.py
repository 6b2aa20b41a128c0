"""Programs with their decisions held: the smooth piece of a function that a point lies on.

A network with kinks is a choice between smooth functions: relu(z) is z or 0, |w| is w or -w. With the choices of one
point held fixed, what is left has a derivative at that point, even where the function has none, and it is the one
that backpropagation gives by convention (0 for relu and |w| at 0; shared between the ties of a max).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from clearprop import ops
from clearprop.backends.reference import ReferenceExecutable
from clearprop.ir import Node, Program, Type, Value, is_float
from clearprop.ops import Tensor

Array = np.ndarray[Any, Any]
Arrays = dict[str, Array]
Keep = Callable[[Type, Array], Tensor]
"""Makes an array an input of the program, and returns it as a tensor."""

Rule = Callable[[Keep, Node, Sequence[Tensor], Sequence[Array]], Tensor]
"""Writes one operation with its decision held, from its inputs as tensors and as arrays."""


def depends_on(program: Program, names: set[str]) -> set[Value]:
    """Return the inputs of these names and every value that is computed from them."""
    return program.dependents(value for value in program.inputs if value.name in names)


def hold(
    program: Program, inputs: Mapping[str, Array], wrt: set[str], branches: bool = True
) -> tuple[Program, Arrays] | None:
    """Hold the decisions that depend on `wrt` as they are at `inputs`.

    Args:
        program: the program.
        inputs: the point.
        wrt: the names of the inputs that will be moved.
        branches: whether comparisons, conversions, maxima, minima, signs and absolute values are held, or only what
            stop_gradient keeps constant.

    Returns:
        A program that takes the decisions as further inputs, and all of its inputs; None if there is no decision.
    """
    moved = depends_on(program, wrt)
    at = ReferenceExecutable(program).inspect(inputs)
    held: Arrays = {}
    with ops.tracing(program.name) as builder:

        def keep(type_: Type, array: Array) -> Tensor:
            name = builder.unique("held")
            held[f"{name}.decision"] = array.astype(type_.dtype)
            return ops.placeholder(f"{name}.decision", type_)

        tensors = {value: Tensor(builder.input(value.name, value.type, value.note)) for value in program.inputs}
        for node in program.nodes:
            given = [tensors[value] for value in node.inputs]
            if _decides(node, branches) and any(value in moved for value in node.inputs):
                arrays = [at[value.name] for value in node.inputs]
                target = node.outputs[0]  # what decides has one result
                tensors[target] = _RULES.get(node.op, _whole)(keep, node, given, [*arrays, at[target.name]])
            else:
                values = builder.repeat(node, [tensor.value for tensor in given])
                tensors |= zip(node.outputs, map(Tensor, values), strict=True)
        result = builder.finish((name, tensors[value].value) for name, value in program.outputs)
    return (result, dict(inputs) | held) if held else None


def _decides(node: Node, branches: bool) -> bool:
    return node.op == "stop_gradient" or (branches and (node.op in _RULES or not is_float(node.outputs[0].type)))


def _whole(keep: Keep, node: Node, given: Sequence[Tensor], arrays: Sequence[Array]) -> Tensor:
    return keep(node.outputs[0].type, arrays[-1])


def _choice(keep: Keep, node: Node, given: Sequence[Tensor], arrays: Sequence[Array]) -> Tensor:
    x, y, _ = arrays
    first = y < x if node.op == "maximum" else x < y
    return ops.where(keep(node.outputs[0].type.with_dtype("bool"), first), *given)


def _signed(keep: Keep, node: Node, given: Sequence[Tensor], arrays: Sequence[Array]) -> Tensor:
    return given[0] * keep(node.outputs[0].type, np.sign(arrays[0]))


def _shares(keep: Keep, node: Node, given: Sequence[Tensor], arrays: Sequence[Array]) -> Tensor:
    x, _ = arrays
    axis: Any = node.attrs["axis"]
    ties = x == np.max(x, axis=axis, keepdims=True)
    share = ties / np.sum(ties, axis=axis, keepdims=True)
    return ops.sum(given[0] * keep(given[0].type, share), axis)


_RULES: dict[str, Rule] = {
    "stop_gradient": _whole,
    "sign": _whole,
    "maximum": _choice,
    "minimum": _choice,
    "abs": _signed,
    "max": _shares,
}
"""How each operation with a kink is held; results that are not floats (comparisons, indices) are held whole."""
