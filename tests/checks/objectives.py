"""Objectives of small networks, and wrong derivatives to plant."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from clearprop import losses, nn, ops
from clearprop.checks import GradientReport, check_objective
from clearprop.ir import Batch, Program, Type
from clearprop.randomness import Key
from clearprop.train import Signature, build_objective

Array = np.ndarray[Any, Any]


def objective(
    network: nn.Layer, loss: losses.Loss, X: Array, y: Array, weight: Array | None = None, scale: float = 1.0
) -> tuple[Program, dict[str, Array], tuple[str, ...]]:
    """The float64 objective, its inputs, and the parameters' names; `scale` multiplies the first parameters."""
    rng = np.random.default_rng(5)
    first = network.init(Key(3), X.shape[1:])
    parameters = {
        name: scale * (array if array.any() else rng.normal(size=array.shape)) for name, array in first.items()
    }
    types = {name: Type("float64", array.shape) for name, array in parameters.items()}
    x_type = Type("float64", (Batch(), *X.shape[1:]))
    y_type = Type(y.dtype.name, (Batch(), *y.shape[1:]))
    program, hyper = build_objective(
        network, loss, Signature(types, tuple(types), x_type, y_type, weighted=weight is not None)
    )
    arrays = {"x": X, "y": y, "key": np.array([7, 8], np.uint32), "step": np.array(0)} | parameters | hyper
    arrays |= {} if weight is None else {"weight": weight}
    return program, {value.name: np.asarray(arrays[value.name]) for value in program.inputs}, tuple(types)


def check(
    network: nn.Layer,
    loss: losses.Loss,
    X: Array,
    y: Array,
    wrt: Sequence[str] | None = None,
    change: Callable[[dict[str, Array]], None] = lambda inputs: None,
    weight: Array | None = None,
    scale: float = 1.0,
    **options: Any,
) -> GradientReport:
    """Check a network's gradient, after a change of the inputs."""
    program, inputs, names = objective(network, loss, X, y, weight, scale)
    change(inputs)
    return check_objective(program, names if wrt is None else wrt, inputs, **options)


def plant(monkeypatch: Any, op: str, vjp: Callable[..., Any]) -> None:
    """Give a primitive another derivative until the test ends."""
    monkeypatch.setitem(ops.PRIMITIVES, op, dataclasses.replace(ops.PRIMITIVES[op], vjp=vjp))
