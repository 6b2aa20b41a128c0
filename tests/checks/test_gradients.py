"""Right gradients are found right, in every corner; what has no derivative is set aside and counted."""

import re

import numpy as np
import pytest
from tests.checks.objectives import check, objective, plant

from clearprop import ops
from clearprop.checks import WrongGradientError, check_gradients, check_objective
from clearprop.checks.gradients import _forms, _noise
from clearprop.checks.tensors import Checker
from clearprop.compile import value_and_gradient
from clearprop.errors import DataError, SettingsError
from clearprop.losses import BinaryCrossEntropy, CrossEntropy, SquaredError
from clearprop.model import Model
from clearprop.nn import (
    L1,
    L2,
    Dense,
    Dropout,
    Function,
    LeakyReLU,
    Parallel,
    Residual,
    Sequential,
)
from clearprop.settings import number, whole_number

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 5))
CLASSES = RNG.integers(0, 3, 12)
VALUES = RNG.normal(size=(12, 3))

NETWORKS = {
    "tanh": Sequential(Dense(4, "tanh"), Dense(3)),
    "relu": Sequential(Dense(8, "relu"), Dense(6, "relu"), Dense(3)),
    "leaky relu": Sequential(Dense(6), LeakyReLU(0.1), Dense(3)),
    "softmax inside": Sequential(Dense(4, "softmax"), Dense(3)),
    "dropout": Sequential(Dense(8, "relu"), Dropout(0.5), Dense(3)),
    "residual": Sequential(Residual(Dense(5, "tanh")), Residual(Dense(3), shortcut=Dense(3))),
    "parallel": Sequential(Parallel(Dense(3, "tanh"), Dense(2, "sigmoid")), Dense(3)),
    "sum": Sequential(Parallel(Dense(4, "relu"), Dense(4), join="add"), Dense(3)),
    "shared function": Sequential(Dense(4, ops.softplus), Function(ops.softplus), Dense(3, ops.softplus)),
    "penalties": Sequential(Dense(6, "relu", penalty=(L1(0.01), L2(0.1))), Dense(3, penalty=L2(0.1))),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_are_right(name):
    report = check(NETWORKS[name], CrossEntropy(), X, CLASSES)
    assert report.ok, report
    assert report.worst < 1e-8
    assert {tensor.verdict for tensor in report.tensors} == {"right"}
    assert not report.suspects


@pytest.mark.parametrize(
    ("loss", "y"),
    [
        (SquaredError(), VALUES),
        (SquaredError(0.5, "sum"), VALUES),
        (CrossEntropy(), CLASSES),
        (CrossEntropy(), np.abs(VALUES)),
        (BinaryCrossEntropy(), (VALUES > 0).astype(float)),
    ],
)
def test_losses_are_right_with_weights(loss, y):
    report = check(NETWORKS["tanh"], loss, X, y, weight=RNG.uniform(size=12))
    assert report.ok, report


def test_no_samples():
    with pytest.raises(DataError, match="no samples to check gradients on"):
        check_gradients(Model([Dense(1)]), np.zeros((0, 2)), np.zeros(0))


def test_cost_and_penalty_are_checked_each_by_itself():
    report = check(NETWORKS["penalties"], CrossEntropy(), X, CLASSES)
    assert [(t.output, t.name) for t in report.tensors] == [
        ("cost", "dense1.W"),
        ("cost", "dense1.b"),
        ("cost", "dense2.W"),
        ("cost", "dense2.b"),
        ("penalty", "dense1.W"),
        ("penalty", "dense2.W"),
    ]


@pytest.mark.parametrize("of_data", [1e-8, 1.0, 1e6])
@pytest.mark.parametrize("of_parameters", [1e-8, 1e3])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_scales(of_data, of_parameters, activation):
    network = Sequential(Dense(4, activation), Dense(3))
    report = check(network, CrossEntropy(), of_data * X, CLASSES, scale=of_parameters)
    assert report.ok, report


@pytest.mark.parametrize("of_data", [1e-8, 1e-3, 1.0, 1e3])
def test_a_wrong_derivative_is_found_at_every_scale(monkeypatch, of_data):
    plant(monkeypatch, "tanh", lambda g, ans, x: (2.0 * g * (1.0 - ans * ans),))
    report = check(NETWORKS["tanh"], SquaredError(), of_data * X, VALUES, scale=1.0 / max(of_data, 1.0))
    assert not report.ok, report
    assert "tanh in layer dense1" in report.suspects[0]


def zero(*names):
    def change(inputs):
        for name in names:
            inputs[name] = np.zeros_like(inputs[name])

    return change


def test_relu_at_its_kink_is_set_aside_and_counted():
    report = check(NETWORKS["relu"], CrossEntropy(), X, CLASSES, change=zero("dense1.W", "dense1.b", "dense2.b"))
    assert report.ok, report
    first = {tensor.name: tensor for tensor in report.tensors}["dense1.W"]
    assert first.verdict == "not checked: kink"
    assert first.kinks == first.size
    assert "not checked: kink" in str(report)


def test_kinks_beside_the_point_do_not_count():
    """An epsilon that crosses many kinks only takes longer."""
    report = check(NETWORKS["relu"], CrossEntropy(), X, CLASSES, epsilon=0.5)
    assert report.ok, report
    assert sum(tensor.kinks for tensor in report.tensors) == 0


def test_l1_at_zero_weights_is_right_where_it_is_not_at_a_kink():
    def change(inputs):
        inputs["dense1.W"][0] = 0.0

    report = check(NETWORKS["penalties"], CrossEntropy(), X, CLASSES, change=change)
    penalty = next(tensor for tensor in report.tensors if (tensor.output, tensor.name) == ("penalty", "dense1.W"))
    assert report.ok, report
    assert penalty.verdict == "right"


def test_a_logit_of_exactly_zero_is_right_with_binary_cross_entropy():
    report = check(
        Sequential(Dense(3)), BinaryCrossEntropy(), X, (VALUES > 0).astype(float), change=zero("dense1.W", "dense1.b")
    )
    assert {tensor.verdict for tensor in report.tensors} == {"right"}


def test_equal_logits_are_right_with_cross_entropy():
    report = check(Sequential(Dense(3)), CrossEntropy(), X, CLASSES, change=zero("dense1.W", "dense1.b"))
    assert {tensor.verdict for tensor in report.tensors} == {"right"}


def test_ties_of_a_maximum_are_kinks():
    network = Sequential(Dense(4), Function(lambda x: ops.max(x, axis=1, keepdims=True)))
    report = check(network, SquaredError(), X, VALUES[:, :1], change=zero("dense1.W", "dense1.b"))
    assert [tensor.verdict for tensor in report.tensors] == ["not checked: kink"] * 2


def test_a_smooth_function_written_with_kinks_is_a_kink_and_not_wrong():
    network = Sequential(Dense(2), Function(lambda x: ops.relu(x) - ops.relu(-x)))  # is x, but has no piece at 0
    report = check(network, SquaredError(), X, VALUES[:, :2], change=zero("dense1.W", "dense1.b"))
    assert [tensor.verdict for tensor in report.tensors] == ["not checked: kink"] * 2


def test_dead_units_have_the_gradient_zero():
    def change(inputs):
        inputs["dense1.b"] -= 100.0

    report = check(NETWORKS["relu"], CrossEntropy(), X, CLASSES, change=change)
    assert {tensor.verdict for tensor in report.tensors} == {"right"}


def test_stop_gradient_is_taken_at_its_word_and_mentioned():
    straight_through = Function(lambda x: x + ops.stop_gradient(ops.sign(x) - x))
    report = check(Sequential(Dense(4), straight_through, Dense(3)), SquaredError(), X, VALUES)
    first = next(tensor for tensor in report.tensors if tensor.name == "dense1.W")
    assert report.ok, report
    assert first.stopped == first.size
    assert "stop_gradient" in str(report)


def test_a_derivative_that_is_not_finite_is_wrong():
    network = Sequential(Dense(2), Function(lambda x: ops.sqrt(x * x)))
    report = check(network, SquaredError(), X, VALUES[:, :2], change=zero("dense1.W", "dense1.b"))
    assert not report.ok
    assert "not finite" in str(report)
    assert report.suspects[0].startswith("sqrt in layer function1")


def test_sampling_covers_large_tensors_and_repeats_with_the_seed():
    network = Sequential(Dense(40, "tanh"), Dense(3))
    first, again, other = (check(network, CrossEntropy(), X, CLASSES, max_entries=10, seed=seed) for seed in (1, 1, 2))
    W = first.tensors[0]
    assert (W.entries, W.size, W.directions) == (10, 200, 2)
    assert str(first) == str(again)
    assert str(first) != str(other)
    assert first.ok


def test_a_random_direction_finds_one_wrong_entry_in_many():
    program, inputs, names = objective(Sequential(Dense(400, "tanh"), Dense(3)), SquaredError(), X, VALUES)
    gradient = value_and_gradient(program, names, "cost")(inputs)["grad.dense1.W"]
    entry = int(np.argsort(np.abs(gradient), axis=None)[gradient.size // 2])
    gradient.flat[entry] *= 1.5
    forms = _forms(program, inputs, set(names))
    checker = Checker(forms, _noise(forms[0], names, 0), 1e-3, 1e-6, 10, 0)
    (found,) = checker.tensor("dense1.W", {"cost": gradient})
    assert found.verdict == "wrong"
    assert found.worst.index is None
    assert "random direction" in found.hint


def test_inputs_are_left_untouched():
    program, inputs, names = objective(NETWORKS["penalties"], CrossEntropy(), X, CLASSES)
    before = {name: array.copy() for name, array in inputs.items()}
    for array in inputs.values():
        array.setflags(write=False)
    assert check_objective(program, names, inputs).ok
    assert all(np.array_equal(before[name], inputs[name]) for name in inputs)


def test_the_gradient_by_the_input_can_be_checked_too():
    assert check(NETWORKS["tanh"], SquaredError(), X, VALUES, wrt=["x", "y"]).ok


REFUSED = [
    *((name, value) for name in ("epsilon", "tolerance") for value in number("(0, 1)").wrong),
    *(("max_entries", value) for value in whole_number(1).wrong),
]


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(SettingsError, match=f"{name} .*received {re.escape(repr(value))}"):
        check(NETWORKS["tanh"], CrossEntropy(), X, CLASSES, **{name: value})


def test_an_objective_that_is_not_finite_says_where():
    network = Sequential(Dense(2, name="hidden"), Function(ops.log, name="logarithm"))
    with pytest.raises(DataError, match="logarithm"):
        check(network, SquaredError(), X, VALUES[:, :2])


def test_a_model_is_checked_in_float64_with_frozen_parameters_left_out():
    model = Model([Dense(4, "relu", penalty=L2(0.01)), Dropout(0.25), Dense(3)], loss="cross_entropy", frozen="*.b")
    report = check_gradients(model, X, CLASSES, sample_weight=np.linspace(0.5, 1.5, 12))
    assert report.ok, report
    assert {tensor.name for tensor in report.tensors} == {"dense1.W", "dense2.W"}
    assert report.left_out == ("dense1.b", "dense2.b")
    assert "left out: dense1.b, dense2.b" in str(report)
    assert model.parameters["dense1.W"].dtype == np.float32
    report.raise_if_wrong()


def test_raise_if_wrong_says_everything(monkeypatch):
    plant(monkeypatch, "tanh", lambda g, ans, x: (-(g * (1.0 - ans * ans)),))
    model = Model([Dense(4, "tanh", name="hidden"), Dense(3)], loss="cross_entropy")
    with pytest.raises(WrongGradientError, match="tanh in layer hidden") as caught:
        check_gradients(model, X, CLASSES).raise_if_wrong()
    text = str(caught.value)
    assert "the gradient of the cost by hidden.W (layer hidden) is wrong: at [" in text
    assert "each has the opposite sign" in text
