"""Quotients of float32 in vectors of 16: by multiplications, which must round as NumPy's division but for rare ones."""

from __future__ import annotations

import numpy as np
import pytest
from native_steps import TARGETS_HERE

from clearprop import ops
from clearprop.backends.native import Native
from clearprop.backends.native.module import write_module
from clearprop.backends.native.targets import TARGETS
from clearprop.backends.protocol import Array
from clearprop.ir import Batch, Program, Type

N = Batch()
PAIR = {name: Type("float32", (N,)) for name in "ab"}
RNG = np.random.default_rng(5)
EDGES = np.array(
    [0, 1, 3, 2.0**-149, 2.0**-127, 2.0**-126, 1.2e-38, 2.0**125, 2.0**126, 1.7 * 2.0**126, 3e38, np.inf], np.float32
)


def divided(a: Array, b: Array, target: str = "") -> Array:
    (result,) = Native(target).compile(ops.trace(ops.divide, PAIR))({"a": a, "b": b}).values()
    return result


def off(a: Array, b: Array, got: Array) -> Array:
    """How many units in the last place a quotient is off."""
    wide = np.longdouble
    true = a.astype(wide) / b.astype(wide)
    return np.abs(got.astype(wide) - true) / np.spacing(np.abs(true).astype(np.float32)).astype(wide)


def of_all_sizes(count: int) -> Array:
    """Random bits as floats, those that are finite."""
    found = RNG.integers(0, 1 << 32, count, dtype=np.uint64).astype(np.uint32).view(np.float32)
    return found[np.isfinite(found)]


@pytest.mark.parametrize("target", TARGETS_HERE)
def test_random_quotients_are_those_of_numpy(target: str) -> None:
    a, b = RNG.normal(size=(2, (1 << 17) + 5)).astype(np.float32)
    np.testing.assert_array_equal(divided(a, b, target), a / b)


@pytest.mark.parametrize("target", TARGETS_HERE)
def test_next_to_the_middle_between_two_floats(target: str) -> None:
    """By modular inverses: (2 q + 1) b is 1 away from a multiple a of 2^24, so that a / b is nearly q + 1/2 units."""
    b = RNG.integers(1 << 22, 1 << 23, 20_000) * 2 + 1
    inverse = b.copy()
    for _ in range(5):
        inverse = inverse * (2 - b * inverse) % (1 << 24)
    for sign in (1, -1):
        middle = inverse * sign % (1 << 24) + (1 << 24)
        product = middle * b - sign
        assert not (product % (1 << 24)).any()
        a = product >> 24
        a, below = (values[a < 1 << 24].astype(np.float32) for values in (a, b))
        assert a.size > 1000
        assert off(a, below, divided(a, below, target)).max() < 0.5 + 2.0**-20


@pytest.mark.parametrize("target", TARGETS_HERE)
def test_every_pair_of_edges(target: str) -> None:
    """One odd pair among fifteen plain ones, and sixteen of a kind; signs of zeros, and what is NaN."""
    edges = np.concatenate([EDGES, -EDGES, [np.float32(np.nan)]])
    a, b = (side.ravel() for side in np.meshgrid(edges, edges))
    with np.errstate(all="ignore"):
        for times in (1, 16):
            above, below = np.full((a.size, 16), np.float32(0.7)), np.full((a.size, 16), np.float32(1.3))
            above[:, :times], below[:, :times] = a[:, None], b[:, None]
            got, expected = divided(above.ravel(), below.ravel(), target), (above / below).ravel()
            np.testing.assert_array_max_ulp(got[np.isfinite(expected)], expected[np.isfinite(expected)], 1)
            odd = ~np.isfinite(expected)
            np.testing.assert_array_equal(got[odd], expected[odd])
            known = ~np.isnan(expected)
            np.testing.assert_array_equal(np.signbit(got[known]), np.signbit(expected[known]))


def test_vectors_next_to_each_other_have_one_test() -> None:
    """In loops whose length is not known when they are written; what is left over is divided by the instruction."""

    def tests(size: int) -> int:
        pair = {name: Type("float32", (size,)) for name in "ab"}
        return write_module(ops.trace(ops.divide, pair), TARGETS["avx512"]).text.count("call <16 x i1> @llvm.x86")

    assert [tests(size) for size in (64, 1000, 100_000)] == [1, 1, 1]


def test_an_odd_quotient_among_others() -> None:
    a, whole = RNG.uniform(1, 2, (2, 64 * 3)).astype(np.float32)
    for odd in range(64, 128):
        b = whole.copy()
        b[odd] = 0
        with np.errstate(divide="ignore"):
            np.testing.assert_array_equal(divided(a, b), a / b)


@pytest.mark.parametrize("target", TARGETS_HERE)
def test_numbers_of_every_size(target: str) -> None:
    a, b = of_all_sizes(200_000), of_all_sizes(200_000)
    count = min(a.size, b.size)
    a, b = a[:count], b[:count]
    with np.errstate(all="ignore"):
        expected = a / b
    got = divided(a, b, target)
    np.testing.assert_array_equal(np.isfinite(got), np.isfinite(expected))
    finite = np.isfinite(expected)
    np.testing.assert_array_max_ulp(got[finite], expected[finite], 1)


def divided_in_a_step(a: Array, b: Array) -> Array:
    """Divide where denormal numbers count as zero."""
    with ops.tracing("shrinking") as builder:
        x = ops.placeholder("x", Type("float32", (N,)))
        state, below = (ops.placeholder(name, Type("float32", a.shape)) for name in ("state", "below"))
        outputs = {"objective": ops.sum(x), "cost": ops.sum(x), "health": ops.sum(x), "state": state / below}
        step = builder.finish((name, tensor.value) for name, tensor in outputs.items())
    stepper = Native().compile_step(step).start({"x": np.zeros(1, np.float32), "state": a, "below": b}, 1)
    assert stepper.run(0, 1, {}, 0.0).steps == 1
    return stepper.state["state"]


@pytest.mark.parametrize("sign", [1, -1])
def test_divisors_whose_inverse_is_flushed_to_zero(sign: int) -> None:
    """1 / b is denormal, and a / b is not."""
    a, b = np.full(64, 2.0**127, np.float32), np.full(64, sign * 1.5 * 2.0**126, np.float32)
    np.testing.assert_array_equal(divided_in_a_step(a, b), a / b)


def test_small_dividends_in_a_step() -> None:
    """From 2^-101 on as NumPy, and within a unit and a half below, where the remainder is denormal."""
    a, b = RNG.uniform(1, 2, (2, 1 << 15)).astype(np.float32)
    divisor = b * np.float32(2.0**-60)
    for power in (-99, -101):
        above = a * np.float32(2.0**power)
        np.testing.assert_array_equal(divided_in_a_step(above, divisor), above / divisor)
    for power in (-102, -115, -125):
        above = a * np.float32(2.0**power)
        assert off(above, divisor, divided_in_a_step(above, divisor)).max() < 1.5


def test_what_is_compared_is_divided_by_the_instruction() -> None:
    """The derivative of a maximum divides again, perhaps in another kind of loop, and looks for equal numbers."""

    def text(program: Program) -> str:
        return write_module(program, TARGETS["avx512"]).text

    assert "rcp14" in text(ops.trace(ops.divide, PAIR))
    assert "rcp14" not in text(ops.trace(lambda a, b: ops.max(a / b), PAIR))
