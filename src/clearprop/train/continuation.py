"""The program that goes on with a sequence: the states of the recurrent layers come in and go out."""

from __future__ import annotations

from collections.abc import Mapping

from clearprop import ops
from clearprop.ir import Note, Program, Type
from clearprop.nn import Context, Layer, applying


def build_continuation(network: Layer, parameters: Mapping[str, Type], x: Type) -> Program:
    """Write the inference form for a piece of a sequence that goes on.

    Inputs are x (1, T), the parameters, the states <layer>.state<k> before the piece, and `temperature`; outputs the
    states after it, by the same names, and `probability` (tokens,), softmax(z / temperature) of the last time step.

    Raises:
        ShapeError: the network does not take such sequences.
    """
    with ops.tracing("continuation") as builder, applying(Context(training=False, carries=True)) as context:
        values = {name: ops.placeholder(name, type_) for name, type_ in parameters.items()}
        z = network.apply(values, ops.placeholder("x", x, Note("", "x")))
        last = z[0, int(str(x.shape[1])) - 1] if z.rank == 3 else z[0]
        probability = ops.softmax(last / ops.placeholder("temperature", Type(x.dtype)), -1)
        outputs = {"probability": probability, **context.states}
        return builder.finish((name, tensor.value) for name, tensor in outputs.items())
