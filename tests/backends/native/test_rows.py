"""Nests over rows, short and long: a vector holds elements of one row or of several rows, whatever is shorter."""

from collections.abc import Callable

import numpy as np
import pytest
from native_steps import TARGETS_HERE

from clearprop import ops
from clearprop.backends.native import Native
from clearprop.backends.native.kernels import Nest
from clearprop.backends.native.lowering import Grouping
from clearprop.backends.native.module import write_module
from clearprop.backends.native.preparation import prepare
from clearprop.backends.native.targets import TARGETS
from clearprop.backends.reference import Reference
from clearprop.grad import derive
from clearprop.ir import Batch, Program, Type
from clearprop.losses import CrossEntropy
from clearprop.ops import Tensor
from clearprop.passes import optimize

N = Batch()
LENGTHS = (1, 2, 7, 10, 15, 16, 17, 33)
ROWS = (0, 1, 3, 15, 16, 17, 40)


def cross_entropy(dtype: str, length: int) -> Program:
    def loss(x: Tensor, y: Tensor, bias: Tensor) -> dict[str, Tensor]:
        per_sample = CrossEntropy().per_sample(x + bias, y)
        return {"cost": ops.mean(per_sample), "loss": per_sample, "largest": ops.max(x, axis=1)}

    types = {"x": Type(dtype, (N, length)), "y": Type("int64", (N,)), "bias": Type(dtype, (length,))}
    return optimize(derive(ops.trace(loss, types), ["x", "bias"], of="cost"))


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("length", LENGTHS)
def test_cross_entropy_and_its_gradient(length: int, dtype: str, target: str) -> None:
    program = cross_entropy(dtype, length)
    native, reference = Native(target).compile(program), Reference().compile(program)
    rng = np.random.default_rng(length)
    tolerance = 2e-6 if dtype == "float32" else 1e-14
    for rows in ROWS:
        x = rng.normal(0, 4, (rows, length)).astype(dtype)
        inputs = {"x": x, "y": rng.integers(0, length, rows), "bias": rng.normal(size=length).astype(dtype)}
        with np.errstate(invalid="ignore", divide="ignore"):
            expected = reference(inputs)
        for name, value in native(inputs).items():
            np.testing.assert_allclose(value, expected[name], rtol=10 * tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("target", TARGETS_HERE)
def test_special_values_stay_in_their_row(target: str) -> None:
    program = ops.trace(lambda x: {"p": ops.softmax(x), "m": ops.max(x, axis=1)}, {"x": Type("float32", (N, 5))})
    x = np.zeros((20, 5), np.float32)
    x[3, 2], x[7, 4], x[18, 0] = np.nan, np.inf, -np.inf
    got = Native(target).compile(program)({"x": x})
    assert np.flatnonzero(np.isnan(got["p"]).any(axis=1)).tolist() == [3, 7]
    assert np.flatnonzero(np.isnan(got["m"])).tolist() == [3]
    assert got["m"][7] == np.inf


def test_the_gradient_of_the_cross_entropy_is_made_with_its_loss() -> None:
    kernels = Grouping(prepare(cross_entropy("float32", 10))).kernels
    ops_of = [[node.op for node in kernel.nodes] for kernel in kernels if isinstance(kernel, Nest)]
    # what follows from the batch alone, the rows with their gradient, the mean
    assert ops_of[0] == ["divide", "negative"]
    assert {"exp", "log", "where", "multiply"} <= set(ops_of[1])
    assert ops_of[2] == ["sum", "divide"]
    assert len(ops_of) == 3


def test_only_products_with_zero_are_fused_into_a_sum() -> None:
    """A step adds them up to see that all is finite; other terms are rounded before they are added."""

    def fused(write: Callable[[Tensor], Tensor]) -> bool:
        text = write_module(ops.trace(write, {"x": Type("float32", (1000,))}), TARGETS["avx512"]).text
        return "fadd contract <16 x float>" in text

    assert fused(lambda x: ops.sum(x * 0.0))
    assert fused(lambda x: ops.sum(0.0 * ops.tanh(x)))
    for write in (
        lambda x: ops.sum(x * x),
        lambda x: ops.sum(x * 2.0),
        lambda x: ops.sum(x - 0.0),
        lambda x: ops.sum((x * 0.0) * x),
    ):
        assert not fused(write)
