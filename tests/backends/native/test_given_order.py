"""A stepper that takes the caller's order of an epoch, on both backends."""

import numpy as np
import pytest
from native_steps import programs

from clearprop.backends.native import Native
from clearprop.backends.reference import Reference
from clearprop.errors import ShapeError
from clearprop.ir import Batch, resolve_shape
from clearprop.passes import optimize

ROWS, BATCH = 23, 5
STEPS = 5
KEY = np.array([7, 11], np.uint32)


def start(backend, shuffle):
    program = optimize(programs("mlp", "float32")["step"])
    rng = np.random.default_rng(0)
    inputs = {}
    for value in program.inputs:
        batch = any(isinstance(dim, Batch) for dim in value.type.shape)
        drawn = rng.uniform(0.1, 0.4, resolve_shape(value.type.shape, ROWS))
        inputs[value.name] = (drawn * 0 if batch and value.type.dtype == "int64" else drawn).astype(value.type.dtype)
    return backend.compile_step(program).start(inputs, BATCH, shuffle)


@pytest.mark.parametrize("backend", [Native(), Reference()], ids=["native", "reference"])
def test_the_given_order_is_that_of_the_epoch(backend) -> None:
    own, given = start(backend, KEY), start(backend, None)
    for epoch in range(3):
        expected = own.run(epoch * STEPS, STEPS, {}, 0.0)
        got = given.run(epoch * STEPS, STEPS, {}, 0.0, own.given.order(epoch))
        assert got == expected
    for name, array in own.state.items():
        np.testing.assert_array_equal(given.state[name], array)


@pytest.mark.parametrize("backend", [Native(), Reference()], ids=["native", "reference"])
def test_afterwards_the_stepper_has_its_own_order_again(backend) -> None:
    one, other = start(backend, KEY), start(backend, KEY)
    for stepper, order in ((one, np.arange(ROWS)[::-1].copy()), (other, np.arange(ROWS))):
        stepper.run(0, STEPS, {}, 0.0, order)
    assert one.run(0, STEPS, {}, 0.0) != other.run(0, STEPS, {}, 0.0)  # what was learnt differs
    fresh = start(backend, None)
    fresh.run(0, STEPS, {}, 0.0, np.arange(ROWS)[::-1].copy())
    fresh.run(0, STEPS, {}, 0.0)
    same = start(backend, None)
    same.run(0, STEPS, {}, 0.0, np.arange(ROWS)[::-1].copy())
    same.run(0, STEPS, {}, 0.0, np.arange(ROWS))
    for name, array in fresh.state.items():
        np.testing.assert_array_equal(same.state[name], array)


@pytest.mark.parametrize("backend", [Native(), Reference()], ids=["native", "reference"])
@pytest.mark.parametrize(
    ("first", "count", "order"),
    [
        (0, 2, np.arange(ROWS - 1)),
        (0, 2, np.arange(ROWS, dtype=np.int32)),
        (0, 2, np.arange(ROWS) + 1),
        (0, 2, np.arange(ROWS) - 1),
        (3, 3, np.arange(ROWS)),
    ],
    ids=["short", "int32", "beyond", "negative", "two epochs"],
)
def test_an_order_that_does_not_fit_is_refused(backend, first, count, order) -> None:
    with pytest.raises(ShapeError, match="order"):
        start(backend, None).run(first, count, {}, 0.0, order)
