"""The reference backend: what it gives, what it refuses, and that it leaves its inputs alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from clearprop import ops
from clearprop.backends.reference import Reference
from clearprop.backends.reference.evaluate import batch_size
from clearprop.compile import BACKENDS, compile_program, value_and_gradient
from clearprop.errors import SettingsError, ShapeError
from clearprop.ir import Batch, Type
from clearprop.ops import Tensor

TYPES = {"x": Type("float32", (Batch(), 2)), "W": Type("float32", (2, 3))}


def hidden(x: Tensor, W: Tensor) -> dict[str, Tensor]:
    z = ops.label(x @ W, "z")
    return {"prediction": ops.label(ops.tanh(z), "a"), "mean": ops.mean(z)}


PROGRAM = ops.trace(hidden, TYPES, "hidden")


def inputs(n: int) -> dict[str, Any]:
    rng = np.random.default_rng(n)
    return {"x": rng.normal(size=(n, 2)).astype(np.float32), "W": rng.normal(size=(2, 3)).astype(np.float32)}


@pytest.mark.parametrize("n", [0, 1, 5])
def test_outputs_by_name_for_any_batch(n: int) -> None:
    given = inputs(n)
    result = Reference().compile(PROGRAM)(given)
    assert list(result) == ["prediction", "mean"]
    np.testing.assert_allclose(result["prediction"], np.tanh(given["x"] @ given["W"]), rtol=1e-6)
    assert result["prediction"].dtype == np.float32
    assert result["prediction"].shape == (n, 3)
    assert result["mean"].shape == ()
    assert np.isnan(result["mean"]) == (n == 0)


def test_every_value_can_be_inspected() -> None:
    given = inputs(4)
    values = Reference().compile(PROGRAM).inspect(given)
    assert list(values) == [value.name for value in PROGRAM.values()]
    assert list(values)[:4] == ["x", "W", "z", "a"]
    np.testing.assert_allclose(values["z"], given["x"] @ given["W"], rtol=1e-6)


def f32(*shape: int) -> Any:
    return np.zeros(shape, np.float32)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a missing input": ({"x": f32(3, 2)}, r"the input W \(float32\[2, 3\]\) is missing; received x"),
    "another name": ({"x": f32(3, 2), "w": f32(2, 3)}, "the input W .* is missing; received x, w"),
    "nothing": ({}, "the input x .* is missing"),
    "a wrong shape": ({"x": f32(3, 2), "W": f32(3, 2)}, r"W must be .*\[2, 3\] with n = 3, received float32\[3, 2\]"),
    "a wrong dtype": ({"x": np.zeros((3, 2)), "W": f32(2, 3)}, r"x must be float32\[n, 2\] .* float64\[3, 2\]"),
    "a half": ({"x": np.zeros((3, 2), np.float16), "W": f32(2, 3)}, r"received float16\[3, 2\]"),
    "another byte order": ({"x": np.zeros((3, 2), ">f4"), "W": f32(2, 3)}, r"received >f4\[3, 2\]"),
    "objects": ({"x": np.array([[None, None]]), "W": f32(2, 3)}, r"received object\[1, 2\]"),
    "a scalar for a batch": ({"x": np.float32(1), "W": f32(2, 3)}, r"x must be float32\[n, 2\] .* float32\[\]"),
    "a vector for rows": ({"x": f32(2), "W": f32(2, 3)}, r"received float32\[2\]"),
    "a list": ({"x": [[1.0, 2.0]], "W": f32(2, 3)}, r"received float64\[1, 2\]"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_inputs_are_refused(name: str) -> None:
    given, message = REFUSED[name]
    with pytest.raises(ShapeError, match=message):
        Reference().compile(PROGRAM)(given)


def test_two_batches_must_agree() -> None:
    types = {"x": Type("float32", (Batch(),)), "y": Type("float32", (Batch(),)), "z": Type("float32", (Batch(2),))}
    run = Reference().compile(ops.trace(lambda x, y, z: x + y, types))
    assert run({"x": f32(3), "y": f32(3), "z": f32(6)})["result"].shape == (3,)
    with pytest.raises(ShapeError, match=r"y must be float32\[n\] with n = 3, received float32\[4\]"):
        run({"x": f32(3), "y": f32(4), "z": f32(6)})
    with pytest.raises(ShapeError, match=r"z must be float32\[2n\] with n = 3, received float32\[3\]"):
        run({"x": f32(3), "y": f32(3), "z": f32(3)})


def test_an_odd_length_is_no_multiple_of_two() -> None:
    program = ops.trace(lambda z: z, {"z": Type("float32", (Batch(2),))})
    assert batch_size(program, {"z": f32(6)}) == 3
    with pytest.raises(ShapeError, match="z must be"):
        Reference().compile(program)({"z": f32(5)})


def test_inputs_are_untouched_and_outputs_are_new() -> None:
    program = ops.trace(
        lambda x: {"same": x, "wide": ops.broadcast_to(x, (3, 2)), "part": x[:1], "row": x[None]},
        {"x": Type("float32", (2,))},
    )
    x = np.array([1.0, 2.0], np.float32)
    result = Reference().compile(program)({"x": x})
    for array in result.values():
        assert array.flags.writeable
        array[...] = 7.0
    np.testing.assert_array_equal(x, [1.0, 2.0])


def test_read_only_and_strided_inputs_are_taken() -> None:
    x = np.arange(12, dtype=np.float32).reshape(2, 6).T[::2]
    x.flags.writeable = False
    result = Reference().compile(PROGRAM)({"x": x, "W": np.ones((2, 3), np.float32)})
    np.testing.assert_allclose(result["prediction"], np.tanh(x @ np.ones((2, 3), np.float32)))


def test_numbers_that_overflow_are_not_an_error() -> None:
    program = ops.trace(lambda x: ops.log(ops.exp(x) - ops.exp(x)) / 0.0, {"x": Type("float32", (2,))})
    assert np.all(np.isnan(Reference().compile(program)({"x": np.array([1e4, 1e4], np.float32)})["result"]))


def test_compile_program_chooses_a_backend() -> None:
    assert set(BACKENDS) >= {"reference"}
    given = inputs(3)
    expected = Reference().compile(PROGRAM)(given)
    for name in BACKENDS:
        result = compile_program(PROGRAM, name)(given)
        for key, array in expected.items():
            np.testing.assert_allclose(result[key], array, rtol=1e-5)
    with pytest.raises(SettingsError, match=r"no backend 'abacus'; choose one of .*reference"):
        compile_program(PROGRAM, "abacus")


def test_value_and_gradient() -> None:
    run = value_and_gradient(ops.trace(lambda x: ops.sum(x * x * x), {"x": Type("float64", (2,))}), ["x"])
    result = run({"x": np.array([1.0, -2.0])})
    assert result["result"] == -7.0
    np.testing.assert_array_equal(result["grad.x"], [3.0, 12.0])
