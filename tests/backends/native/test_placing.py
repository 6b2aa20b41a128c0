"""What is put into place, and what is computed again: cases that the machine code once had wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from native_steps import TARGETS_HERE
from native_teams import backend

from clearprop import ops
from clearprop.backends.native import Native, partition
from clearprop.backends.native.executable import NativeExecutable
from clearprop.backends.protocol import Backend
from clearprop.backends.reference import Reference
from clearprop.grad import derive
from clearprop.ir import Batch, Program, Shape, Type
from clearprop.ops import Tensor
from clearprop.testing import check_program, random_program

N = Batch()


def traced(write: Callable[..., Any], *shapes: Shape, dtype: str = "float64") -> Program:
    return ops.trace(write, {f"x{i}": Type(dtype, shape) for i, shape in enumerate(shapes)})


def delayed(x: Tensor, steps: int) -> Tensor:
    """A line of the last axis that is some steps late."""
    for _ in range(steps):
        x = ops.pad(x, (0, 1), (0, 0))[:, :-1]
    return x


def apart(x: Tensor, start: int, stop: int) -> Tensor:
    """Windows of one, two apart, and of that a piece between zeros."""
    return ops.pad(ops.overlap_add(x, (1,), (5,), (2,), (1,))[:, start:stop], (0, 1), (0, 2))


CASES: dict[str, Program] = {
    "padded, cut and padded": traced(lambda x: ops.pad(ops.pad(x, (0, 2), (0, 1))[:, :3], (0, 1), (0, 1)), (N, 3)),
    "a delay of three": traced(lambda x: ops.tanh(delayed(x, 3)), (N, 5)),
    "a piece of what is apart": traced(lambda x: apart(x, 1, 4), (N, 3, 1)),
    "one window, rows later": traced(lambda x: ops.overlap_add(x, (0,), (5,), (4,), (1,)), (1, N, 64, 2)),
    "a largest index": traced(lambda x: x + ops.max(ops.broadcast_to(ops.arange(3, "float64"), (N, 3)), 0), (N, 3)),
    "an empty piece of a convolution": traced(lambda x, w: ops.conv(x, w, (3,))[:, 0:0], (N, 7, 2), (1, 2, 3)),
}


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("name", CASES)
def test_cases(name: str, target: str, recut: Callable[..., None]) -> None:
    for small, chunk in ((partition.SMALL, partition.CHUNK), (0, 64)):
        recut(partition, SMALL=small, CHUNK=chunk)
        for threads in (0, 1):
            assert check_program(CASES[name], backend(threads, target), sizes=(1, 2, 33, 131))


@pytest.mark.usefixtures("fine")
@pytest.mark.parametrize("seed", range(16))
def test_random_programs(seed: int) -> None:
    program = derive(random_program(seed + 100, steps=5, smooth=True), ["x", "W", "b"], of="loss")
    assert check_program(program, backend(1), sizes=(1, 5, 33))
    assert check_program(program, backend(0), backend(1), sizes=(33,), ulps=0)


def test_a_factor_that_is_one_number() -> None:
    def write(x: Tensor, s: Tensor) -> Tensor:
        number = ops.reshape(ops.exp(ops.broadcast_to(s, (N, 4, 4))), (N, 4, 4, 1))
        return ops.sum(ops.windows(x, (1,), (3,)) * ops.broadcast_to(number, (N, 4, 4, 3)), axis=(0, 1))

    assert check_program(traced(write, (N, 6, 4), ()), Native(), sizes=(1, 5))


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_largest_element_equals_itself_where_it_is_computed_again(dtype: str, target: str) -> None:
    def write(a: Tensor, b: Tensor, c: Tensor) -> dict[str, Tensor]:
        product = a * b
        return {"loss": ops.sum(ops.max(product + c, 1)) + ops.sum(ops.square(ops.sum(product, 1)))}

    program = derive(traced(write, *[(N, 37)] * 3, dtype=dtype), ["x0"])
    rng = np.random.default_rng(0)
    inputs = {f"x{i}": rng.normal(size=(64, 37)).astype(dtype) for i in range(3)}
    assert np.isfinite(Native(target).compile(program)(inputs)["grad.x0"]).all()


def step_program(write: Callable[[Tensor, Tensor], dict[str, Tensor]], state: Shape) -> Program:
    return ops.trace(write, {"x": Type("float64", (N,)), "a": Type("float64", state), "rate": Type("float64")})


BACKENDS: list[Backend] = [Reference(), Native(threads=1)]


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_state_that_is_moved_by_one(side: str) -> None:
    def write(x: Tensor, a: Tensor, rate: Tensor) -> dict[str, Tensor]:
        moved = ops.pad(a[:, :-1], (0, 1), (0, 0)) if side == "right" else ops.pad(a[:, 1:], (0, 0), (0, 1))
        return {"objective": ops.sum(x), "cost": ops.sum(x), "health": ops.sum(x) * 0.0, "a": moved}

    start = np.arange(24.0).reshape(4, 6)
    for each in BACKENDS:
        stepper = each.compile_step(step_program(write, (4, 6))).start(
            {"x": np.ones(4), "a": start, "rate": np.array(1.0)}, 2
        )
        stepper.run(0, 1, {}, 0.0)
        to, of = (slice(1, None), slice(-1)) if side == "right" else (slice(-1), slice(1, None))
        expected = np.zeros((4, 6))
        expected[:, to] = start[:, of]
        np.testing.assert_array_equal(stepper.state["a"], expected)


def test_steps_run_again_with_the_numbers_that_they_were_given() -> None:
    def write(x: Tensor, a: Tensor, rate: Tensor) -> dict[str, Tensor]:
        return {"objective": ops.sqrt(100.0 - a), "cost": ops.sum(x), "health": a * 0.0, "a": a + rate}

    for each in BACKENDS:
        given = {"x": np.ones(4), "a": np.array(0.0), "rate": np.array(0.0)}
        stepper = each.compile_step(step_program(write, ())).start(given, 2)
        rates = np.full(3, 10.0)
        stepper.run(0, 3, {"rate": rates}, 0.0)
        rates[:] = 100.0
        assert stepper.run(3, 3, {"rate": rates}, 0.0).diverged
        assert stepper.state["a"] == 130.0


def test_an_interrupt_while_an_input_is_given_leaves_no_stale_address(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Native(threads=1).compile(traced(lambda x, w: x * ops.broadcast_to(w, (N, 3)), (N, 3), (3,)))
    assert isinstance(run, NativeExecutable)
    x, first, second = np.ones((2, 3)), np.ones(3), np.full(3, 2.0)
    run({"x0": x, "x1": first})

    class Interrupting(list[bool]):
        def __getitem__(self, place: Any) -> Any:
            if place:
                raise KeyboardInterrupt
            return False

    with monkeypatch.context() as patch:
        patch.setattr(run, "_keeps", Interrupting())
        with pytest.raises(KeyboardInterrupt):
            run({"x0": x, "x1": second})
    second[:] = 777.0
    np.testing.assert_array_equal(run({"x0": x, "x1": first})["result"], x)
