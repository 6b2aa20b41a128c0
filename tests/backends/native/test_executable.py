"""Calls of machine code: what is checked once, what is seen at each call, what is kept."""

from __future__ import annotations

import gc
import tracemalloc
import weakref

import numpy as np
import pytest
from native_steps import programs

from clearprop import ops
from clearprop.backends.native import Native, NativeExecutable
from clearprop.errors import ShapeError
from clearprop.ir import Batch, Type


@pytest.fixture(scope="module")
def prediction() -> NativeExecutable:
    return Native().compile(programs("mlp", "float32")["prediction"])


def draw(executable: NativeExecutable) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = {
        value.name: [7 if not isinstance(d, int) else d for d in value.type.shape] for value in inputs(executable)
    }
    return {name: rng.normal(size=shape).astype("f4") for name, shape in shapes.items()}


def inputs(executable: NativeExecutable):
    return executable.program.inputs


def test_parameters_that_change_in_place_are_seen(prediction):
    given = draw(prediction)
    first = prediction(given)["prediction"]
    given["dense2.b"][0] += 3.0
    second = prediction(given)["prediction"]
    assert (second[:, 0] > first[:, 0]).all()
    given["dense2.b"] = given["dense2.b"] - np.array([3, 0, 0, 0, 0], "f4")
    np.testing.assert_allclose(prediction(given)["prediction"], first, rtol=1e-5)


def test_parameters_that_do_not_lie_in_order_are_seen_too(prediction):
    given = draw(prediction)
    given["dense1.W"] = np.asfortranarray(given["dense1.W"])
    first = prediction(given)["prediction"]
    given["dense1.W"] *= -1.0
    assert not np.array_equal(prediction(given)["prediction"], first)
    given["dense1.W"] *= -1.0
    np.testing.assert_array_equal(prediction(given)["prediction"], first)


def test_another_array_is_checked(prediction):
    given = draw(prediction)
    prediction(given)
    for wrong in (given["dense1.b"][:-1], given["dense1.b"].astype("f8")):
        with pytest.raises(ShapeError, match=r"dense1\.b must be"):
            prediction(given | {"dense1.b": wrong})
    del given["dense1.b"]
    with pytest.raises(ShapeError, match=r"dense1\.b .* is missing"):
        prediction(given)
    with pytest.raises(ShapeError, match=r"x .* is missing"):
        prediction({})


def test_read_only_arrays_and_no_rows(prediction):
    given = draw(prediction)
    expected = prediction(given)["prediction"]
    for array in given.values():
        array.flags.writeable = False
    np.testing.assert_array_equal(prediction(given)["prediction"], expected)
    assert prediction(given | {"x": given["x"][:0]})["prediction"].shape == (0, 5)


def test_rows_are_not_kept(prediction):
    given = draw(prediction)
    rows = weakref.ref(given["x"])
    result = prediction(given)["prediction"]
    del given["x"]
    gc.collect()
    assert rows() is None
    assert result.flags.owndata


def test_memory_is_not_kept_for_every_batch_size() -> None:
    types = {"x": Type("float32", (Batch(), 64)), "w": Type("float32", (64, 64))}
    run = Native(threads=1).compile(ops.trace(lambda x, w: ops.sum(ops.tanh(x @ w) @ w), types))
    w = np.ones((64, 64), np.float32)
    tracemalloc.start()
    try:
        for n in (*range(1000, 1100), 1000, 1099):
            run({"x": np.ones((n, 64), np.float32), "w": w})
        assert tracemalloc.get_traced_memory()[0] < 16 * 2**20  # an arena takes half a megabyte and more
    finally:
        tracemalloc.stop()
