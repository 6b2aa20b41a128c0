"""Every activation of the registry: values, derivatives to second order, the ends of the line, and its properties."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from activation_table import CASES, Case
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from clearprop import nn, ops
from clearprop.backends.reference import Reference
from clearprop.errors import SettingsError, ShapeError
from clearprop.ir import Batch, Type
from clearprop.model import Model
from clearprop.ops import Example, Operand
from clearprop.randomness import Key
from clearprop.testing import check_vjp

Array = np.ndarray[Any, Any]
FLAT = [pytest.param(case, id=f"{name}{i}") for name, cases in CASES.items() for i, case in enumerate(cases)]
KINDS = {
    thing
    for name in nn.__all__
    if inspect.isclass(thing := getattr(nn, name))
    and issubclass(thing, nn.Activation)
    and not inspect.isabstract(thing)
}


def test_every_activation_has_a_name_and_a_reference():
    assert set(CASES) == set(nn.ACTIVATIONS)
    assert {type(make()) for make in nn.ACTIVATIONS.values()} == KINDS
    for name, cases in CASES.items():
        assert nn.activation(name) == nn.ACTIVATIONS[name]() == cases[0].layer


def points(case: Case, n: int = 5) -> Array:
    """Numbers of every size, none closer to a kink than 0.05."""
    x = np.random.default_rng(1).normal(0, 3, (n, 6))
    for kink in case.kinks:
        x = np.where(np.abs(x - kink) < 0.05, x + 0.2, x)
    return x


@pytest.mark.parametrize("case", FLAT)
@pytest.mark.parametrize("n", [0, 1, 5])
def test_value(apply, case, n):
    x = points(case, n)
    result = apply(case.layer, x).outputs()["result"]
    expected = case.expected(x)
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("case", FLAT)
def test_value_in_float32(apply, case):
    x = points(case).astype(np.float32)
    result = apply(case.layer, x).outputs()["result"]
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, case.expected(x.astype(float)), rtol=3e-5, atol=1e-6)


@pytest.mark.parametrize("case", FLAT)
def test_derivatives_to_second_order(case):
    """By the input, and by the activation's parameters."""
    params = case.layer.init(Key(0), (6,))

    def function(z: ops.Tensor, *rest: ops.Tensor) -> ops.Tensor:
        with nn.applying(nn.Context(training=False)):
            return case.layer.apply(dict(zip(params, rest, strict=True)), z)

    distinct = isinstance(case.layer, nn.Maxout)
    operands = [Operand((Batch(), 6), -4, 4, avoid=case.kinks, distinct=distinct)]
    check_vjp(function, Example((*operands, *(Operand(p.shape, 0.1, 0.9) for p in params.values()))))


@pytest.mark.parametrize("case", FLAT)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [50.0, 1e3, 1e4])
def test_values_and_gradients_are_right_far_out(apply, case, dtype, size):
    x = size * np.array([[1, -1, 0.5, -0.5, 0.25, -0.25], [-1, 1, 0.75, -0.5, -0.25, 0.5]], dtype)
    weights = np.arange(1.0, 1 + case.expected(x.astype(float)).size, dtype=dtype).reshape(case.expected(x).shape)
    applied = apply(case.layer, x)
    result, smallest = applied.outputs()["result"], 1e-6 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(result, case.expected(x.astype(float)), rtol=2e-6, atol=smallest)
    gradient = applied.gradients(weights, "x")["x"]
    wide, numeric = x.astype(float), np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[index] = 1.0  # out there every activation is straight
        rise = (case.expected(wide + step) - case.expected(wide - step)) * weights
        numeric[index] = rise.sum() / 2
    np.testing.assert_allclose(gradient, numeric, rtol=2e-3, atol=2e-3 * weights.max())


@pytest.mark.parametrize("case", FLAT)
@settings(max_examples=25)
@given(x=hnp.arrays(np.float64, (3, 6), elements=st.floats(-1e4, 1e4)))
def test_range_and_symmetry(case, x):
    a = value(case, x)
    slack = 1e-12 * (1 + np.abs(a).max())
    assert np.isfinite(a).all()
    assert (a >= case.low - slack).all()
    assert (a <= case.high + slack).all()
    if case.symmetry == "odd":
        np.testing.assert_allclose(value(case, -x), -a, rtol=1e-12, atol=1e-15)
    if case.symmetry == "shift":
        np.testing.assert_allclose(value(case, x + 7.5), a, rtol=1e-9, atol=1e-11)
    if case.rising:
        assert (value(case, x + 1.0) >= a - 1e-9).all()


def value(case: Case, x: Array) -> Array:
    params = case.layer.init(Key(0), (6,))
    types = {name: Type("float64", array.shape) for name, array in params.items()}

    def function(z: ops.Tensor, *rest: ops.Tensor) -> ops.Tensor:
        with nn.applying(nn.Context(training=False)):
            return case.layer.apply(dict(zip(params, rest, strict=True)), z)

    program = ops.trace(function, {"x": Type("float64", (Batch(), 6))} | types)
    return Reference().compile(program)({"x": x} | params)["result"]


@pytest.mark.parametrize("name", [name for name in nn.ACTIVATIONS if name in ("softmax", "softmin")])
def test_shares_add_up_to_one(apply, name):
    x = np.random.default_rng(0).normal(0, 200, (20, 6))
    np.testing.assert_allclose(apply(nn.activation(name), x).outputs()["result"].sum(-1), 1.0, rtol=1e-12)


@pytest.mark.parametrize(
    ("layer", "derivative"),
    [
        (nn.ReLU(), 0.0),
        (nn.ReLU6(), 0.0),
        (nn.LeakyReLU(0.25), 0.25),
        (nn.PReLU(0.125), 0.125),
        (nn.RReLU(0.25, 0.75), 0.5),
        (nn.Sigmoid(), 0.25),
        (nn.Tanh(), 1.0),
        (nn.ELU(0.5), 0.5),
        (nn.CELU(2.0), 1.0),
        (nn.GELU(), 0.5),
        (nn.GELU(exact=False), 0.5),
        (nn.SiLU(), 0.5),
        (nn.Mish(), 0.6),
        (nn.Softplus(3.0), 0.5),
        (nn.Softsign(), 1.0),
        (nn.LogSigmoid(), 0.5),
        (nn.HardSwish(), 0.5),
        (nn.Threshold(), 0.0),
    ],
    ids=str,
)
def test_derivative_at_zero(apply, layer, derivative):
    gradient = apply(layer, np.zeros((2, 6))).gradients(np.ones((2, 6)), "x")["x"]
    np.testing.assert_allclose(gradient, np.full((2, 6), derivative), rtol=1e-15)


@pytest.mark.parametrize("name", nn.ACTIVATIONS)
def test_by_name_in_a_dense_layer(name):
    """It trains, and its parameters, if it has any, move with the others."""
    x = np.random.default_rng(0).normal(size=(32, 3))
    model = Model([nn.Dense(6, name), nn.Dense(1)], dtype="float64", backend="reference")
    model.init((3,))
    before = dict(model.parameters)
    model.fit(x, x[:, :1], epochs=1, progress=False)
    learns = name != "threshold"
    for key, array in model.parameters.items():
        assert (array != before[key]).any() == (learns or key.startswith("dense2")), key


def test_prelu_brings_its_slope_into_dense():
    assert {k: v.shape for k, v in nn.Dense(4, "prelu").init(Key(0), (3,)).items()} == {
        "W": (3, 4),
        "b": (4,),
        "slope": (4,),
    }
    shared = nn.PReLU(0.5, shared=True).init(Key(0), (2, 3))
    np.testing.assert_array_equal(shared["slope"], [0.5])


def test_rrelu_draws_a_slope_for_each_number_in_training(apply):
    x = -np.ones((400, 250))
    applied = apply(nn.RReLU(0.1, 0.3), x, training=True)
    slopes = -applied.outputs()["result"]
    assert slopes.min() >= 0.1
    assert slopes.max() < 0.3
    assert abs(slopes.mean() - 0.2) < 1e-3
    assert abs(slopes.std() - 0.2 / np.sqrt(12)) < 1e-3
    np.testing.assert_allclose(applied.gradients(np.ones_like(x), "x")["x"], slopes, rtol=1e-12)
    np.testing.assert_array_equal(apply(nn.RReLU(), -x, training=True).outputs()["result"], -x)


@pytest.mark.parametrize(("layer", "units"), [(nn.GLU(), 5), (nn.Maxout(4), 6), (nn.Maxout(), 3)])
def test_groups_that_do_not_fit_are_refused(layer, units):
    with pytest.raises(ShapeError, match=r"multiple of \d, received \(n, \d\)"):
        nn.Sequential(nn.Dense(units, layer)).init(Key(0), (3,))


def test_an_interval_has_its_ends_in_order():
    with pytest.raises(SettingsError, match=r"lower is at most upper, 0.1, received 0.5"):
        nn.RReLU(0.5, 0.1)


@pytest.mark.parametrize(
    ("choice", "start", "gain"),
    [
        (None, "xavier", 1.0),
        ("tanh", "xavier", 5 / 3),
        ("selu", "lecun", 0.75),
        ("gelu", "kaiming", 2**0.5),
        ("relu", "kaiming", 2**0.5),
        ("maxout", "kaiming", 1.0),
    ],
)
def test_the_weights_before_it_and_its_gain(choice, start, gain):
    layer = nn.activation(choice)
    assert (layer.start, layer.gain) == (start, gain)
    drawn = nn.Dense(40, choice).init(Key(1), (30,))["W"]
    np.testing.assert_array_equal(drawn, nn.initializer(start)(Key(1).child("W"), (30, 40), 30, 40))
