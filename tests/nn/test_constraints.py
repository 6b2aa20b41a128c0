"""Constraints: what they make of weights, and that the training step applies them after each update."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from penalty_table import CONSTRAINTS

from clearprop import nn, ops, optim
from clearprop.backends.reference import Reference
from clearprop.ir import Type
from clearprop.model import Model

W = np.random.default_rng(0).normal(0, 2, (5, 4))
X = np.random.default_rng(1).normal(size=(32, 5))
Y = X @ np.random.default_rng(2).normal(0, 3, (5, 4))
SQUARABLE = st.floats(-1e4, 1e4).map(lambda number: number if abs(number) > 1e-150 else 0.0)
"""Numbers whose squares are no subnormal ones, which have few digits."""
KINDS = {
    thing
    for name in nn.__all__
    if inspect.isclass(thing := getattr(nn, name))
    and issubclass(thing, nn.Constraint)
    and not inspect.isabstract(thing)
}


def applied(constraint: nn.Constraint, weight: np.ndarray) -> np.ndarray:
    with ops.tracing("constraint") as builder, nn.applying(nn.Context(training=True)) as context:
        tensor = ops.placeholder("W", Type(str(weight.dtype), weight.shape))
        program = builder.finish([("result", constraint(tensor).value)])
    hyper = {name: np.asarray(value) for name, value in context.hyper.items()}
    return Reference().compile(program)({"W": weight} | hyper)["result"]


def test_every_constraint_has_a_name_and_a_reference():
    assert {type(constraint) for constraint in CONSTRAINTS} == KINDS == set(nn.CONSTRAINTS.values())


@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_value(constraint, dtype):
    result = applied(constraint, W.astype(dtype))
    assert result.dtype == dtype
    np.testing.assert_allclose(result, CONSTRAINTS[constraint](W), rtol=1e-14 if dtype == np.float64 else 1e-5)


@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=str)
@given(weight=hnp.arrays(np.float64, (3, 2), elements=SQUARABLE))
def test_twice_is_once(constraint, weight):
    once = applied(constraint, weight)
    assert np.isfinite(once).all()
    np.testing.assert_allclose(applied(constraint, once), once, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=str)
@pytest.mark.parametrize("optimizer", [optim.SGD(0.3), optim.Adam(0.3)])
def test_the_step_applies_it_after_the_update(constraint, optimizer):
    """One step from the same weights: what it gives is the constraint of what the step gives without it."""
    free, bound = (
        Model(
            [nn.Dense(4, weights=nn.Given(W), constraint=c)], optimizer=optimizer, dtype="float64", backend="reference"
        )
        for c in ((), constraint)
    )
    for model in (free, bound):
        model.fit(X, Y, epochs=1, batch_size=32, shuffle=False, progress=False)
    np.testing.assert_allclose(
        bound.parameters["dense1.W"], CONSTRAINTS[constraint](free.parameters["dense1.W"]), rtol=1e-12, atol=1e-15
    )
    np.testing.assert_array_equal(bound.parameters["dense1.b"], free.parameters["dense1.b"])


@pytest.mark.parametrize(
    "optimizer",
    [
        optim.ExponentialAverage(optim.SGD(0.3), 0.6),
        optim.Lookahead(optim.SGD(0.3), 2),
        optim.ScheduleFree(optim.SGD(0.3)),
    ],
    ids=lambda optimizer: type(optimizer).__name__,
)
def test_averages_keep_it_too(optimizer):
    """What predicts is an average in a slot; averages of columns of norm 1 are shorter."""
    model = Model([nn.Dense(4, constraint=nn.UnitNorm())], optimizer=optimizer, dtype="float64", backend="reference")
    model.fit(X, Y, epochs=2, batch_size=8, progress=False)
    np.testing.assert_allclose(np.linalg.norm(model.parameters["dense1.W"], axis=0), 1.0, rtol=1e-12)


@pytest.mark.parametrize("name", nn.CONSTRAINTS)
def test_a_name_is_the_constraint_with_its_defaults(name):
    assert nn.constraint(name) == nn.CONSTRAINTS[name]()


@pytest.mark.parametrize("both", [(nn.NonNegative(), nn.UnitNorm()), ["non_negative", "unit_norm"]])
def test_several_are_applied_in_order(both):
    model = Model([nn.Dense(4, constraint=both)], optimizer=optim.SGD(0.1), dtype="float64", backend="reference")
    model.fit(X, np.abs(Y), epochs=3, progress=False)
    trained = model.parameters["dense1.W"]
    assert (trained >= 0).all()
    np.testing.assert_allclose(np.linalg.norm(trained, axis=0), 1.0, rtol=1e-12)


def test_a_limit_is_given_when_the_program_runs():
    model = Model([nn.Dense(4, constraint=nn.MaxNorm(0.75))], dtype="float64")
    model.init((5,))
    programs = model.step_programs(model.output_type(), weighted=False)
    assert programs.hyper["dense1.max_norm"] == 0.75
    assert "dense1.max_norm" in {value.name for value in programs.step.inputs}


def test_nested_and_frozen_layers():
    """The constraint finds its parameter by its path, and a frozen one is left as it is."""
    network = [
        nn.Residual(nn.Dense(5, constraint=nn.MaxNorm(0.1))),
        nn.Dense(4, constraint=nn.MaxNorm(0.1), name="out"),
    ]
    model = Model(network, dtype="float64", frozen="out.*", backend="reference")
    model.init((5,))
    before = model.parameters["out.W"]
    model.fit(X, Y, epochs=1, progress=False)
    assert (np.linalg.norm(model.parameters["residual1.inner.W"], axis=0) <= 0.1 + 1e-12).all()
    np.testing.assert_array_equal(model.parameters["out.W"], before)
