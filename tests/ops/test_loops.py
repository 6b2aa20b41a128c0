"""Loops over time: values against loops of NumPy, derivatives against differences and against the network unrolled."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearprop import ops
from clearprop.backends.reference import Reference
from clearprop.backends.source import print_source
from clearprop.errors import ProgramError, ShapeError
from clearprop.grad import derive, replay
from clearprop.ir import Batch, Program, Type, Value, parse, resolve_shape, to_text, verify
from clearprop.ops import PRIMITIVES, Tensor, rule_of
from clearprop.ops.through_time import Loop
from clearprop.passes import optimize, unroll
from clearprop.testing import check_gradient

N = Batch()
T = 5
TYPES = {
    "x": Type("float64", (T, N, 2)),
    "h0": Type("float64", (N, 3)),
    "W": Type("float64", (2, 3)),
    "U": Type("float64", (3, 3)),
    "b": Type("float64", (3,)),
}


def network(*given: Tensor, **settings: Any) -> Tensor:
    """A recurrent network whose step uses its weights, a scalar and the input in every way there is."""
    x, h0, W, U, b = given

    def step(h: Tensor, c: Tensor, x_t: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        new = ops.tanh(x_t @ W + h @ U + b)
        c = ops.sigmoid(new * b) * c + 0.5 * ops.mean(x_t, axis=1, keepdims=True)
        return [new, c], [new * c, ops.sum(x_t * 0.1)]

    (h, c), (a, s) = ops.scan(step, [h0, ops.sin(h0)], [x], **settings)
    return ops.sum(ops.square(h)) + ops.sum(a * c) + ops.sum(ops.cos(s))


def by_loops(x: Any, h0: Any, W: Any, U: Any, b: Any, reverse: bool) -> float:
    h, c, total = h0, np.sin(h0), 0.0
    products = [None] * T
    for t in range(T)[:: -1 if reverse else 1]:
        h = np.tanh(x[t] @ W + h @ U + b)
        c = c / (1 + np.exp(-h * b)) + 0.5 * x[t].mean(axis=1, keepdims=True)
        products[t] = h * c
        total += np.cos(0.1 * x[t].sum())
    return float((h**2).sum() + (np.array(products) * c).sum() + total)


def arrays(n: int = 2, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {name: rng.uniform(-1, 1, resolve_shape(type_.shape, n)) for name, type_ in TYPES.items()}


def traced(**settings: Any) -> Program:
    return ops.trace(lambda *given: network(*given, **settings), TYPES, "net")


WAYS = [
    {},
    {"reverse": True},
    {"checkpoint": 1},
    {"checkpoint": 2},
    {"checkpoint": 3, "reverse": True},
    {"checkpoint": 5},
    {"length": T},
]


@pytest.mark.parametrize("settings", WAYS, ids=str)
def test_a_loop_computes_what_numpy_does(settings: dict[str, Any]) -> None:
    program, inputs = traced(**settings), arrays(3)
    verify(program, rule_of)
    expected = by_loops(**inputs, reverse=settings.get("reverse", False))
    for each in (program, optimize(program), unroll(program), optimize(unroll(program))):
        verify(each, rule_of)
        np.testing.assert_allclose(Reference().compile(each)(inputs)["result"], expected, rtol=1e-14)


@pytest.mark.parametrize("settings", WAYS, ids=str)
def test_the_derivative_is_right_to_second_order(settings: dict[str, Any]) -> None:
    report = check_gradient(traced(**settings), arrays(), order=2, tolerance=1e-8)
    assert len(report.errors) == 2 * len(TYPES)


@pytest.mark.parametrize("settings", WAYS, ids=str)
def test_the_derivative_is_that_of_the_network_unrolled(settings: dict[str, Any]) -> None:
    program, inputs = traced(**settings), arrays(4)
    derived = derive(program, list(TYPES))
    expected = Reference().compile(derive(unroll(program), list(TYPES)))(inputs)
    for each in (derived, optimize(derived), unroll(derived), optimize(unroll(derived))):
        verify(each, rule_of)
        received = Reference().compile(each)(inputs)
        for name, array in expected.items():
            np.testing.assert_allclose(received[name], array, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("settings", WAYS, ids=str)
def test_a_loop_prints_as_text_and_as_python(settings: dict[str, Any]) -> None:
    derived = optimize(derive(traced(**settings), list(TYPES)))
    assert to_text(parse(to_text(derived))) == to_text(derived)
    verify(parse(to_text(derived)), rule_of)
    source = print_source(derived)
    assert "for t in " in source
    space: dict[str, Any] = {}
    exec(source, space)
    inputs = arrays(3)
    for name, array in Reference().compile(derived)(inputs).items():
        np.testing.assert_allclose(space["training_step"](**inputs)[name], array, rtol=1e-13, atol=1e-13)


# -- what the derivative costs


def loops(program: Program) -> list[Any]:
    return [node for node in program.nodes if node.op == "scan"]


def plain_rnn(*given: Tensor, **settings: Any) -> Tensor:
    x, h0, _, U, b = given
    z = ops.concat([x, x[..., :1]], axis=2) + b

    def step(h: Tensor, z_t: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        h = ops.tanh(z_t + h @ U)
        return [h], [h]

    _, (hs,) = ops.scan(step, [h0], [z], **settings)
    return ops.sum(ops.square(hs))


def test_the_gradient_of_a_recurrent_weight_is_one_product_after_the_loop() -> None:
    derived = optimize(derive(ops.trace(plain_rnn, TYPES), ["U", "b"]))
    forward, back = loops(derived)
    assert [value.type.shape for value in forward.outputs] == [(N, 3), (T, N, 3), (T, N, 3)]  # h, after and before
    assert [value.type.shape for value in back.outputs] == [(N, 3), (T, N, 3)]  # of the carry, of z
    products = [node for node in derived.nodes if node.op == "matmul"]
    assert [value.type.shape for value in products[-1].inputs] == [(3, Batch(T)), (Batch(T), 3)]
    assert sum(node.op == "matmul" for node in back.attrs["body"].nodes) == 1
    assert not any(node.op == "sum" for node in back.attrs["body"].nodes)


def test_what_is_the_same_at_every_step_is_done_before_the_loop() -> None:
    derived = optimize(derive(ops.trace(plain_rnn, TYPES), ["U", "b"]))
    _, back = loops(derived)
    assert not any(node.op == "permute_dims" for node in back.attrs["body"].nodes)
    (turned,) = (value for value in back.inputs if value.type.shape == (3, 3))
    assert any(node.op == "permute_dims" and turned in node.outputs for node in derived.nodes)


def test_with_checkpoints_only_every_so_many_states_are_kept() -> None:
    def kept(**settings: Any) -> int:
        program = ops.trace(lambda *given: plain_rnn(*given, **settings), TYPES)
        forward = loops(optimize(derive(program, ["U"])))[0]
        return sum(int(np.prod([d for d in v.type.shape if isinstance(d, int)])) for v in forward.outputs)

    whole, some = kept(), kept(checkpoint=4)
    assert some < whole


def test_the_derivative_of_what_no_input_reaches_is_zero() -> None:
    def function(x: Tensor, h0: Tensor, *rest: Tensor) -> Tensor:
        (h,), (count,) = ops.scan(lambda h, x_t: ([h * 0.5], [x_t * 2.0]), [h0], [x])
        return ops.sum(h) + 0.0 * ops.sum(ops.stop_gradient(count))

    gradients = Reference().compile(derive(ops.trace(function, TYPES), ["x", "h0", "W"]))(arrays())
    assert not gradients["grad.x"].any()
    assert not gradients["grad.W"].any()
    np.testing.assert_allclose(gradients["grad.h0"], 0.5**T)


def test_integers_are_carried_without_a_derivative() -> None:
    def function(x: Tensor, h0: Tensor, *rest: Tensor) -> Tensor:
        def step(h: Tensor, t: Tensor) -> tuple[list[Tensor], list[Tensor]]:
            return [h * ops.astype(t, "float64"), t + 1], [t]

        (h, _), (times,) = ops.scan(step, [h0, ops.constant(1, "int64")], length=4)
        return ops.sum(h) + ops.sum(ops.astype(times, "float64"))

    program = ops.trace(function, TYPES)
    gradients = Reference().compile(derive(program, ["h0"]))(arrays())
    np.testing.assert_array_equal(gradients["grad.h0"], np.full((2, 3), 24.0))


def test_a_loop_within_a_loop_is_differentiated() -> None:
    def function(x: Tensor, h0: Tensor, W: Tensor, U: Tensor, b: Tensor) -> Tensor:
        def outer(h: Tensor, x_t: Tensor) -> tuple[list[Tensor], list[Tensor]]:
            def inner(h: Tensor) -> tuple[list[Tensor], list[Tensor]]:
                h = ops.tanh(h @ U + x_t @ W)
                return [h], [h * b]

            (h,), (products,) = ops.scan(inner, [h], length=2)
            return [h], [ops.sum(products, axis=0)]

        _, (a,) = ops.scan(outer, [h0], [x])
        return ops.sum(ops.square(a))

    check_gradient(ops.trace(function, TYPES), arrays(), order=2, tolerance=1e-8)


# -- every loop is the network unrolled


@st.composite
def random_loops(draw: Any) -> Program:
    """A loop over random smooth steps, with random results, directions and checkpoints."""
    seed = draw(st.integers(0, 100_000))
    reverse, checkpoint = draw(st.booleans()), draw(st.integers(0, 5))

    def function(*given: Tensor) -> Tensor:
        x, h0, W, U, b = given

        def step(h: Tensor, c: Tensor, x_t: Tensor) -> tuple[list[Tensor], list[Tensor]]:
            rng = np.random.default_rng(seed)  # the step is traced again for the rest of the segments
            pool = [h, c, ops.tanh(x_t @ W), ops.tanh(h @ U), h + b]
            for _ in range(int(rng.integers(1, 7))):
                first, second = (pool[int(rng.integers(len(pool)))] for _ in range(2))
                choices = [
                    lambda p, q: ops.tanh(p) * q,
                    lambda p, q: ops.sin(p + q),
                    lambda p, q: ops.tanh(p @ U) - q,
                    lambda p, q: ops.where(p < 0.3, q, ops.tanh(p)),
                    lambda p, q: ops.softmax(p) + 0.5 * q,
                    lambda p, q: ops.broadcast_to(ops.mean(p, axis=0, keepdims=True), q.shape) * q,
                    lambda p, q: q @ ops.matmul(ops.permute_dims(q), p),
                ]
                made = choices[int(rng.integers(len(choices)))](first, second)
                pool.append(ops.tanh(made))
            picked = [pool[int(rng.integers(len(pool)))] for _ in range(4)]
            return picked[:2], picked[2 : 2 + int(rng.integers(3))]

        (h, c), results = ops.scan(step, [h0, h0 * 0.5], [x], reverse=reverse, checkpoint=checkpoint)
        return ops.sum(h * c) + sum((ops.sum(ops.square(a)) for a in results), start=ops.sum(c))

    return ops.trace(function, TYPES, "random")


@settings(max_examples=40, deadline=None)
@given(random_loops(), st.integers(1, 3))
def test_a_random_loop_is_the_network_unrolled(program: Program, n: int) -> None:
    inputs = arrays(n)
    derived = derive(program, list(TYPES))
    verify(derived, rule_of)
    expected = Reference().compile(derive(unroll(program), list(TYPES)))(inputs)
    for each in (derived, optimize(derived)):
        for name, array in Reference().compile(each)(inputs).items():
            np.testing.assert_allclose(array, expected[name], rtol=1e-11, atol=1e-11)


@settings(max_examples=10, deadline=None)
@given(random_loops())
def test_the_second_derivative_of_a_random_loop_is_that_of_the_network_unrolled(program: Program) -> None:
    def twice(first: Program) -> Program:
        derived = derive(first, ["U", "h0"])

        def function(*given: Tensor) -> Tensor:
            tensors = dict(zip(derived.inputs, given, strict=True))
            replay(derived, tensors)
            gradients = (tensors[derived.output(f"grad.{name}")] for name in ("U", "h0"))
            return sum((ops.sum(ops.sin(g)) for g in gradients), start=ops.constant(0.0, "float64"))

        return derive(ops.trace(function, TYPES), list(TYPES))

    inputs = arrays()
    expected = Reference().compile(twice(unroll(program)))(inputs)
    for name, array in Reference().compile(optimize(twice(program)))(inputs).items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-9, atol=1e-9)


# -- a wrong derivative is found


@pytest.mark.parametrize("op", ["tanh", "matmul", "multiply", "sigmoid"])
def test_a_wrong_derivative_inside_of_a_body_is_found(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    vjp = PRIMITIVES[op].vjp
    assert vjp is not None

    def wrong(*given: Any, **attrs: Any) -> tuple[Any, ...]:
        return tuple(part * 1.00001 for part in vjp(*given, **attrs))

    monkeypatch.setitem(PRIMITIVES, op, replace(PRIMITIVES[op], vjp=wrong))
    with pytest.raises(AssertionError, match=r"order 1 .* is wrong"):
        check_gradient(traced(), arrays())


def _no_carry(loop: Loop, active: Any) -> list[Value]:
    return [value for value, flag in zip(loop.body.inputs, active, strict=True) if flag]


def test_a_carry_that_is_taken_for_constant_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Loop, "moving", _no_carry)
    with pytest.raises((AssertionError, KeyError)):
        check_gradient(traced(), arrays(), ["W"])


# -- what is refused


def test_lengths_that_differ_are_refused() -> None:
    def function(x: Tensor, h0: Tensor, *rest: Tensor) -> Tensor:
        return ops.scan(lambda h, a, b: ([h], []), [h0], [x, x[1:]])[0][0]

    with pytest.raises(ShapeError, match="one fixed length T of at least 1"):
        ops.trace(function, TYPES)


@pytest.mark.parametrize("length", [None, 0])
def test_a_loop_without_a_length_is_refused(length: int | None) -> None:
    with pytest.raises(ShapeError, match="one fixed length T of at least 1"):
        ops.trace(lambda x, h0, *rest: ops.scan(lambda h: ([h], []), [h0], length=length)[0][0], TYPES)


def test_a_carry_that_changes_its_type_is_refused() -> None:
    with pytest.raises(ShapeError, match="must give back its carries"):
        ops.trace(lambda x, h0, *rest: ops.scan(lambda h: ([h[:, :2]], []), [h0], length=2)[0][0], TYPES)


def test_a_forgotten_carry_is_refused() -> None:
    with pytest.raises(ShapeError, match="returns its 1 carries, received 0"):
        ops.trace(lambda x, h0, *rest: ops.scan(lambda h: ([], [h]), [h0], length=2)[0][0], TYPES)


def test_a_body_with_a_wrong_type_does_not_verify() -> None:
    text = to_text(traced()).replace("tanh: float64[n, 3] = tanh", "tanh: float64[n, 2] = tanh")
    with pytest.raises(ProgramError, match="tanh gives"):
        verify(parse(text), rule_of)


def test_an_index_out_of_range_inside_of_a_body_is_an_error() -> None:
    def function(x: Tensor, h0: Tensor, *rest: Tensor) -> Tensor:
        def step(h: Tensor, t: Tensor) -> tuple[list[Tensor], list[Tensor]]:
            return [h, t + 1], [ops.take(rest[0], t)]

        return ops.scan(step, [h0, ops.constant(0, "int64")], length=3)[1][0]

    with pytest.raises(IndexError, match="an index of scan is out of range"):
        Reference().compile(ops.trace(function, TYPES))(arrays())
