"""The fixed partition of work: the same bits for every number of threads, and the right ones, in many small parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from native_steps import CASES, TARGETS_HERE, programs, signature
from native_teams import BACKWARDS, THREADS, backend
from test_conformance import operands

from clearprop import nn, ops
from clearprop.backends.native import partition
from clearprop.backends.native.calls import Region, is_step_worth
from clearprop.backends.native.extents import Extent
from clearprop.backends.native.kernels import Parts
from clearprop.backends.native.module import write_module, write_step_module
from clearprop.backends.native.targets import TARGETS
from clearprop.backends.stepping import Roles
from clearprop.grad import derive
from clearprop.ir import Batch, Program, Type, resolve_shape
from clearprop.losses import CrossEntropy
from clearprop.ops import PRIMITIVES
from clearprop.optim import Adam
from clearprop.passes import optimize
from clearprop.testing import check_agreement, check_primitive, check_program, random_program
from clearprop.train.step import build_step

N = Batch()
SIZES = (0, 1, 33, 131)


def check_bits(program: Program, target: str = "", sizes: tuple[int, ...] = SIZES, more: bool = False) -> None:
    """Compare four threads with the reference, and with one thread to the bit; with `more`, other numbers too."""
    given = operands(program)
    assert check_program(program, backend(4, target), sizes=sizes, operands=given)
    for threads in (0, *THREADS) if more else (0, 4):
        assert check_program(program, backend(threads, target), backend(1, target), sizes, given, ulps=0)


@pytest.mark.usefixtures("fine")
@pytest.mark.parametrize("case", CASES)
def test_training(case: str) -> None:
    for program in programs(case, "float32").values():
        check_bits(program)


@pytest.mark.usefixtures("fine")
@pytest.mark.parametrize("target", TARGETS_HERE)
def test_training_with_vectors_of_every_width(target: str) -> None:
    check_bits(programs("dropout", "float64")["step"], target, more=True)


@pytest.mark.usefixtures("fine")
@pytest.mark.parametrize("seed", range(6))
def test_random_programs(seed: int) -> None:
    program = random_program(seed, dtype=("float64", "float32")[seed % 2])
    check_bits(optimize(program))
    check_bits(optimize(derive(random_program(seed), ["x", "W", "b"], of="loss")))


@pytest.mark.usefixtures("fine")
@pytest.mark.parametrize("name", sorted(PRIMITIVES))
def test_primitives(name: str) -> None:
    assert check_primitive(name, backend(4), sizes=SIZES) > 0
    assert check_primitive(name, backend(0), sizes=SIZES) > 0


def adam(w: ops.Tensor, g: ops.Tensor, v: ops.Tensor) -> dict[str, ops.Tensor]:
    v = v * 0.9 + g * g * 0.1
    w = w - g / (ops.sqrt(v) + 1e-3)
    return {"w": w, "v": v, "health": ops.sum(w * w), "largest": ops.max(w), "norm": ops.sqrt(ops.sum(v)) + 1.0}


def columns(x: ops.Tensor) -> dict[str, ops.Tensor]:
    return {"sum": ops.sum(x, 0), "max": ops.max(ops.exp(x), 0)}


def rows(x: ops.Tensor, i: ops.Tensor) -> dict[str, ops.Tensor]:
    p = ops.softmax(ops.tanh(x))
    return {"p": p, "taken": ops.take(p, i), "both": ops.concat([p, x], 1), "turned": ops.permute_dims(p) + 0.0}


CHOICES = {
    "adam 3 x 40,009": (adam, {name: Type("float32", (3, 40_009)) for name in "wgv"}, 0),
    "adam n x 5": (adam, {name: Type("float64", (N, 5)) for name in "wgv"}, 20_011),
    "adam 5 x n": (adam, {name: Type("float32", (5, N)) for name in "wgv"}, 20_011),
    "columns n x 10": (columns, {"x": Type("float32", (N, 10))}, 70_001),
    "columns n x 1003": (columns, {"x": Type("float32", (N, 1003))}, 257),
    "columns n x 3 x 70": (columns, {"x": Type("float32", (N, 3, 70))}, 501),
    "columns 1001 x n": (columns, {"x": Type("float32", (1001, N))}, 301),
    "columns 9000 x 7": (columns, {"x": Type("float64", (9000, 7))}, 0),
    "rows n x 11": (rows, {"x": Type("float32", (N, 11)), "i": Type("int64", (N,))}, 30_011),
    "rows n x 997": (rows, {"x": Type("float32", (N, 997)), "i": Type("int32", (N,))}, 131),
}


def draw(program: Program, n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(n)
    shapes = {value.name: resolve_shape(value.type.shape, n) for value in program.inputs}
    drawn = {name: np.abs(rng.normal(size=shape)) for name, shape in shapes.items()}
    drawn["i"] = rng.integers(0, n or 1, n)
    return {value.name: drawn[value.name].astype(value.type.dtype) for value in program.inputs}


@pytest.mark.parametrize("cut", ["as usual", "everything"])
@pytest.mark.parametrize("name", CHOICES)
def test_large_shapes(name: str, cut: str, recut: Callable[..., None]) -> None:
    if cut == "everything":
        recut(partition, SMALL=0, CHUNK=256)
    write, types, n = CHOICES[name]
    program = ops.trace(write, types)
    regions = write_module(program, TARGETS["avx2"]).regions
    assert cut == "as usual" or any(parts.at(n) > 1 for region in regions for parts in region.parts)
    inputs = draw(program, n)
    check_agreement(backend(4), program, inputs, n, ulps=1000)
    expected, before = backend(1).compile(program)(inputs), BACKWARDS.jobs
    bits = {key: array.tobytes() for key, array in expected.items()}
    for threads in (0, *THREADS):
        run = backend(threads).compile(program)
        for _ in range(20):  # workers that slept take no part in the first calls
            assert {key: array.tobytes() for key, array in run(inputs).items()} == bits
    assert cut == "as usual" or BACKWARDS.jobs > before


@pytest.mark.usefixtures("fine")
def test_random_bits_do_not_depend_on_the_parts() -> None:
    def bits(key: ops.Tensor, step: ops.Tensor) -> ops.Tensor:
        return ops.random_bits(key, step, 3, (N, 37))

    program = ops.trace(bits, {"key": Type("uint32", (2,)), "step": Type("int64", ())})
    assert check_program(program, backend(4), sizes=(301,))


def test_the_number_of_parts() -> None:
    assert [Parts(Extent(3, 1), 10).at(n) for n in (0, 1, 3, 4, 7)] == [1, 1, 1, 2, 3]
    assert Parts(Extent(30)).at(5) == 1
    assert Parts(Extent(10), 10).alone
    assert not Parts(Extent(11), 10).alone


def test_a_small_program_has_no_parts() -> None:
    # 2-8-2 and the like: no task, nothing to share, as if there were no team
    module = write_module(programs("binary", "float32")["step"], TARGETS["avx512"])
    assert not module.regions
    assert "@share" not in module.text


def test_a_step_goes_to_a_team_only_with_enough_work() -> None:
    kernel = Region((Extent(10, 1),), (Parts(Extent(1, 1), 2),))  # costs 100 for a batch of 10
    assert not is_step_worth([kernel] * 19, 10, 100)
    assert is_step_worth([kernel] * 20, 10, 100)
    assert is_step_worth([replace(kernel, times=20)], 10, 100)
    assert not is_step_worth([kernel] * 40, 10, 101)  # none of them is shared
    assert is_step_worth([kernel], 10, 0)
    assert not is_step_worth([], 10, 0)


def test_a_small_network_stays_on_one_thread() -> None:
    """Products of 64 units cost more where two cores take turns: 57 us a step of 128 samples, and 49 on one."""
    network = nn.Sequential(nn.Dense(64, "relu"), nn.Dense(64, "relu"), nn.Dense(2))
    types = signature(network, CrossEntropy(), 30, "float32")
    program = optimize(build_step(network, CrossEntropy(), Adam(), types).step)
    regions = write_step_module(program, Roles.of(program), TARGETS["avx512"]).regions
    assert any(region.is_worth(128, partition.SHARED) for region in regions)
    assert not is_step_worth(regions, 128, partition.SHARED)
    assert is_step_worth(regions, 1024, partition.SHARED)


def test_the_cost_grows_with_the_shape() -> None:
    text = {"x": Type("float32", (N, 512))}
    region = write_module(ops.trace(ops.tanh, text), TARGETS["avx512"]).regions[0]
    assert not region.is_worth(8, partition.SHARED)
    assert region.is_worth(128, partition.SHARED)
    assert not region.is_worth(1, 0)  # a single part is not for a team
