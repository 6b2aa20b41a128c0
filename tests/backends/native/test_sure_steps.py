"""What a stepper holds: no copies of the state of steps that cannot go wrong, and not the first state."""

import weakref

import numpy as np
import pytest
from test_stepper import KEY, MLP, first_inputs, taking

from clearprop import ops
from clearprop.backends.native import Native
from clearprop.backends.reference import Reference
from clearprop.backends.stepping import may_stop
from clearprop.estimators.programs import Perceptron
from clearprop.ir import Batch, Type


def test_only_steps_that_may_go_wrong_are_kept_for_a_way_back():
    perceptron = Perceptron((3, 4, 2), "relu", "softmax", "float64")
    sure = perceptron.step(False, "adam").program
    assert not may_stop(sure)
    assert may_stop(MLP)
    assert may_stop(taking())
    stepper = Native().compile_step(sure).start(first_inputs(sure), 5, KEY)
    stepper.run(0, 9, {}, 0.0)
    assert not stepper._since
    unsure = Native().compile_step(MLP).start(first_inputs(MLP), 5, KEY)
    unsure.run(0, 1, {}, 0.0)
    assert len(unsure._since) <= 1
    assert unsure._snapshot.shape == unsure._block.shape


def test_a_constant_that_is_not_finite_stops_a_step():
    with ops.tracing("never") as builder:
        x = ops.placeholder("x", Type("float64", (Batch(),)))
        outputs = {"objective": ops.constant(float("nan"), "float64"), "cost": ops.sum(x)}
        outputs["health"] = ops.constant(0.0, "float64")
        program = builder.finish((name, tensor.value) for name, tensor in outputs.items())
    assert may_stop(program)
    stepper = Native().compile_step(program).start({"x": np.ones(4)}, 2)
    assert stepper.run(0, 1, {}, 0.0).diverged


@pytest.mark.parametrize("backend", [Native(), Reference()], ids=["native", "reference"])
def test_the_first_state_is_not_held(backend):
    inputs = first_inputs(MLP)
    first = weakref.ref(inputs["dense1.W"])
    stepper = backend.compile_step(MLP).start(inputs, 5, KEY)
    inputs.clear()
    assert first() is None
    assert stepper.run(0, 1, {}, 0.0).steps == 1
