"""Training steps on functions of a few parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from clearprop import ops, optim
from clearprop.compile import compile_program
from clearprop.grad import derive, replay
from clearprop.ir import Program, Type
from clearprop.ops import Tensor

Array = np.ndarray[Any, Any]
Arrays = dict[str, Array]
Function = Callable[[Mapping[str, Tensor]], Tensor]

START: Arrays = {
    "layer.W": np.array([[1.5, -0.75, 0.1, 0.9], [-1.1, 0.4, 0.6, -0.3], [0.7, 1.2, -0.5, 0.25]]),
    "layer.b": np.array([0.3, -1.2, 0.05]),
}


def bowl(w: Mapping[str, Tensor]) -> Tensor:
    total = ops.constant(0.0, next(iter(w.values())).dtype)
    for tensor in w.values():
        total = total + ops.sum(ops.square(ops.square(tensor)) + 2.0 * ops.square(tensor) - ops.sin(tensor))
    return total


def bowl_gradient(w: Arrays) -> Arrays:
    return {name: 4 * array**3 + 4 * array - np.cos(array) for name, array in w.items()}


def step_program(optimizer: optim.Optimizer, function: Function, start: Arrays) -> tuple[Program, Program]:
    """One step on a function of parameters, and the first slots."""
    types = {name: Type(str(array.dtype), array.shape) for name, array in start.items()}
    objective = ops.trace(lambda *w: function(dict(zip(types, w, strict=True))), types)
    derived = derive(objective, list(types))
    with ops.tracing("slots") as builder:
        first = optimizer.init_all({name: ops.placeholder(name, type_) for name, type_ in types.items()})
        slots = builder.finish((name, tensor.value) for name, tensor in first.items())
    with ops.tracing("step") as builder:
        tensors = {value: Tensor(builder.input(value.name, value.type)) for value in derived.inputs}
        replay(derived, tensors)
        hyper = {name: ops.placeholder(name, Type("float64")) for name in (*optimizer.hyper(), "t")}
        state = {name: ops.placeholder(name, slots.output(name).type) for name in slots.output_names}
        parameters = {name: tensors[derived.input(name)] for name in types}
        gradients = {name: tensors[derived.output(f"grad.{name}")] for name in types}
        new, after = optimizer.apply(parameters, gradients, state, hyper)
        assert {name: x.type for name, x in new.items()} == types
        assert {name: x.type for name, x in after.items()} == {name: x.type for name, x in state.items()}
        return builder.finish((name, tensor.value) for name, tensor in (new | after).items()), slots


def states(
    optimizer: optim.Optimizer, function: Function, start: Arrays, steps: int, backend: str = "reference", **hyper: Any
) -> Iterator[Arrays]:
    """Parameters and slots after each step; `hyper` replaces hyper-parameters by numbers or functions of t."""
    step, slots = (compile_program(program, backend) for program in step_program(optimizer, function, start))
    state = dict(start) | slots(start)
    for t in range(1, steps + 1):
        given = {name: value(t) if callable(value) else value for name, value in (optimizer.hyper() | hyper).items()}
        settings = {name: np.asarray(value, np.float64) for name, value in given.items()}
        state = step(state | settings | {"t": np.asarray(float(t))})
        yield state


def path(optimizer: optim.Optimizer, function: Function, start: Arrays, steps: int, **hyper: Any) -> Iterator[Arrays]:
    """The parameters after each step."""
    for state in states(optimizer, function, start, steps, **hyper):
        yield {name: state[name] for name in start}


def shown(optimizer: optim.Optimizer, state: Arrays, start: Arrays) -> Arrays:
    """The parameters as they are evaluated."""
    instead = optimizer.evaluated(list(start))
    return {name: state[instead.get(name, name)] for name in start}
