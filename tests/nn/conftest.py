"""A layer run on its own: traced, derived and evaluated on the reference backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from clearprop import nn, ops
from clearprop.backends.reference import Reference
from clearprop.grad import derive
from clearprop.ir import Batch, Program, Type
from clearprop.randomness import Key

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Applied:
    """A traced layer with the parameters and inputs it runs with."""

    program: Program
    context: nn.Context
    inputs: dict[str, Array]

    def outputs(self, **changed: Any) -> dict[str, Array]:
        """`result` and, in the training form, `penalty`; inputs may be changed by name."""
        return Reference().compile(self.program)(self.inputs | changed)

    def gradients(self, weights: Array, *names: str) -> dict[str, Array]:
        """Derivatives of sum(result weights) by inputs."""
        derived = derive(self.program, names, of="scalar")
        outputs = Reference().compile(derived)(self.inputs | {"weights": weights})
        return {name: outputs[f"grad.{name}"] for name in names}


Apply = Callable[..., Applied]


def apply_layer(
    layer: nn.Layer,
    x: Array,
    params: Mapping[str, Array] | None = None,
    *,
    training: bool = False,
    step: int = 0,
    seed: int = 0,
) -> Applied:
    """Trace a layer for x; its parameters are those given, or its own first ones."""
    dtype = str(x.dtype)
    own = layer.init(Key(seed), x.shape[1:]) if params is None else params
    arrays = {name: np.asarray(array, dtype) for name, array in own.items()}
    context = nn.Context(training=training)
    with ops.tracing("layer") as builder, nn.applying(context):
        tensor = ops.placeholder("x", Type(dtype, (Batch(), *x.shape[1:])))
        tensors = {name: ops.placeholder(name, Type(dtype, array.shape)) for name, array in arrays.items()}
        result = layer.apply(tensors, tensor)
        scalar = ops.sum(result * ops.placeholder("weights", result.type))
        outputs = {"result": result.value, "scalar": scalar.value}
        for number, penalty in enumerate(context.penalties):
            outputs[f"penalty{number}"] = penalty.value
        program = builder.finish(outputs.items())
    weights = np.zeros([len(x) if isinstance(dim, Batch) else dim for dim in result.shape], dtype)
    key = {"key": Key(seed).words(), "step": np.asarray(step, np.int64)}
    hyper = {name: np.asarray(value, np.float64) for name, value in context.hyper.items()}
    return Applied(program, context, {"x": x, "weights": weights} | arrays | key | hyper)


@pytest.fixture
def apply() -> Apply:
    return apply_layer
