"""The rows of a batch come out of the data in the order drawn, whatever their length and the number of threads."""

import numpy as np
import pytest
from native_steps import TARGETS_HERE

from clearprop import ops
from clearprop.backends.native import Native
from clearprop.backends.reference import Reference
from clearprop.ir import Batch, Type

KEY = np.array([5, 6], np.uint32)


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("columns", [0, 1, 3, 31, 32, 33, 100, 255, 256, 257, 900])
def test_rows_of_any_length_are_gathered(columns, threads, target):
    """In pieces, in one copy, and by several threads: b adds up the rows, each times the place that it has."""
    with ops.tracing("gathering") as builder:
        x = ops.placeholder("x", Type("float32", (Batch(), columns)))
        place, b = (
            ops.placeholder("place", Type("float32", (Batch(),))),
            ops.placeholder("b", Type("float32", (columns,))),
        )
        cost = ops.sum(x)
        new = b * 3.0 + ops.sum(x * ops.reshape(place, (Batch(), 1)), axis=0)
        outputs = {"objective": cost, "cost": cost, "b": new, "health": cost * 0.0}
        program = builder.finish((name, tensor.value) for name, tensor in outputs.items())
    rows, rng = 301, np.random.default_rng(columns)
    x = rng.integers(-3, 4, (rows, columns)).astype("f4")
    inputs = {"x": x, "place": np.arange(rows, dtype="f4"), "b": np.zeros(columns, "f4")}
    backend = Native(target, threads)
    backend.team.threshold = 1
    native = backend.compile_step(program).start(inputs, 130, KEY)
    oracle = Reference().compile_step(program).start(inputs, 130, KEY)
    assert native.run(0, 7, {}, 0.0) == oracle.run(0, 7, {}, 0.0)
    np.testing.assert_array_equal(native.state["b"], oracle.state["b"])


@pytest.mark.parametrize("threads", [1, 3])
def test_data_that_are_two_inputs_are_gathered_once(threads):
    """As an autoencoder's; other data of the same shape, and part of the same memory, are gathered apart."""
    shapes = {"x": (40,), "same": (40,), "other": (40,), "below": (40,), "narrow": (20,), "bits": (40,)}
    with ops.tracing("rebuilding") as builder:
        rows = {
            name: ops.placeholder(name, Type("int32" if name == "bits" else "float32", (Batch(), *shape)))
            for name, shape in shapes.items()
        }
        sums = ops.placeholder("sums", Type("float32", (220,)))
        cost = ops.sum(rows["x"])
        added = [ops.sum(ops.astype(x, "float32"), axis=0) for x in rows.values()]
        outputs = {"objective": cost, "cost": cost, "sums": sums * 2.0 + ops.concat(added, 0), "health": cost * 0.0}
        program = builder.finish((name, tensor.value) for name, tensor in outputs.items())
    # powers of two, whose bits as whole numbers have sums that float32 holds as well
    whole = (2.0 ** np.random.default_rng(0).integers(0, 3, (302, 40))).astype("f4")
    x = whole[:-1]
    inputs = {"x": x, "same": x, "other": x[::-1].copy(), "below": whole[1:], "sums": np.zeros(220, "f4")}
    inputs |= {"narrow": x.reshape(602, 20)[:301], "bits": x.view("i4")}
    backend = Native(threads=threads)
    backend.team.threshold = 1
    native = backend.compile_step(program).start(inputs, 130, KEY)
    oracle = Reference().compile_step(program).start(inputs, 130, KEY)
    native._memory.sources.array[1] = 0  # nothing may be read from there
    assert native.run(0, 7, {}, 0.0) == oracle.run(0, 7, {}, 0.0)
    np.testing.assert_array_equal(native.state["sums"], oracle.state["sums"])
