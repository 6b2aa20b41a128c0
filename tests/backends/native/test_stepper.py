"""Steppers: the plain one and the native one keep one contract, the native one with the bits of its executable."""

from __future__ import annotations

import functools
import gc
import resource
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from native_steps import CASES, TARGETS_HERE, programs

from clearprop import ops
from clearprop.backends.native import Native
from clearprop.backends.native import stepper as native_stepper
from clearprop.backends.protocol import CompiledStep, Stepper, Stretch
from clearprop.backends.reference import Reference
from clearprop.backends.stepping import PlainStep
from clearprop.errors import ProgramError, ShapeError
from clearprop.ir import Batch, Program, Type, resolve_shape
from clearprop.randomness import shuffled

Array = np.ndarray[Any, Any]
ROWS = 23
KEY = np.array([5, 6], np.uint32)
KINDS: dict[str, Callable[[Program], CompiledStep]] = {
    "reference": Reference().compile_step,
    **{target: Native(target).compile_step for target in TARGETS_HERE},
}
HYPER = {"learning_rate": 0.02, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
MLP = programs("mlp", "float32")["step"]


@functools.cache
def step_of(case: str) -> Program:
    return MLP if case == "mlp" else programs(case, "float32")["step"]


@functools.cache
def compiled(kind: str, program: Program) -> CompiledStep:
    """Compile each program once for all tests."""
    return KINDS[kind](program)


def first_inputs(program: Program, rows: int = ROWS) -> dict[str, Array]:
    """Draw the data, the state and the fixed inputs of a step."""
    rng = np.random.default_rng(0)
    inputs = {}
    for value in program.inputs:
        shape = resolve_shape(value.type.shape, rows)
        drawn = rng.integers(0, 2, shape) if value.name == "y" else rng.normal(0, 0.5, shape)
        drawn = np.zeros(shape) if value.name.endswith((".m", ".v")) else drawn
        drawn = np.array([3, 4]) if value.name == "key" else drawn
        inputs[value.name] = np.asarray(HYPER.get(value.name, drawn), value.type.dtype)
    return inputs


def run(stepper: Stepper, counts: list[int], first: int = 0) -> list[Stretch]:
    """Run one stretch a count, with a learning rate that falls from step to step."""
    total, results = 0.25, []
    for count in counts:
        rates = 0.02 / (1.0 + first + np.arange(count))
        results.append(stepper.run(first, count, {"learning_rate": rates}, total))
        first += results[-1].steps
        total = results[-1].losses[-1] if first % stepper.given.batches else 0.0
    return results


def assert_same(a: Stepper, b: Stepper, close: float = 0.0) -> None:
    assert list(a.state) == list(b.state)
    for name, array in a.state.items():
        assert array.dtype == b.state[name].dtype
        np.testing.assert_allclose(array, b.state[name], rtol=close, atol=close, err_msg=name)


@pytest.mark.parametrize(("number", "target"), [*enumerate(TARGETS_HERE)])
@pytest.mark.parametrize("case", CASES)
def test_native_has_the_bits_of_the_executable(case, number, target):
    """Dropout (the key and the step), penalties, two optimisers; a last small batch; stretches that span epochs.

    By turns in float32, shuffled, and in float64, as the rows come.
    """
    dtype, shuffle = (("float32", KEY), ("float64", None))[(number + list(CASES).index(case)) % 2]
    program = programs(case, dtype)["step"]
    inputs, counts = first_inputs(program), [3, 2, 5, 1, 13, 1]
    native = Native(target).compile_step(program).start(inputs, 5, shuffle)
    plain = PlainStep(Native(target).compile(program)).start(inputs, 5, shuffle)
    oracle = Reference().compile_step(program).start(inputs, 5, shuffle)
    expected = run(plain, counts)
    assert run(native, counts) == expected
    assert_same(native, plain)
    assert [(stretch.steps, len(stretch.losses)) for stretch in expected] == [
        (3, 1),
        (2, 1),
        (5, 1),
        (1, 1),
        (13, 3),
        (1, 1),
    ]
    for got, reference in zip(expected, run(oracle, counts), strict=True):
        np.testing.assert_allclose(got.losses, reference.losses, rtol=1e-4)


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("case", ["mlp", "dropout"])
def test_the_bits_do_not_depend_on_the_stretches(case, target):
    inputs = first_inputs(step_of(case))
    ones, one = (compiled(target, step_of(case)).start(inputs, 5, KEY) for _ in range(2))
    apart = run(ones, [1] * 27)
    (stretch,) = run(one, [27])
    assert stretch.losses == tuple(item.losses[-1] for i, item in enumerate(apart, 1) if i % 5 == 0 or i == 27)
    assert_same(one, ones)


@pytest.mark.parametrize("case", CASES)
def test_the_state_of_a_training_step_is_in_place(case):
    """But for single numbers, which are made beside a reduction."""
    module = Native().compile_step(programs(case, "float32")["step"]).module
    elsewhere = {name for name, type_, place in module.results if place >= 0 and type_.shape not in ((), (1,))}
    assert not elsewhere


def by_hand(orders: list[Array], rates: list[float], x: Array, weight: Array) -> tuple[float, tuple[float, ...]]:
    """The step of `counting`, in float64, from b = 0.5 on: batches of 2; the last b, and the losses of the epochs."""
    b, i, losses = 0.5, 0, []
    for order in orders:
        total = 0.0
        for start in range(0, len(order), 2):
            if i == len(rates):
                break
            rows = order[start : start + 2]
            total += (sum(x[row] * weight[row] for row in rows) + 10 * i + b) * len(rows)
            b += rates[i] * len(rows)
            i += 1
        losses.append(total)
    return b, tuple(losses)


@functools.cache
def counting() -> Program:
    """cost = sum x weight + 10 step + b; b grows by rate times rows."""
    rows = Type("float64", (Batch(),))
    with ops.tracing("counting") as builder:
        x, weight, b = (
            ops.placeholder("x", rows),
            ops.placeholder("weight", rows),
            ops.placeholder("b", Type("float64")),
        )
        step, rate = ops.placeholder("step", Type("int64")), ops.placeholder("rate", Type("float64"))
        cost = ops.sum(x * weight) + ops.astype(step, "float64") * 10.0 + b
        count = ops.sum(x * 0.0 + 1.0)
        outputs = {"objective": cost, "cost": cost, "b": b + rate * count, "health": b * 0.0}
        return builder.finish((name, tensor.value) for name, tensor in outputs.items())


@pytest.mark.parametrize("shuffle", [KEY, None], ids=["shuffled", "as they come"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5])
def test_by_hand(kind, rows, shuffle):
    x, weight = np.arange(1.0, 8.0)[-rows:], np.array([1, 2, 4, 8, 16, 32, 64.0])[-rows:]
    inputs = {"x": x, "weight": weight, "b": np.array(0.5), "rate": np.array(9.0)}
    stepper = compiled(kind, counting()).start(inputs, 2, shuffle)
    batches = -(-rows // 2)
    rates = [2.0**-i for i in range(2 * batches + 1)]
    stretch = stepper.run(0, len(rates), {"rate": np.array(rates)}, 0.0)
    orders = [np.arange(rows) if shuffle is None else shuffled(rows, shuffle, epoch) for epoch in range(3)]
    b, losses = by_hand(orders, rates, x, weight)
    assert stretch == Stretch(len(rates), losses, False)
    assert stepper.state["b"] == b
    assert inputs["b"] == 0.5
    # what varied stays out of the fixed inputs: without it they count
    stepper.run(batches - 1, 1, {}, 0.0)
    assert stepper.state["b"] == b + 9.0 * (2 - rows % 2)


@pytest.mark.parametrize("kind", KINDS)
def test_no_count_is_no_steps(kind):
    stepper = compiled(kind, MLP).start(first_inputs(MLP), 4)
    assert stepper.run(3, 0, {}, 1.5) == stepper.run(6, 0, {}, 1.5) == Stretch(0, (1.5,), False)


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_are_those_of_the_next_step(kind):
    given = first_inputs(MLP)
    stepper = compiled(kind, MLP).start(given, 4, KEY)
    run(stepper, [8])
    inputs = stepper.inputs(8, {"learning_rate": 0.125})
    assert set(inputs) >= {value.name for value in MLP.inputs}
    np.testing.assert_array_equal(inputs["x"], given["x"][shuffled(ROWS, KEY, 1)[8:12]])
    assert (inputs["step"], inputs["learning_rate"], inputs["beta1"]) == (8, 0.125, 0.9)
    outputs = Reference().compile(MLP)(inputs)
    stepper.run(8, 1, {"learning_rate": np.array([0.125])}, 0.0)
    np.testing.assert_allclose(stepper.state["dense1.W"], outputs["dense1.W"], rtol=1e-4, atol=1e-6)


@pytest.fixture(params=["always", "never", "as measured"])
def snapshots(request, monkeypatch):
    """How often a native stepper keeps a copy of its state."""
    share = {"always": np.inf, "never": 0.0, "as measured": native_stepper.SNAPSHOT_SHARE}[request.param]
    monkeypatch.setattr(native_stepper, "SNAPSHOT_SHARE", share)


@pytest.mark.usefixtures("snapshots")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", ["mlp", "dropout"])
@pytest.mark.parametrize("counts", [[6], [1, 5], [2, 2, 2]])
@pytest.mark.parametrize("step", [0, 3, 5])
def test_diverging_data_leave_the_state_before_the_step(kind, case, counts, step):
    """A row that is infinite comes up in one step of one stretch; that of 5 is the last small batch."""
    program = step_of(case)
    inputs = first_inputs(program)
    inputs["x"][shuffled(ROWS, KEY, 0)[step * 4 + 1]] = np.inf
    stepper, twin = (compiled(kind, program).start(inputs, 4, KEY) for _ in range(2))
    results = run(stepper, [count for i, count in enumerate(counts) if sum(counts[:i]) <= step])
    expected = run(twin, [step])
    assert [result.diverged for result in results] == [False] * (len(results) - 1) + [True]
    assert sum(result.steps for result in results) == step
    assert results[-1].losses == expected[-1].losses
    assert_same(stepper, twin)


@pytest.mark.usefixtures("snapshots")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", [18, 21, 24, 29, 30])
def test_an_exploding_rate_leaves_the_state_before_the_step(kind, step):
    """The cost is finite, the new parameters are not: `health` tells. The stretch is that of steps 16 to 31."""
    inputs = first_inputs(MLP)
    stepper, twin = (compiled(kind, MLP).start(inputs, 4, KEY) for _ in range(2))
    rates = np.full(16, 0.1)
    rates[step - 16] = 1e39
    for one in (stepper, twin):
        run(one, [5, 11])
    stretch = stepper.run(16, 16, {"learning_rate": rates}, 0.5)
    assert (stretch.steps, stretch.diverged) == (step - 16, True)
    rates[step - 16] = 0.1
    good = twin.run(16, step - 16, {"learning_rate": rates[: step - 16]}, 0.5)
    assert good == Stretch(step - 16, stretch.losses, False)
    assert_same(stepper, twin)
    # it can go on with other rates, and diverge and go back again
    for one in (stepper, twin):
        assert one.run(step, 9, {}, 0.0).steps == 9
        assert one.run(step + 9, 2, {"learning_rate": np.array([0.1, 1e39])}, 0.0).diverged
    assert_same(stepper, twin)
    assert all(np.isfinite(array).all() for array in stepper.state.values())


@pytest.mark.parametrize("kind", KINDS)
def test_an_infinite_objective_is_noticed_though_the_state_is_finite(kind):
    x, ones = np.array([1.0, 1e308, 1.0]), np.ones(3)
    inputs = {"x": x, "weight": 10 * ones, "b": np.array(0.5), "rate": np.array(1.0)}
    stepper = compiled(kind, counting()).start(inputs, 1)
    assert stepper.run(0, 3, {}, 0.0) == Stretch(1, (10.5,), True)
    assert stepper.state["b"] == 1.5


@functools.cache
def taking() -> Program:
    """cost = the sum of what x points to in a table, which doubles."""
    with ops.tracing("taking") as builder:
        x, table = ops.placeholder("x", Type("int64", (Batch(),))), ops.placeholder("table", Type("float64", (3,)))
        cost = ops.sum(ops.take(table, x))
        outputs = {"objective": cost, "cost": cost, "table": table * 2.0, "health": cost * 0.0}
        return builder.finish((name, tensor.value) for name, tensor in outputs.items())


@pytest.mark.usefixtures("snapshots")
@pytest.mark.parametrize("kind", KINDS)
def test_an_index_out_of_range_leaves_the_state_before_the_step(kind):
    program = taking()
    inputs = {"x": np.array([0, 1, 2, 3]), "table": np.array([1.0, 2.0, 3.0])}
    stepper = compiled(kind, program).start(inputs, 1)
    stepper.run(0, 2, {}, 0.0)
    with pytest.raises(IndexError):
        stepper.run(2, 3, {}, 0.0)
    np.testing.assert_array_equal(stepper.state["table"], [8.0, 16.0, 24.0])


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_step_must_have(kind):
    rows = Type("float64", (Batch(), 2))
    without = ops.trace(lambda x: {"objective": ops.sum(x), "cost": ops.sum(x)}, {"x": rows})
    with pytest.raises(ProgramError, match="no training step: it has no output health"):
        KINDS[kind](without).start({"x": np.zeros((3, 2))}, 1)
    names = ("objective", "cost", "health")
    turned = ops.trace(lambda x: dict.fromkeys(names, ops.sum(x)), {"x": Type("float64", (2, Batch()))})
    with pytest.raises(ProgramError, match="must hold a row a sample"):
        KINDS[kind](turned).start({"x": np.zeros((2, 3))}, 1)
    empty = ops.trace(lambda x: dict.fromkeys(names, ops.sum(x)), {"x": Type("float64", (2,))})
    with pytest.raises(ProgramError, match="no input with a row a sample"):
        KINDS[kind](empty).start({"x": np.zeros(2)}, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_fit_is_refused(kind):
    step, inputs = compiled(kind, counting()), {"x": np.ones(7), "weight": np.ones(7), "b": np.array(0.5)}
    with pytest.raises(ShapeError, match=r"rate .* is missing"):
        step.start(inputs, 2)
    inputs["rate"] = np.array(1.0)
    for name, array in (("x", np.ones((7, 1))), ("weight", np.ones(6)), ("b", np.ones(1)), ("rate", np.float32(1))):
        with pytest.raises(ShapeError, match=f"{name} must be"):
            step.start(inputs | {name: np.asarray(array)}, 2)
    with pytest.raises(ShapeError, match="at least 1 row"):
        step.start(inputs, 0)
    with pytest.raises(ShapeError, match="at least 1 row of data"):
        step.start(inputs | {"x": np.ones(0), "weight": np.ones(0)}, 2)
    stepper = step.start(inputs, 2)
    for name, values in (("rate", np.ones(1)), ("beta", np.ones(2)), ("b", np.ones(2))):
        with pytest.raises(ShapeError, match=f"{name} cannot vary"):
            stepper.run(0, 2, {name: values}, 0.0)
    for first, count in ((-1, 2), (0, -1)):
        with pytest.raises(ShapeError, match=f"received {first} and {count}"):
            stepper.run(first, count, {}, 0.0)


def test_data_that_are_not_contiguous():
    inputs = first_inputs(MLP)
    other = inputs | {"x": np.asfortranarray(inputs["x"]), "y": np.repeat(inputs["y"], 2)[::2]}
    native = compiled(TARGETS_HERE[0], MLP)
    steppers = [native.start(given, 4) for given in (inputs, other)]
    assert run(steppers[0], [6]) == run(steppers[1], [6])
    assert_same(*steppers)


def test_steppers_in_several_threads_have_the_bits_of_one():
    native, inputs = compiled(TARGETS_HERE[0], step_of("dropout")), first_inputs(step_of("dropout"))
    expected = native.start(inputs, 5, KEY)
    results = run(expected, [5] * 100 + [500])

    def work(_: int) -> tuple[Stepper, list[Stretch]]:
        stepper = native.start(inputs, 5, KEY)
        return stepper, run(stepper, [5] * 100 + [500])

    with ThreadPoolExecutor(4) as pool:
        for stepper, got in pool.map(work, range(8)):
            assert got == results
            assert_same(stepper, expected)


def test_many_steppers_leave_no_memory_behind():
    native, inputs = compiled(TARGETS_HERE[0], MLP), first_inputs(MLP, rows=2000)
    inputs["x"] = np.zeros((2000, 7), "f4")
    statm = Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("the memory in use is read from /proc")

    def fits(count: int) -> int:
        for _ in range(count):
            run(native.start(inputs, 500), [4])
        gc.collect()
        return int(statm.read_text().split()[1]) * resource.getpagesize()

    before = fits(50)
    assert fits(300) - before < 2**20
