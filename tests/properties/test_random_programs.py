"""Random programs: they verify, their derivatives are right, and what is drawn is as asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearprop.grad import derive
from clearprop.ir import Batch, Type, to_text, verify
from clearprop.ops import PRIMITIVES, Example, Operand, rule_of
from clearprop.passes import optimize
from clearprop.testing import check_gradient, draw_example, draw_inputs, draw_operand, operand_type, random_program


@settings(max_examples=40)
@given(st.integers(0, 100_000), st.integers(1, 8), st.integers(1, 3))
def test_the_derivative_of_a_random_program_is_right(seed: int, steps: int, n: int) -> None:
    program = random_program(seed, steps, smooth=True)
    inputs = draw_inputs(program, np.random.default_rng(seed), n)
    check_gradient(program, inputs, tolerance=1e-6)
    check_gradient(optimize(program), inputs, tolerance=1e-6)


@settings(max_examples=15)
@given(st.integers(0, 100_000), st.integers(1, 4))
def test_the_second_derivative_of_a_random_program_is_right(seed: int, steps: int) -> None:
    program = random_program(seed, steps, smooth=True)
    inputs = draw_inputs(program, np.random.default_rng(seed), 2)
    check_gradient(program, inputs, order=2, tolerance=1e-6)


@given(st.integers(0, 100_000), st.integers(1, 10), st.sampled_from(["float32", "float64"]))
def test_random_programs_and_their_derivatives_verify(seed: int, steps: int, dtype: str) -> None:
    program = random_program(seed, steps, dtype)
    verify(program, rule_of)
    first = derive(program, ["x", "W", "b"])
    verify(first, rule_of)
    assert to_text(random_program(seed, steps, dtype)) == to_text(program)
    for name in ("x", "W", "b"):
        assert first.output(f"grad.{name}").type == program.input(name).type


def test_random_programs_use_most_primitives() -> None:
    used = {node.op for seed in range(150) for node in random_program(seed).nodes}
    missing = set(PRIMITIVES) - used
    assert missing <= {
        "take", "scatter_add", "random_bits", "arange", "logical_and", "logical_not", "less_equal",
        "bitwise_right_shift", "overlap_add",
    }  # fmt: skip


# -- what is drawn


@given(st.integers(0, 1000), st.integers(0, 20), st.sampled_from(["float32", "float64"]))
def test_an_operand_lies_where_it_should(seed: int, n: int, dtype: str) -> None:
    operand = Operand((Batch(), 2), -1.0, 3.0, avoid=(0.0, 1.0))
    x = draw_operand(operand, np.random.default_rng(seed), n, dtype)
    assert (x.dtype, x.shape) == (np.dtype(dtype), (n, 2))
    assert np.all((x >= -1) & (x <= 3))
    assert np.all(np.abs(x) > 0.099)
    assert np.all(np.abs(x - 1) > 0.099)


@given(st.integers(0, 1000), st.integers(1, 20))
def test_distinct_values_lie_apart_over_all_operands(seed: int, n: int) -> None:
    operands = (Operand((Batch(), 3), -2, 2, distinct=True), Operand((Batch(), 3), -1.9, 2.1, distinct=True))
    drawn = draw_example(Example(operands), np.random.default_rng(seed), n, "float64")
    values = np.sort(np.concatenate([array.ravel() for array in drawn]))
    assert np.diff(values).min() >= 0.25 * 4 / values.size * 0.999


@pytest.mark.parametrize(("dtype", "low", "high"), [("int64", 0, 5), ("uint32", 0, 2**32), ("int32", -3, 3)])
def test_integers_fill_their_range(dtype: str, low: int, high: int) -> None:
    x = draw_operand(Operand((1000,), low, high, dtype), np.random.default_rng(0), 1, "float32")
    assert x.dtype == dtype
    assert low <= x.min() < low + (high - low) * 0.2
    assert high - (high - low) * 0.2 - 1 <= x.max() < high


def test_booleans_are_both() -> None:
    x = draw_operand(Operand((100,), dtype="bool"), np.random.default_rng(0), 1, "float32")
    assert x.dtype == bool
    assert 20 < x.sum() < 80


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no value of .* is far enough"):
        draw_operand(Operand((1,), -0.05, 0.05, avoid=(0.0,)), np.random.default_rng(0), 1, "float64")


def test_the_type_of_an_operand() -> None:
    assert operand_type(Operand((Batch(),)), "float32") == Type("float32", (Batch(),))
    assert operand_type(Operand((), dtype="int64"), "float32") == Type("int64")
