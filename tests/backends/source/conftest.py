"""The printed source as a backend, and the programs it is tried on."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from clearprop import losses, nn, ops, optim
from clearprop.backends.source import argument_names, print_source
from clearprop.grad import derive, replay
from clearprop.ir import Batch, Program, Type
from clearprop.nn import Layer
from clearprop.ops import Tensor
from clearprop.passes import optimize
from clearprop.randomness import Key
from clearprop.train.step import Signature, build_step

Array = np.ndarray[Any, Any]


class Printed:
    """A program that runs as its printed text, in a namespace that holds nothing else."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.text = print_source(program, function="function")
        self.names = argument_names(program)
        namespace: dict[str, Any] = {"__name__": "printed"}
        exec(compile(self.text, "printed.py", "exec"), namespace)
        self.function = namespace["function"]

    def __call__(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        with np.errstate(all="ignore"):
            outputs = self.function(**{self.names[name]: array for name, array in inputs.items()})
        assert all(isinstance(value, (np.ndarray, np.generic)) for value in outputs.values()), self.text
        return {name: np.array(value) for name, value in outputs.items()}


class SourceBackend:
    """Prints a program and runs the text."""

    name = "source"

    def compile(self, program: Program) -> Printed:
        return Printed(program)


def step(
    network: Layer,
    loss: losses.Loss,
    optimizer: optim.Optimizer,
    shape: tuple[int, ...],
    target: Type,
    dtype: str = "float32",
) -> Program:
    """The optimised training step of a network."""
    parameters = network.init(Key(0), shape)
    types = {name: Type(dtype, array.shape) for name, array in parameters.items()}
    signature = Signature(types, tuple(types), Type(dtype, (Batch(), *shape)), target)
    return optimize(build_step(network, loss, optimizer, signature).readable)


def classifier(optimizer: optim.Optimizer, *between: Layer, dtype: str = "float32") -> Program:
    """Two dense layers, with others between, under softmax cross-entropy."""
    network = nn.Sequential(nn.Dense(5, "relu", penalty=nn.L2(0.01)), *between, nn.Dense(3))
    return step(network, losses.CrossEntropy(), optimizer, (4,), Type("int64", (Batch(),)), dtype)


def regression(activation: str, dtype: str = "float32") -> Program:
    """Two dense layers under the squared error."""
    network = nn.Sequential(nn.Dense(5, activation), nn.Dense(2))
    return step(network, losses.SquaredError(), optim.Momentum(), (4,), Type(dtype, (Batch(), 2)), dtype)


def binary(dtype: str = "float32") -> Program:
    """One sigmoid layer under binary cross-entropy, with Nesterov's momentum."""
    network = nn.Sequential(nn.Dense(4, "sigmoid"), nn.Dense(1))
    return step(network, losses.BinaryCrossEntropy(), optim.Nesterov(), (3,), Type(dtype, (Batch(), 1)), dtype)


STEPS: dict[str, Callable[[str], Program]] = {
    "classifier_sgd": lambda dtype: classifier(optim.SGD(), dtype=dtype),
    "classifier_dropout_adam": lambda dtype: classifier(optim.Adam(), nn.Dropout(0.2), dtype=dtype),
    "regression_momentum": lambda dtype: regression("tanh", dtype),
    "binary_nesterov": binary,
}


@pytest.fixture(scope="session")
def source() -> SourceBackend:
    return SourceBackend()


@pytest.fixture(params=STEPS)
def step_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def make_step() -> Callable[[str, str], Program]:
    """Return a training step by name and dtype."""
    return lambda name, dtype="float32": STEPS[name](dtype)


@pytest.fixture
def make_branches() -> Callable[[], Program]:
    """Return the training step of a network with branches and layers inside of layers."""
    inner = nn.Residual(nn.Sequential(nn.Dense(6, "leaky_relu"), nn.Dense(6)))
    branches = nn.Parallel(nn.Dense(4, "sigmoid"), nn.Dense(3, "softmax"))
    network = nn.Sequential(nn.Dense(6, "tanh"), inner, branches, nn.Dense(2))
    target = Type("float32", (Batch(), 2))
    return lambda: step(network, losses.SquaredError(), optim.SGD(), (4,), target)


@pytest.fixture
def second_derivative() -> Callable[[Program, str], Program]:
    """Return the gradient of the squared norm of a program's gradient by one input."""

    def build(program: Program, name: str) -> Program:
        first = derive(program, [name])
        with ops.tracing("second") as builder:
            tensors = {v: Tensor(builder.input(v.name, v.type, v.note)) for v in first.inputs}
            replay(first, tensors)
            norm = ops.sum(ops.square(tensors[first.output(f"grad.{name}")]))
            return derive(builder.finish([("norm", norm.value)]), [name])

    return build


@pytest.fixture
def statements() -> Callable[[str], dict[str, str]]:
    """Return the assignments in the last function of a printed module: target to expression."""

    def read(text: str) -> dict[str, str]:
        function = ast.parse(text).body[-1]
        assert isinstance(function, ast.FunctionDef)
        lines = [item for item in function.body if isinstance(item, ast.Assign)]
        return {ast.unparse(item.targets[0]): ast.unparse(item.value) for item in lines}

    return read
