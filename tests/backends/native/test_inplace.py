"""State in place: programs in which an old value is read where a new one could already lie."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from native_steps import TARGETS_HERE

from clearprop import ops
from clearprop.backends.native import Native
from clearprop.backends.native.denormals import write_flushing
from clearprop.backends.native.inplace import separate
from clearprop.backends.native.jit import compile_text
from clearprop.backends.reference import Reference
from clearprop.backends.stepping import PlainStep, Stretch
from clearprop.ir import Batch, Program, Type
from clearprop.ops import Tensor

STATE = {"a": (3, 4), "b": (3, 4), "W": (4, 4), "f": (12,), "s": ()}
ROWS, BATCH = 10, 3
Update = Callable[[dict[str, Tensor]], dict[str, Tensor]]


def scaled(t: dict[str, Tensor]) -> dict[str, Tensor]:
    """A norm over all of a, and then a again in a later loop."""
    return {"a": t["a"] / ops.sqrt(1.0 + ops.sum(t["a"] * t["a"]))}


def row_softmax(t: dict[str, Tensor]) -> dict[str, Tensor]:
    """a is written in the first loop over a row, and read in the second by b."""
    total = ops.sum(t["a"] * 0.5, axis=1, keepdims=True)
    return {"a": t["a"] * 0.5, "b": t["a"] + total}


def computed_again(t: dict[str, Tensor]) -> dict[str, Tensor]:
    """A part of the old a comes before the new a, but is computed in the loop after the one that writes it."""
    quarter = t["a"] * 0.25
    new = t["a"] * 0.5
    return {"a": new, "b": quarter + ops.sum(new, axis=1, keepdims=True)}


def two_numbers(t: dict[str, Tensor]) -> dict[str, Tensor]:
    """The old number is read in the loop after the sum that the new one is made of."""
    scaled = t["a"] * t["s"]
    new = t["s"] * 0.5 + ops.sum(t["a"])
    return {"s": new, "a": scaled + new}


def read_late(t: dict[str, Tensor]) -> dict[str, Tensor]:
    """A product, in a kernel after that of W, reads the old W."""
    new = t["W"] * 0.5
    return {"W": new, "a": (t["a"] + ops.sum(new)) @ t["W"]}


HAZARDS: dict[str, Update] = {
    "independent": lambda t: {"a": t["a"] * 0.5, "b": t["b"] + 1.0, "s": t["s"] + 1.0},
    "unchanged": lambda t: {"a": t["a"], "b": t["b"] * 0.5},
    "swap": lambda t: {"a": t["b"], "b": t["a"]},
    "one and the same": lambda t: {"a": t["a"] + t["b"], "b": t["a"] + t["b"]},
    "crossed": lambda t: {"a": t["b"] * 0.5, "b": t["a"] * 0.25},
    "old after new": lambda t: {"a": t["a"] * 0.5, "b": t["a"] + t["b"] * 0.5},
    "new and old": lambda t: {"a": t["a"] * 0.5, "b": t["a"] * 0.5 + t["a"] * 0.125},
    "transposed": lambda t: {"W": ops.permute_dims(t["W"])},
    "transposed sum": lambda t: {"W": 0.5 * (t["W"] + ops.permute_dims(t["W"]))},
    "product": lambda t: {"W": t["W"] @ t["W"] * 0.1},
    "bare product": lambda t: {"W": t["W"] @ t["W"]},
    "product into": lambda t: {"a": t["b"] @ t["W"], "b": t["b"] * 0.5},
    "read late": read_late,
    "scaled": scaled,
    "two loops": row_softmax,
    "computed again": computed_again,
    "two numbers": two_numbers,
    "reshaped": lambda t: {"W": t["W"] * 0.5 + ops.permute_dims(ops.reshape(ops.reshape(t["W"], (16,)), (4, 4)))},
    "other shape": lambda t: {"a": t["a"] * 0.5 + ops.permute_dims(ops.reshape(t["a"], (4, 3)))},
    "row maximum": lambda t: {"a": t["a"] - ops.max(t["a"], axis=1, keepdims=True), "b": t["a"]},
    "reduced directly": lambda t: {"a": t["a"] * 0.5, "s": ops.sum(t["a"])},
    "reduced columns": lambda t: {"a": t["a"] - ops.sum(t["a"], axis=0)},
    "shifted": lambda t: {"a": ops.concat([t["a"][1:], t["a"][:1]], 0)},
    "shifted sum": lambda t: {"W": t["W"] * 0.5 + ops.concat([t["W"][1:], t["W"][:1]], 0)},
    "strided": lambda t: {"W": ops.concat([t["W"][1::2], t["W"][::2]], 0)},
    "taken": lambda t: {"W": ops.take(t["W"], ops.constant(np.array([2, 0, 3, 1]), "int64"))},
    "reshaped result": lambda t: {"W": ops.reshape(ops.reshape(t["W"], (16,)) * 0.5, (4, 4))},
    "reshaped and turned": lambda t: {"W": ops.reshape(ops.permute_dims(t["W"]), (4, 4)), "a": t["a"] @ t["W"]},
    "an old one in another shape": lambda t: {"a": t["a"] * 0.5, "f": ops.reshape(t["a"], (12,))},
    "old ones in another shape": lambda t: {"a": ops.reshape(t["f"], (3, 4)), "f": ops.reshape(t["a"], (12,))},
    "an old one in another shape and back": lambda t: {
        "b": ops.reshape(ops.reshape(t["a"], (12,)), (3, 4)),
        "a": t["W"][:3],
    },
    "constant": lambda t: {"s": ops.constant(2.0, "float64"), "a": t["a"] * 0.0 + t["s"]},
    "number": lambda t: {"s": t["s"] + 1.0, "a": t["a"] * t["s"]},
    "number late": lambda t: {"s": ops.sum(t["a"]) + t["s"], "a": t["a"] * 0.5, "b": t["b"] * t["s"]},
}


def program_of(update: Update, reads_old: bool = True) -> Program:
    """A step whose cost reads the data, the new state and perhaps the old."""
    with ops.tracing("hazard") as builder:
        x = ops.placeholder("x", Type("float64", (Batch(), 4)))
        old = {name: ops.placeholder(name, Type("float64", shape)) for name, shape in STATE.items()}
        new = update(old)
        seen = [ops.sum(tensor) for tensor in (*new.values(), *(old.values() if reads_old else ()))]
        cost = ops.sum(x)
        for i, number in enumerate(seen):
            cost = cost + number * (0.5 + i)
        outputs = {"objective": cost} | ({"first": old["a"]} if reads_old else {})
        outputs |= new | {"cost": cost, "health": cost * 0.0}
        return builder.finish((name, tensor.value) for name, tensor in outputs.items())


def inputs() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=shape) for name, shape in {"x": (ROWS, 4), **STATE}.items()} | {"s": np.array(0.75)}


CALLED = ctypes.CFUNCTYPE(ctypes.c_int64)


def as_in_steps(run: Callable[[], Stretch], target: str) -> Stretch:
    """Return what a function returns where denormal numbers count as zero, as they do inside of training steps."""
    results = []

    def called() -> int:
        results.append(run())
        return 0

    chosen = Native(target).target
    call = "define internal i64 @call(ptr %function) {\n  %zero = call i64 %function()\n  ret i64 %zero\n}\n"
    code = compile_text(write_flushing("program", "call", chosen.family) + call, chosen)
    ctypes.CFUNCTYPE(ctypes.c_int64, CALLED)(code.address)(CALLED(called))
    (result,) = results
    return result


def compare(program: Program, target: str) -> None:
    steps = -(-ROWS // BATCH)
    native = Native(target).compile_step(program).start(inputs(), BATCH)
    # the copies that keep outputs apart may keep loops apart too, which changes the order of sums
    plain = PlainStep(Native(target).compile(separate(program))).start(inputs(), BATCH)
    oracle = Reference().compile_step(program).start(inputs(), BATCH)
    for first in (0, steps):
        result = native.run(first, steps, {}, 0.0)
        assert result == as_in_steps(partial(plain.run, first, steps, {}, 0.0), target)
        assert result.losses == pytest.approx(oracle.run(first, steps, {}, 0.0).losses, rel=1e-9)
        for name, array in plain.state.items():
            np.testing.assert_array_equal(native.state[name], array, err_msg=name)
            np.testing.assert_allclose(array, oracle.state[name], rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("reads_old", [False, True])
@pytest.mark.parametrize("hazard", HAZARDS)
def test_hazards(hazard, reads_old, target):
    compare(program_of(HAZARDS[hazard], reads_old), target)


def in_place(update: Update) -> set[str]:
    module = Native().compile_step(program_of(update, reads_old=False)).module
    return {name for name, _, place in module.results if place < 0 and name in STATE}


def test_what_is_in_place():
    """Not only safe: what can be in place is."""
    assert in_place(HAZARDS["independent"]) >= {"a", "b"}
    assert in_place(HAZARDS["unchanged"]) == {"a", "b"}
    assert in_place(HAZARDS["new and old"]) == {"b"}
    assert in_place(HAZARDS["product into"]) == {"a", "b"}
    assert in_place(lambda t: {"b": t["b"] * 0.5 + t["a"]}) == {"b"}
    assert "W" not in in_place(HAZARDS["transposed"])
    assert "W" not in in_place(HAZARDS["bare product"])


PIECES: list[Callable[[Tensor, Tensor], Tensor]] = [
    lambda x, y: x * 0.5 + y,
    lambda x, y: ops.sqrt(1.0 + x * x) - y,
    lambda x, y: x - ops.sum(y, axis=1, keepdims=True) * 0.1,
    lambda x, y: x - ops.sum(y * 0.5) * 0.01,
    lambda x, y: x + ops.max(y, axis=1, keepdims=True),
    lambda x, y: x - ops.sum(y, axis=0) * 0.1,
    lambda x, y: ops.tanh(x) @ (ops.permute_dims(y) @ x) * 0.1,
    lambda x, y: ops.concat([x[1:], y[:1]], 0),
    lambda x, y: ops.where(x < y, x, y * 0.5),
    lambda x, y: ops.reshape(ops.permute_dims(x), (3, 4)) + y,
]


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.integers(0, len(PIECES) - 1), st.integers(0, 20), st.integers(0, 20)), max_size=8),
    st.integers(0, 20),
    st.integers(0, 20),
)
@example([(2, 0, 0), (0, 1, 2), (1, 0, 0), (6, 7, 13)], 0, 1)  # falls below the normal numbers
def test_any_program(steps, a, b):
    """Random programs over two values of state, with random ones of all that they compute as the new state."""

    def update(t: dict[str, Tensor]) -> dict[str, Tensor]:
        pool = [t["a"], t["b"]]
        for piece, x, y in steps:
            pool.append(ops.tanh(PIECES[piece](pool[x % len(pool)], pool[y % len(pool)])))
        return {"a": pool[-1 - a % len(pool)], "b": pool[-1 - b % len(pool)]}

    compare(program_of(update), TARGETS_HERE[0])
