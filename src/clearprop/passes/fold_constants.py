"""Constants: an elementwise operation on numbers is done once, before the program runs."""

from __future__ import annotations

import numpy as np

from clearprop.ir import Node, Program, Value
from clearprop.ops import broadcast_to, constant, primitive
from clearprop.passes.rewrite import Definitions, Rule, finish_as, rebuild


def fold_constants(program: Program) -> Program:
    """Evaluate elementwise nodes whose inputs are each filled with one known number."""
    return rebuild(program, _rule)


def _rule(definitions: Definitions) -> Rule:
    def apply(node: Node, inputs: tuple[Value, ...]) -> Value | None:
        operation = primitive(node.op)
        if not operation.elementwise or not inputs:
            return None
        numbers = [definitions.number(value) for value in inputs]
        if any(number is None for number in numbers):
            return None
        arrays = [np.asarray(number, value.type.dtype) for number, value in zip(numbers, inputs, strict=True)]
        with np.errstate(all="ignore"):
            result = operation.evaluate(*arrays, **node.attrs)
        type_ = node.outputs[0].type
        return finish_as(broadcast_to(constant(result, type_.dtype), type_.shape), node, inputs)

    return apply
