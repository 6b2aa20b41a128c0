"""Denormal numbers count as zero inside of training steps, on every thread, and nowhere else."""

from __future__ import annotations

import time

import numpy as np
import pytest
from native_steps import TARGETS_HERE
from native_teams import TEAMS, backend

from clearprop import ops
from clearprop.backends.protocol import Array
from clearprop.ir import Batch, Program, Type

LARGE = 1 << 18
"""Elements: a nest of so many has several parts."""


def halving(dtype: str, size: int = LARGE) -> Program:
    """A step whose state falls by half, as the mean of a gradient that has become zero."""
    with ops.tracing("halving") as builder:
        x, mean = ops.placeholder("x", Type(dtype, (Batch(),))), ops.placeholder("mean", Type(dtype, (size,)))
        outputs = {"objective": ops.sum(x), "cost": ops.sum(x), "health": ops.sum(mean), "mean": mean * 0.5}
        return builder.finish((name, tensor.value) for name, tensor in outputs.items())


def growing(dtype: str) -> Program:
    """A step whose state grows 2^30 times, which makes a denormal number normal."""
    with ops.tracing("growing") as builder:
        x, mean = ops.placeholder("x", Type(dtype, (Batch(),))), ops.placeholder("mean", Type(dtype, (LARGE,)))
        outputs = {"objective": ops.sum(x), "cost": ops.sum(x), "health": ops.sum(mean), "mean": mean * 2.0**30}
        return builder.finish((name, tensor.value) for name, tensor in outputs.items())


def bits(array: Array) -> Array:
    """Return the bits of numbers: where denormal numbers count as zero, they are equal to it."""
    return np.asarray(array).view({4: np.int32, 8: np.int64}[np.asarray(array).itemsize])


def twice(dtype: str) -> Program:
    return ops.trace(lambda x: x * 2.0, {"x": Type(dtype, (LARGE,))})


@pytest.mark.parametrize("threads", TEAMS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("target", TARGETS_HERE)
def test_a_state_that_falls_ends_at_zero(target: str, dtype: str, threads: int) -> None:
    """By hand: four times the smallest normal number has two normal halves, and then none."""
    smallest = np.finfo(dtype).smallest_normal
    stepper = (
        backend(threads, target)
        .compile_step(halving(dtype))
        .start({"x": np.zeros(1, dtype), "mean": np.full(LARGE, 4 * smallest)}, 1)
    )
    assert stepper.run(0, 2, {}, 0.0).steps == 2
    np.testing.assert_array_equal(stepper.state["mean"], smallest)
    assert stepper.run(2, 1, {}, 0.0).steps == 1
    np.testing.assert_array_equal(bits(stepper.state["mean"]), 0)


@pytest.mark.parametrize("threads", TEAMS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_denormal_state_is_read_as_zero(dtype: str, threads: int) -> None:
    start = np.full(LARGE, np.finfo(dtype).smallest_subnormal * 5)
    stepper = backend(threads).compile_step(growing(dtype)).start({"x": np.zeros(1, dtype), "mean": start}, 1)
    assert stepper.run(0, 1, {}, 0.0).steps == 1
    np.testing.assert_array_equal(bits(stepper.state["mean"]), 0)


@pytest.mark.parametrize("threads", TEAMS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_elsewhere_they_are_numbers(dtype: str, threads: int) -> None:
    """After steps neither NumPy nor a program, on whatever thread its parts run, takes them for zero."""
    native = backend(threads)
    program, x = native.compile(twice(dtype)), np.full(LARGE, np.finfo(dtype).smallest_subnormal, dtype)
    step = native.compile_step(halving(dtype))
    for _ in range(3):
        stepper = step.start({"x": np.zeros(1, dtype), "mean": np.full(LARGE, 4.0, dtype)}, 1)
        assert stepper.run(0, 3, {}, 0.0).steps == 3
        for _ in range(5):
            (doubled,) = program({"x": x}).values()
            np.testing.assert_array_equal(bits(doubled), 2)  # the second number above zero
        np.testing.assert_array_equal(bits(x + x), 2)


def test_a_step_that_goes_wrong_changes_nothing_for_others() -> None:
    step = backend(1).compile_step(halving("float32", 3))
    stepper = step.start({"x": np.array([np.inf], np.float32), "mean": np.ones(3, np.float32)}, 1)
    assert stepper.run(0, 1, {}, 0.0).diverged
    smallest = np.full(3, np.finfo(np.float32).smallest_subnormal)
    np.testing.assert_array_equal(bits(smallest + smallest), 2)


def test_a_state_that_has_vanished_costs_no_time() -> None:
    """Arithmetic with denormal numbers takes many times as long: steps from them on are as quick as any others."""
    step = backend(1).compile_step(halving("float32"))
    seconds = dict.fromkeys((1.0, 1e-38), np.inf)
    for _ in range(5):
        for start in seconds:
            stepper = step.start({"x": np.zeros(1, np.float32), "mean": np.full(LARGE, start, np.float32)}, 1)
            stepper.run(0, 1, {}, 0.0)
            began = time.perf_counter()
            stepper.run(1, 10, {}, 0.0)
            seconds[start] = min(seconds[start], time.perf_counter() - began)
    assert seconds[1e-38] < 4 * seconds[1.0]
