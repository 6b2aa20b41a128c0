"""What `derive` does with programs: reuse, unused inputs, orders, names, refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

from clearprop import ops
from clearprop.backends.reference import Reference
from clearprop.errors import ProgramError
from clearprop.grad import derive, replay
from clearprop.ir import Batch, Note, Program, Type, verify
from clearprop.ops import Tensor, rule_of

SCALAR, VECTOR = Type("float64"), Type("float64", (3,))


def gradients(function: Callable[..., Any], wrt: list[str] | None = None, **inputs: Any) -> dict[str, Any]:
    arrays = {name: np.asarray(value) for name, value in inputs.items()}
    program = ops.trace(function, {name: Type(str(a.dtype), a.shape) for name, a in arrays.items()})
    derived = derive(program, list(inputs) if wrt is None else wrt)
    verify(derived, rule_of)
    assert derived.input_names == program.input_names
    return Reference().compile(derived)(arrays)


def test_a_value_used_twice_gets_the_sum() -> None:
    result = gradients(lambda x: ops.sum(x * x + x), x=[1.0, 2.0])
    np.testing.assert_array_equal(result["grad.x"], [3.0, 5.0])
    assert result["result"] == 8.0


def test_the_same_input_on_both_sides() -> None:
    assert gradients(lambda x: x * x, x=3.0)["grad.x"] == 6.0
    assert gradients(lambda x: x - x, x=3.0)["grad.x"] == 0.0
    assert gradients(lambda x: x / x, x=3.0)["grad.x"] == 0.0


def test_an_unused_input_has_the_gradient_zero() -> None:
    result = gradients(lambda x, y: ops.sum(x), x=[1.0], y=[[1.0, 2.0]])
    np.testing.assert_array_equal(result["grad.y"], [[0.0, 0.0]])


def test_an_unused_value_adds_nothing() -> None:
    def function(x: Tensor) -> Tensor:
        ops.exp(x)
        return ops.sum(x)

    np.testing.assert_array_equal(gradients(function, x=[1.0, 2.0])["grad.x"], [1.0, 1.0])


def test_an_output_that_does_not_lead_to_the_scalar_adds_nothing() -> None:
    result = gradients(lambda x: {"loss": ops.sum(x), "other": ops.exp(x)}, x=[1.0])
    assert list(result) == ["loss", "other", "grad.x"]
    np.testing.assert_array_equal(result["grad.x"], [1.0])


def test_an_output_that_is_an_input() -> None:
    result = gradients(lambda x, y: {"loss": x, "y": y}, x=2.0, y=[1.0])
    assert result["grad.x"] == 1.0
    np.testing.assert_array_equal(result["grad.y"], [0.0])


def test_a_constant_output() -> None:
    result = gradients(lambda x: ops.constant(3.0, "float64"), x=[1.0, 2.0])
    np.testing.assert_array_equal(result["grad.x"], [0.0, 0.0])


def test_one_value_returned_under_two_names() -> None:
    def function(x: Tensor) -> dict[str, Tensor]:
        loss = ops.sum(x)
        return {"a": loss, "b": loss}

    assert gradients(function, x=[5.0])["grad.x"] == 1.0


def test_only_what_is_asked_for_is_derived() -> None:
    def function(x: Tensor, W: Tensor) -> Tensor:
        return ops.sum(ops.tanh(x @ W))

    types = {"x": Type("float64", (Batch(), 2)), "W": Type("float64", (2, 2))}
    derived = derive(ops.trace(function, types), ["W"])
    assert derived.output_names == ("result", "grad.W")
    assert not [value.name for value in derived.values() if value.name.startswith("dx")]


def test_another_output_can_be_derived() -> None:
    program = ops.trace(lambda x: {"a": ops.sum(x), "b": ops.sum(x * x)}, {"x": VECTOR})
    result = Reference().compile(derive(program, ["x"], of="b"))({"x": np.array([1.0, 2.0, 3.0])})
    np.testing.assert_array_equal(result["grad.x"], [2.0, 4.0, 6.0])


def test_stop_gradient_stops() -> None:
    result = gradients(lambda x: ops.sum(ops.stop_gradient(x * x) * x), x=[2.0, 3.0])
    np.testing.assert_array_equal(result["grad.x"], [4.0, 9.0])
    np.testing.assert_array_equal(gradients(lambda x: ops.sum(ops.stop_gradient(x)), x=[2.0])["grad.x"], [0.0])


REFUSED: dict[str, tuple[Callable[[Tensor, Tensor], Any], dict[str, Any], str]] = {
    "an integer input": (lambda x, k: ops.sum(x), {"wrt": ["x", "k"]}, r"k is int64\[\]: only a float input"),
    "an unknown input": (lambda x, k: ops.sum(x), {"wrt": ["z"]}, "no input 'z'; its inputs are x, k"),
    "an unknown output": (lambda x, k: ops.sum(x), {"wrt": ["x"], "of": "cost"}, "no output 'cost'"),
    "a vector": (lambda x, k: x, {"wrt": ["x"]}, r"float scalar .* result is float64\[3\]: sum or average"),
    "an integer": (lambda x, k: k, {"wrt": ["x"]}, "only a float scalar has a gradient"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_gradient_is_refused(name: str) -> None:
    function, arguments, message = REFUSED[name]
    program = ops.trace(function, {"x": VECTOR, "k": Type("int64")})
    with pytest.raises(ProgramError, match=message):
        derive(program, **arguments)


# -- higher orders


def nth(function: Callable[[Tensor], Tensor], order: int, x: float) -> float:
    """The derivative of an order of a function of one number."""
    program = ops.trace(function, {"x": SCALAR})
    name = "result"
    for _ in range(order):
        program = derive(program, ["x"], of=name)
        verify(program, rule_of)
        name = program.output_names[-1]
    return float(Reference().compile(program)({"x": np.array(x)})[name])


@given(st.integers(0, 6), st.floats(-2, 2))
def test_every_derivative_of_a_polynomial(order: int, x: float) -> None:
    polynomial = np.polynomial.Polynomial([1, -2, 0, 3, 0, 1])
    received = nth(lambda t: t * t * t * t * t + 3.0 * t * t * t - 2.0 * t + 1.0, order, x)
    assert received == pytest.approx(polynomial.deriv(order)(x) if order else polynomial(x), abs=1e-9, rel=1e-12)


CHAINS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[float, int], float]]] = {
    "x ** 5": (lambda x: x**5.0, lambda x, k: scipy.special.poch(6 - k, k) * x ** (5 - k)),
    "exp": (ops.exp, lambda x, k: np.exp(x)),
    "sin": (ops.sin, lambda x, k: np.sin(x + k * np.pi / 2)),
    "cos": (ops.cos, lambda x, k: np.cos(x + k * np.pi / 2)),
    "log": (ops.log, lambda x, k: (-1) ** (k - 1) * scipy.special.factorial(k - 1) / x**k),
    "1 / x": (lambda x: 1.0 / x, lambda x, k: (-1) ** k * scipy.special.factorial(k) / x ** (k + 1)),
    "sqrt": (ops.sqrt, lambda x, k: float(np.prod([0.5 - i for i in range(k)])) * x ** (0.5 - k)),
    "2 ** x": (lambda x: 2.0**x, lambda x, k: np.log(2) ** k * 2**x),
    "expm1": (ops.expm1, lambda x, k: np.exp(x)),
}


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("name", CHAINS)
def test_derivatives_of_derivatives(name: str, order: int) -> None:
    function, expected = CHAINS[name]
    assert nth(function, order, 0.7) == pytest.approx(expected(0.7, order), rel=1e-11)


def test_the_third_derivative_of_tanh() -> None:
    t = np.tanh(0.3)
    assert nth(ops.tanh, 3, 0.3) == pytest.approx((1 - t**2) * (6 * t**2 - 2), rel=1e-13)


def test_no_output_is_lost_by_deriving_twice() -> None:
    first = derive(ops.trace(lambda x: x * x * x, {"x": SCALAR}), ["x"])
    second = derive(first, ["x"], of="grad.x")
    assert second.output_names == ("result", "grad.x", "grad.grad.x")
    values = Reference().compile(second)({"x": np.array(2.0)})
    assert [float(value) for value in values.values()] == [8.0, 12.0, 12.0]


def test_the_hessian_of_logsumexp() -> None:
    x = np.array([0.5, -1.0, 2.0])
    p = scipy.special.softmax(x)
    rows = []
    for i in range(3):
        first = derive(ops.trace(lambda t: ops.logsumexp(t), {"t": VECTOR}), ["t"])
        with ops.tracing("row") as builder:
            t = ops.placeholder("t", VECTOR)
            replayed = {first.inputs[0]: t}
            replay(first, replayed)
            row = replayed[first.output("grad.t")][i]
            program = builder.finish([("entry", row.value)])
        rows.append(Reference().compile(derive(program, ["t"]))({"t": x})["grad.t"])
    np.testing.assert_allclose(rows, np.diag(p) - np.outer(p, p), atol=1e-15)


# -- names


def layer(name: str, x: Tensor, W: Tensor, b: Tensor) -> Tensor:
    with ops.current_builder().at(layer=name):
        z = ops.label(ops.matmul(x, W) + b, "z")
        return ops.label(ops.tanh(z), "a")


def network(layers: tuple[str, ...]) -> Program:
    with ops.tracing("network") as builder:
        a = ops.placeholder("x", Type("float64", (Batch(), 2)))
        for name in layers:
            W = ops.placeholder(f"{name}.W", Type("float64", (2, 2)), Note(name, "W"))
            b = ops.placeholder(f"{name}.b", Type("float64", (2,)), Note(name, "b"))
            a = layer(name, a, W, b)
        loss = ops.label(ops.mean(ops.square(a)), "loss")
        return builder.finish([("loss", loss.value)])


def test_cotangents_have_the_textbook_letters() -> None:
    derived = derive(network(("dense1", "dense2")), ["dense1.W", "dense1.b", "dense2.W", "dense2.b"])
    notes = {value.name: value.note for value in derived.values()}
    for name in ("dense1", "dense2"):
        assert notes[f"{name}.delta"] == Note(name, "delta")
        assert notes[f"{name}.dW"] == Note(name, "dW")
        assert derived.output(f"grad.{name}.W").name == f"{name}.dW"
        assert derived.output(f"grad.{name}.b").name == f"{name}.db"
        assert notes[f"{name}.z"] == Note(name, "z")
    assert "dense1.da" in notes


def test_a_layer_used_twice_has_two_deltas() -> None:
    def shared(x: Tensor, W: Tensor, b: Tensor) -> Tensor:
        return ops.mean(layer("cell", layer("cell", x, W, b), W, b))

    types = {"x": Type("float64", (Batch(), 2)), "W": Type("float64", (2, 2)), "b": Type("float64", (2,))}
    names = [value.name for value in derive(ops.trace(shared, types), ["W"]).values()]
    assert "cell.delta" in names
    assert "cell.delta_2" in names
    assert not [name for name in names if "dz" in name]


def test_the_names_of_the_forward_values_stay() -> None:
    program = network(("dense1",))
    derived = derive(program, ["dense1.W"])
    forward = [value.name for value in program.values()]
    assert [value.name for value in derived.values()][: len(forward)] == forward
