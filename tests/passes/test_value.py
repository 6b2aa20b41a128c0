"""Each pass on value: the numbers stay, to the bit where the pass changes no arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearprop import ops
from clearprop.backends.reference import Reference
from clearprop.errors import ProgramError
from clearprop.grad import derive
from clearprop.ir import Batch, Node, Program, Type, Value, is_float, to_text, verify
from clearprop.ops import Tensor, rule_of
from clearprop.passes import PASSES, dedupe, drop_dead, optimize, simplify
from clearprop.passes.fold_constants import fold_constants
from clearprop.testing import draw_inputs, random_program

SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, -1e-310, 1.0, -1.0, 1e308, -3.5])


def run(program: Program, inputs: dict[str, Any]) -> dict[str, Any]:
    return Reference().compile(program)(inputs)


def same_bits(first: dict[str, Any], second: dict[str, Any]) -> bool:
    def form(array: Any) -> Any:
        return array.dtype, array.shape, np.where(np.isnan(array), np.nan, array).tobytes()

    return {name: form(a) for name, a in first.items()} == {name: form(a) for name, a in second.items()}


def neutral(x: Tensor) -> dict[str, Tensor]:
    return {
        "times one": x * 1.0,
        "one times": 1.0 * x,
        "over one": x / 1.0,
        "minus zero": x - 0.0,
        "minus negative zero": x - -0.0,
        "plus zero": x + 0.0,
        "plus negative zero": x + -0.0,
        "times zero": x * 0.0,
        "zero minus": 0.0 - x,
        "power one": x**1.0,
        "power zero": x**0.0,
        "double negative": ops.negative(ops.negative(x)),
        "minus itself": x - x,
        "equals itself": ops.astype(x == x, "float64"),
        "choice": ops.where(x == x, x, x),
        "over itself": x / x,
        "bounded": ops.maximum(ops.minimum(x, np.inf), -np.inf),
    }


@pytest.mark.parametrize(
    "step", [*(step.run for step in PASSES), optimize], ids=[*(s.name for s in PASSES), "optimize"]
)
def test_special_values_come_through(step: Any) -> None:
    program = ops.trace(
        lambda x: {name.replace(" ", "_"): tensor for name, tensor in neutral(x).items()},
        {"x": Type("float64", (Batch(),))},
    )
    assert same_bits(run(step(program), {"x": SPECIAL}), run(program, {"x": SPECIAL}))


def close(first: dict[str, Any], second: dict[str, Any], tolerance: float) -> None:
    assert list(first) == list(second)
    for name, expected in second.items():
        assert first[name].dtype == expected.dtype
        finite = np.abs(expected[np.isfinite(expected)])
        scale = float(finite.max()) if finite.size else 0.0
        np.testing.assert_allclose(first[name], expected, rtol=tolerance, atol=tolerance * scale, err_msg=name)


def after_each_pass(name: str, program: Program) -> None:
    verify(program, rule_of)


seeds, sizes = st.integers(0, 100_000), st.integers(1, 10)


@given(seeds, sizes, st.booleans(), st.sampled_from(["float32", "float64"]))
def test_optimize_keeps_the_numbers_of_random_programs(seed: int, steps: int, derived: bool, dtype: str) -> None:
    """To rounding: without a transpose or a broadcast NumPy adds and vectorises in another order."""
    program = random_program(seed, steps, dtype)
    program = derive(program, ["x", "W", "b"]) if derived else program
    optimized = optimize(program, after_each_pass)
    verify(optimized, rule_of)
    assert optimized.input_names == program.input_names
    assert optimized.output_names == program.output_names
    assert len(optimized.nodes) <= len(program.nodes)
    inputs = draw_inputs(program, np.random.default_rng(seed), 3)
    tolerance = 1e-11 if dtype == "float64" else 5e-3
    close(run(optimized, inputs), run(program, inputs), tolerance)


@given(seeds, sizes)
def test_optimize_of_the_optimized_changes_nothing(seed: int, steps: int) -> None:
    program = random_program(seed, steps)
    for candidate in (program, derive(program, ["x", "W"])):
        once = optimize(candidate)
        assert to_text(optimize(once)) == to_text(once)


@given(seeds, sizes)
def test_dedupe_and_drop_dead_keep_every_bit(seed: int, steps: int) -> None:
    program = derive(random_program(seed, steps), ["x", "W", "b"])
    inputs = draw_inputs(program, np.random.default_rng(seed), 3)
    expected = run(program, inputs)
    for step in (dedupe, drop_dead):
        after = step(program)
        verify(after, rule_of)
        assert same_bits(run(after, inputs), expected)


@given(seeds, sizes)
def test_what_the_passes_ensure(seed: int, steps: int) -> None:
    program = optimize(derive(random_program(seed, steps), ["x", "W"]))
    keys = [(node.op, node.inputs, repr(sorted(node.attrs.items()))) for node in program.nodes]
    assert len(set(keys)) == len(keys)
    assert "stop_gradient" not in {node.op for node in program.nodes}
    used = {value for node in program.nodes for value in node.inputs} | {value for _, value in program.outputs}
    assert all(node.outputs[0] in used for node in program.nodes)
    assert to_text(simplify(program)) == to_text(program) == to_text(fold_constants(program))


def test_numbers_worked_out_are_those_of_the_backend() -> None:
    def function(x: Tensor) -> dict[str, Tensor]:
        k = ops.broadcast_to(ops.constant(0.37, x.dtype), x.shape)
        functions = (ops.exp, ops.log, ops.tanh, ops.sigmoid, ops.erf, ops.sin, ops.sqrt, ops.arctan, ops.expm1)
        return {function.__name__: function(k) + x * 0.0 for function in functions}

    for dtype in ("float32", "float64"):
        program = ops.trace(function, {"x": Type(dtype, (37,))})
        optimized = optimize(program)
        assert not {"exp", "log", "tanh", "erf"} & {node.op for node in optimized.nodes}
        inputs = {"x": np.ones(37, dtype)}
        for name, array in run(program, inputs).items():
            np.testing.assert_array_max_ulp(run(optimized, inputs)[name], array, 2)


def test_a_derived_classifier_becomes_smaller() -> None:
    def loss(x: Tensor, W: Tensor, k: Tensor) -> Tensor:
        return -ops.mean(ops.sum(ops.log_softmax(x @ W) * ops.one_hot(k, 3, "float64"), axis=-1))

    types = {"x": Type("float64", (Batch(), 4)), "W": Type("float64", (4, 3)), "k": Type("int64", (Batch(),))}
    derived = derive(ops.trace(loss, types), ["W"])
    optimized = optimize(derived)
    assert len(optimized.nodes) < 0.8 * len(derived.nodes)
    rng = np.random.default_rng(0)
    inputs = {"x": rng.normal(size=(5, 4)), "W": rng.normal(size=(4, 3)), "k": rng.integers(0, 3, 5)}
    close(run(optimized, inputs), run(derived, inputs), 1e-14)
    logits = inputs["x"] @ inputs["W"]
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    expected = inputs["x"].T @ (p - np.eye(3)[inputs["k"]]) / 5
    np.testing.assert_allclose(run(optimized, inputs)["grad.W"], expected, rtol=1e-12, atol=1e-15)
    assert all(is_float(value.type) for name, value in optimized.outputs if name != "k")


def test_optimize_verifies_what_it_is_given() -> None:
    x, y = Value("x", Type("float32", (2,))), Value("y", Type("float32", (3,)))
    wrong = Program("p", (x,), (Node("exp", (x,), {}, (y,)),), (("r", y),))
    with pytest.raises(ProgramError, match="is declared"):
        optimize(wrong)


def test_a_program_with_nothing_to_change_comes_back_itself() -> None:
    program = optimize(derive(random_program(3, 8), ["x", "W"]))
    assert all(step.run(program) is program for step in PASSES)


def test_optimize_verifies_what_it_returns_and_shows_each_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    from clearprop.passes import pipeline  # noqa: PLC0415

    def forget(program: Program) -> Program:
        return Program(program.name, program.inputs, program.nodes[1:], program.outputs)

    monkeypatch.setattr(pipeline, "PASSES", (pipeline.Pass("forget", forget, "nothing"),))
    program = ops.trace(lambda x: ops.exp(ops.sin(x)), {"x": Type("float32", (2,))})
    with pytest.raises(ProgramError, match="exp uses sin, which is not assigned"):
        optimize(program, after_each_pass)
    with pytest.raises(ProgramError, match="which is not assigned"):
        optimize(program)
