"""First parameters that look at the data: what `DataDriven` initialisers make of the first samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clearprop import ops
from clearprop.compile import compile_program
from clearprop.ir import Batch, Type
from clearprop.nn import Context, applying

if TYPE_CHECKING:
    from clearprop.model.model import Model

Array = np.ndarray[Any, Any]
_SAMPLES = 4096


def start_from_data(model: Model, x: Array, target: Array) -> None:
    """Let every `DataDriven` initialiser of a fresh parameter see the first 4096 samples, and the targets of all.

    Fresh is what was neither trained nor given by the user. One after another, in the order of the network: each sees
    what its layer gives with those before it in place. This is evaluated by the reference backend, so that a model
    starts alike for every backend.
    """
    if not model.fresh:
        return
    context = Context(training=False)
    with ops.tracing("first_values") as builder, applying(context):
        row = ops.placeholder("x", Type(model.dtype, (Batch(), *x.shape[1:])))
        tensors = {name: ops.placeholder(name, Type(model.dtype, a.shape)) for name, a in model.parameters.items()}
        model.network.apply(tensors, row)
        chosen = {name: found for name, found in context.data_driven.items() if name in model.fresh}
        program = builder.finish((name, z.value) for name, (_, z) in chosen.items())
    for name, (initializer, _) in chosen.items():
        run = compile_program(program.with_outputs(name), "reference")
        z = run({"x": x[:_SAMPLES], **model.parameters})[name]
        values = initializer.adapt(model.parameters[name].astype(np.float64), z, target)
        model.parameters = model.parameters | {name: np.asarray(values, model.dtype)}
