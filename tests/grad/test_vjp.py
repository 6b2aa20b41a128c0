"""The derivative of every primitive, to second order, against differences; new primitives are found by themselves."""

from __future__ import annotations

import numpy as np
import pytest

from clearprop import ops
from clearprop.backends.reference import Reference
from clearprop.grad import derive
from clearprop.ir import Type, is_float
from clearprop.ops import PRIMITIVES, Example, Operand
from clearprop.ops.tensor import emit, emit_all
from clearprop.testing import check_vjp, example_attrs, example_program

NO_DERIVATIVE = {
    "equal", "less", "less_equal", "logical_not", "logical_and", "bitwise_right_shift", "random_bits",
}  # fmt: skip
"""The primitives without a vjp: their results are no floats."""

ZERO_DERIVATIVE = {"sign"}
"""The primitives whose derivative is zero wherever there is one."""

CONSTANT = {"constant", "arange"}
"""The primitives without an input."""

DECLARED_CONSTANT = {"stop_gradient"}
"""The primitives whose derivative is not that of their values, on purpose."""

EXAMPLES = [
    (name, index)
    for name, operation in sorted(PRIMITIVES.items())
    if name not in NO_DERIVATIVE | CONSTANT | DECLARED_CONSTANT
    for index in range(len(operation.examples))
]
WITHOUT_FLOATS = {("astype", 1), ("astype", 2)}


@pytest.mark.parametrize(("name", "index"), EXAMPLES)
def test_the_derivative_is_right_to_second_order(name: str, index: int) -> None:
    operation = PRIMITIVES[name]
    example = operation.examples[index]
    report = check_vjp(name, example, seed=index)
    floats = sum(operand.dtype == "float" for operand in example.operands)
    if (name, index) in WITHOUT_FLOATS:
        assert report.errors == {}
        return
    orders = {order for order, _ in report.errors}
    assert orders == {1, 2}
    results = len(example_program(name, example, "float64").outputs)
    assert len(report.errors) == 2 * (floats + results)  # each float operand, and the weights of each result
    assert report.worst < 1e-8


def test_the_primitives_without_a_derivative_are_these() -> None:
    assert {name for name, operation in PRIMITIVES.items() if not operation.differentiable} == NO_DERIVATIVE
    for name in NO_DERIVATIVE:
        (result,) = (value for _, value in example_program(name, PRIMITIVES[name].examples[0], "float32").outputs)
        assert not is_float(result.type)


def test_the_primitives_with_a_zero_derivative_are_these() -> None:
    all_none = set()
    for name, operation in PRIMITIVES.items():
        if operation.vjp is None or name in CONSTANT:  # a derivative by `augment` is no function of the results alone
            continue
        example = operation.examples[0]
        with ops.tracing("vjp"):
            types = [Type("float64" if o.dtype == "float" else o.dtype, o.shape) for o in example.operands]
            inputs = [ops.placeholder(f"x{i}", type_) for i, type_ in enumerate(types)]
            ans = emit(name, *inputs, **example.attrs)
            parts = operation.vjp(ans, ans, *inputs, **example.attrs)
            assert len(parts) == len(inputs)
            for part, x in zip(parts, inputs, strict=True):
                assert part is None or part.type == x.type
            if all(part is None for part in parts):
                all_none.add(name)
    assert all_none == ZERO_DERIVATIVE | DECLARED_CONSTANT


def test_a_derivative_of_float32_stays_float32() -> None:
    for name, index in EXAMPLES:
        example = PRIMITIVES[name].examples[index]
        if (name, index) in WITHOUT_FLOATS or name == "astype":
            continue
        plain = example_program(name, example, "float32")
        attrs = example_attrs(PRIMITIVES[name].examples[index], "float32")
        program = ops.trace(
            lambda *xs, name=name, attrs=attrs: ops.sum(emit_all(name, xs, attrs)[-1]),
            {value.name: value.type for value in plain.inputs},
        )
        wrt = [value.name for value in program.inputs if is_float(value.type)]
        for x in wrt:
            assert derive(program, wrt).output(f"grad.{x}").type == program.input(x).type


def test_a_conversion_hands_the_derivative_through_both_ways() -> None:
    program = ops.trace(
        lambda x: ops.sum(ops.astype(ops.astype(x, "float32") * 3.0, "float64")), {"x": Type("float64", (2,))}
    )
    gradient = Reference().compile(derive(program, ["x"]))({"x": np.array([1.0, 2.0])})["grad.x"]
    assert gradient.dtype == np.float64
    np.testing.assert_array_equal(gradient, [3.0, 3.0])


def test_a_conversion_to_integers_ends_the_derivative() -> None:
    program = ops.trace(
        lambda x: ops.sum(ops.astype(ops.astype(x, "int64"), "float64") * x), {"x": Type("float64", (2,))}
    )
    gradient = Reference().compile(derive(program, ["x"]))({"x": np.array([1.5, 2.5])})["grad.x"]
    np.testing.assert_array_equal(gradient, [1.0, 2.0])


@pytest.mark.parametrize(
    ("first", "second"),
    [((3,), (4, 3)), ((4, 1), (3,)), ((), (2, 3)), ((2, 1, 3), (4, 1)), ((1, 1), (1,)), ((0, 3), (1, 3))],
)
def test_broadcast_inputs_get_the_sum(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    example = Example((Operand(first), Operand(second, 0.5, 2)))
    check_vjp(lambda x, y: x * y + x / y - y, example)
