"""Rows picked out of a small table: what is moved into the table, what stays, and that the numbers are the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from clearprop import nn, ops
from clearprop.backends.reference import Reference
from clearprop.grad import derive
from clearprop.ir import Batch, Program, Type, verify
from clearprop.ops import Tensor, rule_of, scatter_add, take
from clearprop.passes import optimize, pick_late
from clearprop.randomness import Key

N, TIMES, ROWS, UNITS = Batch(), 5, 7, 3
INDICES = Type("int64", (N, TIMES))


def traced(function: Callable[..., Tensor], rows: int = ROWS) -> Program:
    types = {"E": Type("float64", (rows, 4)), "W": Type("float64", (4, UNITS)), "b": Type("float64", (UNITS,))}
    return ops.trace(function, types | {"i": INDICES, "D": Type("float64", (Batch(TIMES), UNITS))})


def shapes(program: Program, op: str) -> list[Any]:
    return [node.outputs[0].type.shape for node in program.nodes if node.op == op]


def product(E: Tensor, W: Tensor, b: Tensor, i: Tensor, D: Tensor) -> Tensor:
    return take(E, i) @ W + b


def time_first(E: Tensor, W: Tensor, b: Tensor, i: Tensor, D: Tensor) -> Tensor:
    return b + ops.permute_dims(take(E, i), (1, 0, 2)) @ W


def gradient(E: Tensor, W: Tensor, b: Tensor, i: Tensor, D: Tensor) -> Tensor:
    return ops.permute_dims(ops.reshape(take(E, i), (-1, 4))) @ D


def scattered(E: Tensor, W: Tensor, b: Tensor, i: Tensor, D: Tensor) -> Tensor:
    rows = ops.reshape(D @ ops.permute_dims(W), (TIMES, -1, 4))
    return scatter_add(i, ops.permute_dims(rows, (1, 0, 2)), ROWS)


MOVED = {
    product: (ROWS, UNITS),
    time_first: (ROWS, UNITS),
    gradient: (4, UNITS),
    scattered: (ROWS, 4),
}


def inputs(program: Program, n: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    drawn = {}
    for value in program.inputs:
        shape = tuple(dim.scale * n if isinstance(dim, Batch) else dim for dim in value.type.shape)
        drawn[value.name] = rng.integers(0, ROWS, shape) if value.name == "i" else rng.normal(size=shape)
    return drawn


def same(first: Program, second: Program) -> None:
    verify(second, rule_of)
    for n in (0, 1, 3):
        given = inputs(first, n)
        expected, received = (Reference().compile(program)(given) for program in (first, second))
        assert list(expected) == list(received)
        for name, array in expected.items():
            np.testing.assert_allclose(received[name], array, rtol=1e-12, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("function", MOVED, ids=lambda function: function.__name__)
def test_a_product_is_taken_of_the_table(function):
    before = traced(function)
    after = optimize(before)
    assert shapes(after, "matmul") == [MOVED[function]]
    assert all(Batch(TIMES) not in shape for op in ("add", "permute_dims") for shape in shapes(after, op))
    same(before, after)


@pytest.mark.parametrize("function", [product, time_first, gradient])
def test_a_table_with_more_rows_than_there_are_indices_stays(function):
    few, many = (optimize(traced(function, rows)) for rows in (4 * TIMES, 4 * TIMES + 1))
    assert all(isinstance(dim, int) for shape in shapes(few, "matmul") for dim in shape)
    assert any(
        isinstance(dim, Batch) for node in many.nodes if node.op == "matmul" for dim in node.inputs[0].type.shape
    )


def test_a_scattered_product_into_many_rows_stays():
    def function(E: Tensor, W: Tensor, b: Tensor, i: Tensor, D: Tensor) -> Tensor:
        return scatter_add(ops.reshape(i, (-1,)), D @ ops.permute_dims(W), 4 * TIMES + 1)

    assert shapes(optimize(traced(function)), "matmul") == [(Batch(TIMES), 4)]


def test_what_moves_the_numbers_of_a_row_stays():
    def function(E: Tensor, W: Tensor, b: Tensor, i: Tensor, D: Tensor) -> Tensor:
        turned = ops.permute_dims(take(E, i), (0, 2, 1))
        return ops.sum(turned) + ops.sum(scatter_add(i, ops.permute_dims(turned, (0, 2, 1)), 9))

    before = traced(function)
    once = pick_late(before)
    same(before, once)
    assert shapes(once, "take") == shapes(before, "take")


@pytest.mark.parametrize("layer", [nn.SimpleRNN(3), nn.LSTM(3, outputs="all"), nn.GRU(3, reverse=True)], ids=repr)
def test_a_recurrent_network_of_tokens(layer):
    network = nn.Sequential(nn.Embedding(ROWS, 4), layer, nn.Dense(2))
    from_key = network.init(Key(0), (TIMES,))
    with ops.tracing("network") as builder, nn.applying(nn.Context(training=True)):
        tensors = {name: ops.placeholder(name, Type("float64", array.shape)) for name, array in from_key.items()}
        cost = ops.sum(ops.square(network.apply(tensors, ops.placeholder("i", INDICES))))
        program = builder.finish([("cost", cost.value)])
    derived = derive(program, list(from_key))
    after = optimize(derived)
    gates = layer.gates * layer.units
    assert (Batch(TIMES), gates) not in shapes(after, "matmul")
    assert (ROWS, gates) in shapes(after, "matmul")
    same(derived, after)
