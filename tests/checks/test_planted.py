"""The tester tested: wrong derivatives are planted, and the check must fail and name the one to blame."""

import numpy as np
import pytest
from tests.checks.objectives import check, objective, plant

from clearprop import ops
from clearprop.backends.reference import ReferenceExecutable
from clearprop.checks.branches import hold
from clearprop.checks.suspects import find_suspects
from clearprop.losses import CrossEntropy, SquaredError
from clearprop.nn import L1, L2, Dense, Function, LeakyReLU, Parallel, Residual, Sequential
from clearprop.ops.reductions import swap_last
from clearprop.ops.tensor import emit

RNG = np.random.default_rng(1)
X = RNG.normal(size=(9, 4))
CLASSES = RNG.integers(0, 4, 9)
VALUES = RNG.normal(size=(9, 4))


def layers(*middle):
    return Sequential(Dense(4, name="first"), *middle, Dense(4, name="last"))


def whole(function):
    return layers(Function(function, name="middle"))


def masked(condition, g):
    return ops.where(condition, g, 0.0)


WRONG = {
    "sign of tanh": ("tanh", lambda g, ans, x: (-(g * (1.0 - ans * ans)),), whole(ops.tanh)),
    "factor of tanh": ("tanh", lambda g, ans, x: (2.0 * (g * (1.0 - ans * ans)),), whole(ops.tanh)),
    "a term of tanh": ("tanh", lambda g, ans, x: (g * (1.0 - ans),), whole(ops.tanh)),
    "no tanh": ("tanh", lambda g, ans, x: (None,), whole(ops.tanh)),
    "a thousandth of tanh": ("tanh", lambda g, ans, x: (1.001 * (g * (1.0 - ans * ans)),), whole(ops.tanh)),
    "a millionth of tanh": ("tanh", lambda g, ans, x: ((1 + 1e-5) * (g * (1.0 - ans * ans)),), whole(ops.tanh)),
    "a term of sigmoid": ("sigmoid", lambda g, ans, x: (g * ans,), whole(ops.sigmoid)),
    "exponential": ("exp", lambda g, ans, x: (g,), whole(lambda x: ops.exp(0.5 * x))),
    "first factor": ("multiply", lambda g, ans, x, y: (g * y, None), whole(lambda x: x * ops.sin(x))),
    "quotient": ("divide", lambda g, ans, x, y: (g / y, g * ans / y), whole(lambda x: x / (2.0 + ops.sin(x)))),
    "side of maximum": (
        "maximum",
        lambda g, ans, x, y: (masked(x < y, g), masked(y <= x, g)),
        layers(Dense(4, "relu", name="middle")),
    ),
    "factor of maximum": (
        "maximum",
        lambda g, ans, x, y: (2.0 * masked(y < x, g), masked(x <= y, g)),
        layers(Dense(4, "relu", name="middle")),
    ),
    "sides of where": (
        "where",
        lambda g, ans, condition, x, y: (None, ops.where(condition, 0.0, g), masked(condition, g)),
        layers(LeakyReLU(0.1, name="middle")),
    ),
    "absolute value": ("abs", lambda g, ans, x: (g,), whole(ops.abs)),
    "every element of max": (
        "max",
        lambda g, ans, x, axis: (ops.broadcast_to(ops.reshape(g, (*g.shape, 1)), x.shape),),
        whole(lambda x: x * ops.max(x, axis=1, keepdims=True)),
    ),
    "one way around a residual": (
        "add",
        lambda g, ans, x, y: (g, None),
        layers(Residual(Function(ops.tanh), name="middle")),
    ),
    "order of concat": (
        "concat",
        lambda g, ans, *inputs, axis: (g[:, 2:], g[:, :2]),
        layers(Parallel(Dense(2), Dense(2), name="middle")),
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_planted_derivative_is_found_and_named(monkeypatch, name):
    op, vjp, network = WRONG[name]
    right = check(network, SquaredError(), X, VALUES)
    assert right.ok, right
    plant(monkeypatch, op, vjp)
    report = check(network, SquaredError(), X, VALUES)
    assert not report.ok, report
    assert any(suspect.startswith(f"{op} in layer middle") for suspect in report.suspects), report
    assert all(suspect.startswith((op, "and ")) for suspect in report.suspects), report
    assert "first.W" in {tensor.name for tensor in report.wrong}
    if op not in ("add", "multiply"):  # which the loss uses too
        assert all(tensor.layer != "last" for tensor in report.wrong)
    assert op in str(report)


def test_a_transposed_matrix_is_found_and_named(monkeypatch):
    plant(
        monkeypatch, "matmul", lambda g, ans, x, y: (emit("matmul", g, swap_last(y)), emit("matmul", swap_last(g), x))
    )
    report = check(layers(), SquaredError(), X, VALUES)
    assert {tensor.name for tensor in report.wrong} == {"first.W", "last.W"}
    assert [suspect.split(",")[0] for suspect in report.suspects] == ["matmul in layer last", "matmul in layer first"]
    assert "it is the transpose of the right one" in str(report)


def test_a_forgotten_transposition_is_found_and_named(monkeypatch):
    plant(monkeypatch, "matmul", lambda g, ans, x, y: (emit("matmul", g, y), emit("matmul", swap_last(x), g)))
    report = check(layers(), SquaredError(), X, VALUES)
    assert {tensor.name for tensor in report.wrong} == {"first.W", "first.b"}
    assert report.suspects[0].startswith("matmul in layer last")


def test_a_derivative_that_cannot_be_written_is_reported_and_named(monkeypatch):
    plant(monkeypatch, "matmul", lambda g, ans, x, y: (emit("matmul", g, y), emit("matmul", swap_last(x), g)))
    report = check(Sequential(Dense(3, name="first"), Dense(4, name="last")), SquaredError(), X, VALUES)
    assert not report.ok
    assert "cannot be derived" in report.failure
    assert any("matmul in layer last" in suspect and "cannot be written" in suspect for suspect in report.suspects)


def test_a_derivative_of_another_shape_is_reported_and_named(monkeypatch):
    plant(monkeypatch, "broadcast_to", lambda g, ans, x, shape: (g,))
    report = check(layers(), SquaredError(), X, VALUES)
    assert not report.ok
    assert any("broadcast_to" in suspect and "shape" in suspect for suspect in report.suspects), report


@pytest.mark.parametrize(
    ("op", "vjp", "name"),
    [
        ("abs", lambda g, ans, x: (-(g * ops.sign(x)),), "L1"),
        ("multiply", lambda g, ans, x, y: (g * y, None), "L2"),
    ],
)
def test_a_wrong_penalty_is_told_from_the_cost(monkeypatch, op, vjp, name):
    penalty = L1(0.1) if name == "L1" else L2(0.1)
    network = Sequential(Dense(4, name="first", penalty=penalty), Dense(4, "tanh", name="last"))
    plant(monkeypatch, op, vjp)
    report = check(network, CrossEntropy(), X, CLASSES)
    assert [(tensor.output, tensor.name) for tensor in report.wrong] == [("penalty", "first.W")], report
    assert any(suspect.startswith(f"{op} in layer first") for suspect in report.suspects)


def test_a_wrong_derivative_does_not_hide_among_kinks(monkeypatch):
    """Half of the units stand exactly at the kink; the other half must still betray the factor."""
    network = layers(Dense(6, "relu", name="middle"))

    def change(inputs):
        inputs["middle.W"][:, ::2] = 0.0
        inputs["middle.b"][::2] = 0.0

    assert check(network, SquaredError(), X, VALUES, change=change).ok
    plant(monkeypatch, "maximum", lambda g, ans, x, y: (2.0 * masked(y < x, g), masked(x <= y, g)))
    report = check(network, SquaredError(), X, VALUES, change=change)
    middle = {tensor.name: tensor for tensor in report.tensors}["middle.W"]
    assert middle.verdict == "wrong", report
    assert middle.kinks > 0


def test_ties_of_a_max_do_not_hide_a_wrong_convention(monkeypatch):
    """The whole cotangent to every tie lies between the one-sided derivatives, and is wrong all the same."""
    plant(
        monkeypatch,
        "max",
        lambda g, ans, x, axis: (
            ops.astype(x == ops.broadcast_to(ops.reshape(ans, (*ans.shape, 1)), x.shape), x.dtype)
            * ops.broadcast_to(ops.reshape(g, (*g.shape, 1)), x.shape),
        ),
    )
    network = Sequential(Dense(4), Function(lambda x: ops.max(x, axis=1, keepdims=True)))

    def change(inputs):
        inputs["dense1.W"][:] = 0.0
        inputs["dense1.b"][:] = 0.5

    report = check(network, SquaredError(), X, VALUES[:, :1], change=change)
    assert not report.ok, report


def test_no_operation_is_suspected_of_a_right_program():
    program, inputs, names = objective(layers(Dense(4, "relu")), CrossEntropy(), X, CLASSES)
    assert find_suspects(program, inputs, names, 1e-6) == ()


def test_without_a_suspect_the_report_points_elsewhere(monkeypatch):
    network = whole(ops.tanh)
    plant(monkeypatch, "tanh", lambda g, ans, x: (-(g * (1.0 - ans * ans)),))
    monkeypatch.setattr("clearprop.checks.gradients.find_suspects", lambda *_: ())
    assert "each operation's own derivative (vjp) is right here" in str(check(network, SquaredError(), X, VALUES))


def test_a_held_program_is_the_same_function_at_the_point_and_has_no_kink():
    def function(x):
        parts = [ops.abs(x), ops.relu(x), ops.minimum(x, 0.2), ops.sign(x) * x, ops.leaky_relu(x)]
        parts += [ops.max(x, axis=1, keepdims=True) * x, ops.astype(ops.astype(3.0 * x, "int64"), "float64") * x]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    program, inputs, names = objective(whole(function), SquaredError(), X, VALUES)
    held, arrays = hold(program, inputs, set(names))
    before, after = (run_cost(p, a) for p, a in ((program, inputs), (held, arrays)))
    assert after == pytest.approx(before, rel=1e-14)
    step = {"first.W": inputs["first.W"] + 10.0}  # far beyond every kink: a polynomial of degree four along a line
    values = [run_cost(held, arrays | {"first.W": inputs["first.W"] + t * step["first.W"]}) for t in range(6)]
    assert np.diff(values, 5) == pytest.approx(0.0, abs=1e-9 * max(map(abs, values)))


def run_cost(program, arrays):
    return float(ReferenceExecutable(program)(arrays)["cost"])
