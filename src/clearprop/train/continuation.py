"""The program that goes on with a sequence: the states of the recurrent layers come in and go out."""

from __future__ import annotations

import math
from collections.abc import Mapping

from clearprop import ops
from clearprop.ir import Note, Program, Type
from clearprop.nn import Context, Layer, applying


def build_continuation(network: Layer, parameters: Mapping[str, Type], x: Type, excluded: int) -> Program:
    """Write the inference form for a piece of a sequence that goes on.

    Inputs are x (1, T), the parameters, the states <layer>.state<k> before the piece, and `temperature`; outputs the
    states after it, by the same names, and `probability` (T, tokens), or (1, tokens) where the network gives the last
    time step alone: softmax((z - max z) / temperature) over all tokens but the excluded one, whose probability is 0.
    The largest z comes off first, so that no temperature whose inverse is finite makes a NaN.

    Args:
        network: gives z (1, T, tokens) or (1, tokens).
        parameters: their types, by name.
        x: the type of the piece.
        excluded: the token that is never to come.

    Raises:
        ShapeError: the network does not take such sequences.
    """
    with ops.tracing("continuation") as builder, applying(Context(training=False, carries=True)) as context:
        values = {name: ops.placeholder(name, type_) for name, type_ in parameters.items()}
        z = network.apply(values, ops.placeholder("x", x, Note("", "x")))
        z = z[0] if z.rank == 3 else z
        z = ops.where(ops.arange(z.shape[-1]) == excluded, -math.inf, z)
        top = ops.max(z, -1, keepdims=True)
        e = ops.exp((z - top) / ops.placeholder("temperature", Type(x.dtype)))
        outputs = {"probability": e / ops.sum(e, -1, keepdims=True), **context.states}
        return builder.finish((name, tensor.value) for name, tensor in outputs.items())
