"""What may stand inside of a time step: convolutions, random numbers; and what may not."""

from __future__ import annotations

import numpy as np
import pytest
from loop_cases import CONVOLVED, random_and_convolved

from clearprop import nn, ops
from clearprop.backends.reference import Reference
from clearprop.errors import ProgramError
from clearprop.grad import derive
from clearprop.ir import Batch, Type, resolve_shape
from clearprop.ops import Tensor
from clearprop.passes import unroll

N = Batch()


def test_a_step_that_asks_for_inputs_of_its_own_is_refused() -> None:
    def step(h: Tensor, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        return [nn.Dropout(0.5).apply({}, h + x)], []

    def function(x: Tensor) -> Tensor:
        return ops.scan(step, [x[0]], [x])[0][0]

    with nn.applying(nn.Context(training=True)), pytest.raises(ProgramError, match=r"\(rate, key, step\)"):
        ops.trace(function, {"x": Type("float64", (3, N, 2))})


def test_convolutions_and_random_numbers_inside_of_a_step() -> None:
    """Beside a loop of NumPy, and as the network unrolled; every step draws numbers of its own."""
    program = ops.trace(random_and_convolved, CONVOLVED, "convolved")
    rng = np.random.default_rng(0)
    given = {
        name: rng.uniform(-1, 1, resolve_shape(type_.shape, 2)) for name, type_ in CONVOLVED.items() if name != "key"
    } | {"key": np.array([3, 4], np.uint32)}
    h, total = given["h"], 0.0
    masks = []
    for t in range(3):
        drawn = ops.trace(
            lambda x, key, t=t: ops.uniform(key, ops.constant(5 + t, "int64"), 7, x.shape, "float32"),
            {"x": CONVOLVED["h"], "key": CONVOLVED["key"]},
        )
        masks.append(Reference().compile(drawn)({"x": h, "key": given["key"]})["result"] >= 0.4)
        seen = np.pad(np.concatenate([given["x"][t], h * masks[-1]], axis=-1), ((0, 0), (1, 1), (1, 1), (0, 0)))
        h = np.zeros_like(h)
        for i, j in np.ndindex(3, 3):
            h += seen[:, i : i + 4, j : j + 5] @ given["K"][i, j]
        h = np.tanh(h)
        total += (h**2).sum()
    assert (masks[0] != masks[1]).any()
    np.testing.assert_allclose(Reference().compile(program)(given)["result"], total + h.sum(), rtol=1e-12)
    derived = derive(program, ["x", "h", "K"])
    looped, unrolled = (Reference().compile(each)(given) for each in (derived, unroll(derived)))
    for name, array in looped.items():
        np.testing.assert_allclose(unrolled[name], array, rtol=1e-10, atol=1e-12)
