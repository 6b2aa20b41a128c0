"""Algebra that holds for every float, NaN, infinity and signed zero included."""

from __future__ import annotations

from collections.abc import Callable

from clearprop.ir import Node, Program, Shape, Value
from clearprop.ops import Tensor, broadcast_to, permute_dims, reshape
from clearprop.passes.rewrite import Definitions, Rule, finish_as, rebuild


def simplify(program: Program) -> Program:
    """Apply the rules below wherever they match.

    ========================================  ===========================
    x * 1, 1 * x, x / 1, x ** 1, x - 0        x
    -(-x), not not x                          x
    where(c, x, x), where(true, x, y)         x
    where(false, y, x)                        x
    a reshape, transpose, broadcast, slice    x
    or conversion that changes nothing
    reshape(reshape(x))                       reshape(x)
    transpose(transpose(x))                   transpose(x)
    broadcast(broadcast(x))                   broadcast(x)
    stop_gradient(x), once derived            x
    ========================================  ===========================

    x + 0 and x * 0 stay: -0.0 + 0 is 0.0, and inf * 0 is NaN.
    """
    return rebuild(program, _rule)


def _rule(definitions: Definitions) -> Rule:
    def apply(node: Node, inputs: tuple[Value, ...]) -> Value | None:
        rule = _RULES.get(node.op)
        tensor = rule(definitions, node, inputs) if rule else None
        return None if tensor is None else finish_as(tensor, node, inputs)

    return apply


def _multiply(definitions: Definitions, node: Node, inputs: tuple[Value, ...]) -> Tensor | None:
    for one, other in ((inputs[0], inputs[1]), (inputs[1], inputs[0])):
        if definitions.number(one) == 1:
            return Tensor(other)
    return None


def _right_neutral(number: float) -> Callable[..., Tensor | None]:
    def rule(definitions: Definitions, node: Node, inputs: tuple[Value, ...]) -> Tensor | None:
        found = definitions.number(inputs[1])
        neutral = found == number and not str(found).startswith("-")
        return Tensor(inputs[0]) if neutral else None

    return rule


def _involution(definitions: Definitions, node: Node, inputs: tuple[Value, ...]) -> Tensor | None:
    inner = definitions.of(inputs[0], node.op)
    return Tensor(inner.inputs[0]) if inner else None


def _where(definitions: Definitions, node: Node, inputs: tuple[Value, ...]) -> Tensor | None:
    condition = definitions.number(inputs[0])
    if condition is not None:
        return Tensor(inputs[1] if condition else inputs[2])
    return Tensor(inputs[1]) if inputs[1] is inputs[2] else None


def _unchanged(definitions: Definitions, node: Node, inputs: tuple[Value, ...]) -> Tensor | None:
    return Tensor(inputs[0]) if inputs[0].type == node.outputs[0].type else None


def _once(write: Callable[[Tensor, Shape], Tensor]) -> Callable[..., Tensor | None]:
    """The rule of an operation that, done twice, is the same as the second one done alone."""

    def rule(definitions: Definitions, node: Node, inputs: tuple[Value, ...]) -> Tensor | None:
        inner = definitions.of(inputs[0], node.op)
        source = inner.inputs[0] if inner else inputs[0]
        if not inner and source.type != node.outputs[0].type:
            return None
        return write(Tensor(source), node.outputs[0].type.shape)

    return rule


def _permute(definitions: Definitions, node: Node, inputs: tuple[Value, ...]) -> Tensor | None:
    axes = node.attrs["axes"]
    assert isinstance(axes, tuple)
    inner = definitions.of(inputs[0], "permute_dims")
    if inner:
        first = inner.attrs["axes"]
        assert isinstance(first, tuple)
        together = tuple(first[axis] for axis in axes)  # type: ignore[index]
        return permute_dims(Tensor(inner.inputs[0]), together)  # type: ignore[arg-type]
    return Tensor(inputs[0]) if axes == tuple(range(len(axes))) else None


def _stop_gradient(definitions: Definitions, node: Node, inputs: tuple[Value, ...]) -> Tensor | None:
    return Tensor(inputs[0])


_RULES: dict[str, Callable[[Definitions, Node, tuple[Value, ...]], Tensor | None]] = {
    "multiply": _multiply,
    "divide": _right_neutral(1),
    "power": _right_neutral(1),
    "subtract": _right_neutral(0),
    "negative": _involution,
    "logical_not": _involution,
    "where": _where,
    "reshape": _once(reshape),
    "broadcast_to": _once(broadcast_to),
    "permute_dims": _permute,
    "slice": _unchanged,
    "astype": _unchanged,
    "stop_gradient": _stop_gradient,
}
