"""Nests that go on with the parts of a product: which do, that each element meets its own, and the memory it saves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from native_steps import TARGETS_HERE, signature
from native_teams import backend

from clearprop import nn, ops
from clearprop.backends.native import cuts, partition
from clearprop.backends.native.calls import Call, Follower
from clearprop.backends.native.extents import Extent
from clearprop.backends.native.following import follow
from clearprop.backends.native.kernels import Nest, Parts
from clearprop.backends.native.lowering import Grouping
from clearprop.backends.native.module import write_step_module
from clearprop.backends.native.outline import outline
from clearprop.backends.native.preparation import prepare
from clearprop.backends.native.targets import TARGETS
from clearprop.backends.reference import Reference
from clearprop.backends.stepping import Roles
from clearprop.ir import Batch, Program, Type, Value
from clearprop.losses import CrossEntropy
from clearprop.ops import Tensor
from clearprop.optim import Adam, ClipByNorm, Momentum, Optimizer
from clearprop.passes import optimize
from clearprop.testing import check_program
from clearprop.train.step import build_step

N, ROWS = Batch(), 97
STATE = {"W": (70, 33), "m": (70, 33), "V": (70, 70), "F": (33, 70), "r": (33,)}
Update = Callable[[dict[str, Tensor]], dict[str, Tensor]]


def step_of(optimizer: Optimizer, sizes: tuple[int, ...] = (784, 128, 10), dtype: str = "float32") -> Program:
    layers = [nn.Dense(size, "relu") for size in sizes[1:-1]]
    network = nn.Sequential(*layers, nn.Dense(sizes[-1]))
    types = signature(network, CrossEntropy(), sizes[0], dtype)
    return optimize(build_step(network, CrossEntropy(), optimizer, types).step)


def led(program: Program) -> list[tuple[str, str]]:
    """Return the product and the last result of each nest that has a leader."""
    groups = Grouping(prepare(program))
    follow(groups, TARGETS["avx512"])
    nests = [kernel for kernel in groups.kernels if isinstance(kernel, Nest) and kernel.leader]
    return [(nest.leader.node.outputs[0].name, nest.nodes[-1].outputs[0].name) for nest in nests if nest.leader]


def test_an_activation_and_an_update_follow() -> None:
    program = step_of(Adam())
    products = [name for name, _ in led(program)]
    assert products == ["dense1.matmul", "dense1.da", "dense1.dW"]
    lines = outline(program, TARGETS["avx512"]).splitlines()
    assert sum("matrix product, and with each of its parts loops over 784 x 128" in line for line in lines) == 1


def test_what_is_read_twice_or_small_does_not_lead() -> None:
    assert "dense1.dW" not in [name for name, _ in led(step_of(ClipByNorm(Adam(), 1.0)))]
    assert not [name for name, _ in led(step_of(Adam(), (64, 32, 10))) if name.endswith("dW")]


def test_a_gradient_needs_no_memory_of_its_own() -> None:
    """784 x 128 of float32 are 401 kB; a worker has a quarter."""
    program = step_of(Adam())
    module = write_step_module(program, Roles.of(program), TARGETS["avx512"])
    assert max(interval.at(64, 1) for interval in module.arena) < 784 * 128 * 4


def compare(program: Program, inputs: dict[str, np.ndarray], target: str, size: int, near: float) -> None:
    """Two epochs give what the reference gives, and the same bits for every number of threads."""
    steps = 2 * -(-ROWS // size)
    oracle = Reference().compile_step(program).start(inputs, size)
    expected = oracle.run(0, steps, {}, 0.0)
    one = backend(1, target).compile_step(program).start(inputs, size)
    result = one.run(0, steps, {}, 0.0)
    assert not expected.diverged
    assert result.losses == pytest.approx(expected.losses, rel=near)
    for name, array in oracle.state.items():
        largest = float(np.abs(array).max(initial=0.0))
        np.testing.assert_allclose(one.state[name], array, rtol=near, atol=near * largest, err_msg=name)
    for threads in (0, 2, 4):
        other = backend(threads, target).compile_step(program).start(inputs, size)
        assert other.run(0, steps, {}, 0.0) == result
        for name, array in one.state.items():
            np.testing.assert_array_equal(other.state[name], array, err_msg=f"{name} on {threads} threads")


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [2, 32, 600])
def test_a_network_trains_alike(size: int, dtype: str, target: str, recut: Callable[..., None]) -> None:
    """Parts whose elements are no whole pieces, a last part and a last batch that are smaller, and blocks of terms."""
    recut(partition, CHUNK=256)
    recut(cuts, _SMALL=0, _LED_ROWS=24, _TERMS=40, _TERMS_PACKED=40)
    program = step_of(Momentum(), (107, 192, 133, 200), dtype)
    assert [name for name, _ in led(program) if name.endswith("dW")] == ["dense3.dW", "dense2.dW", "dense1.dW"]
    rng = np.random.default_rng(0)
    inputs = {
        value.name: np.asarray(0.1 * rng.normal(size=[d for d in value.type.shape if isinstance(d, int)]), dtype)
        for value in program.inputs
        if value.type.dtype == dtype and value.name != "x"
    }
    inputs |= {name: array * 0.0 for name, array in inputs.items() if name.endswith("velocity")}
    inputs |= {"x": rng.normal(size=(ROWS, 107)).astype(dtype), "y": rng.integers(0, 200, ROWS)}
    inputs |= {"learning_rate": np.array(0.001), "momentum": np.array(0.9)}
    known = {value.name for value in program.inputs}
    compare(program, {name: array for name, array in inputs.items() if name in known}, target, size, 2e-4)


def gradient(t: dict[str, Tensor]) -> Tensor:
    return ops.permute_dims(t["x"]) @ t["y"]


UPDATES: dict[str, Update] = {
    "plain": lambda t: {"W": t["W"] - gradient(t) * 0.01},
    "a slot": lambda t: {"m": t["m"] * 0.5 + gradient(t), "W": t["W"] - (t["m"] * 0.5 + gradient(t)) * 0.01},
    "turned": lambda t: {"V": t["V"] - ops.permute_dims(ops.permute_dims(t["x"]) @ t["x"]) * 0.01},
    "turned beside": lambda t: {"V": t["V"] - ops.permute_dims(t["V"]) * (ops.permute_dims(t["x"]) @ t["x"]) * 0.01},
    "what it replaces": lambda t: {"V": t["V"] - t["V"] @ t["V"] * 0.001},
    "another that is replaced": lambda t: {"W": t["W"] - t["V"] @ t["W"] * 0.001, "V": t["V"] * 0.99},
    "two products": lambda t: {"W": t["W"] - (gradient(t) + t["V"] @ t["m"]) * 0.001},
    "a number of it": lambda t: {"W": t["W"] - gradient(t) / (1.0 + ops.sum(gradient(t) * gradient(t)))},
    "a row beside": lambda t: {"W": t["W"] - gradient(t) * 0.01 + ops.sum(t["m"], axis=0) * 0.001},
    "counted": lambda t: {"W": t["W"] - gradient(t) * ops.reshape(ops.arange(70 * 33, "float64"), (70, 33)) * 1e-5},
    "in another shape": lambda t: {"F": t["F"] - ops.reshape(gradient(t), (33, 70)) * 0.01, "m": t["m"] * 0.5},
    "in another shape beside": lambda t: {
        "F": t["F"] - ops.reshape(gradient(t), (33, 70)) * 0.01,
        "r": ops.sum(gradient(t), axis=0) * 0.01,
    },
    "read twice": lambda t: {"W": t["W"] - gradient(t) * 0.01, "m": t["m"] * 0.5 + gradient(t)},
    "noise": lambda t: {"W": t["W"] - gradient(t) * 0.01 + ops.uniform(t["key"], t["step"], 0, (70, 33), "float64")},
    "with a part of it": lambda t: {"W": t["W"] - gradient(t) * 0.01 - gradient(t)[:1] * 0.01},
}


@pytest.mark.usefixtures("fine")
@pytest.mark.parametrize("target", TARGETS_HERE[:2])
@pytest.mark.parametrize("name", UPDATES)
def test_updates(name: str, target: str) -> None:
    with ops.tracing("update") as builder:
        t = {"x": ops.placeholder("x", Type("float64", (N, 70))), "y": ops.placeholder("y", Type("float64", (N, 33)))}
        t |= {key: ops.placeholder(key, Type("float64", shape)) for key, shape in STATE.items()}
        t |= {"key": ops.placeholder("key", Type("uint32", (2,))), "step": ops.placeholder("step", Type("int64"))}
        new = UPDATES[name](t)
        for key in STATE:
            new.setdefault(key, t[key] * 0.5)
        cost = sum((ops.sum(tensor) for tensor in new.values()), ops.sum(t["x"]))
        outputs = new | {"objective": cost, "cost": cost, "health": cost * 0.0}
        program = optimize(builder.finish((key, tensor.value) for key, tensor in outputs.items()))
    rng = np.random.default_rng(1)
    inputs = {key: rng.normal(size=shape) for key, shape in {"x": (ROWS, 70), "y": (ROWS, 33), **STATE}.items()}
    given = inputs | {"key": np.array([1, 2], np.uint32)}
    names = {value.name for value in program.inputs}
    compare(program, {key: array for key, array in given.items() if key in names}, target, 30, 1e-9)


def test_what_follows_is_shared_too() -> None:
    """For a batch of one an update costs many times its product."""
    program = step_of(Adam())
    module = write_step_module(program, Roles.of(program), TARGETS["avx512"])
    assert any(region.is_worth(1, partition.SHARED) for region in module.regions if region.cost_at(1) > 784 * 128 * 500)


@pytest.mark.parametrize("target", TARGETS_HERE)
def test_random_numbers_follow(target: str, recut: Callable[..., None]) -> None:
    """Each element has the random number of its place, in parts of rows and columns too."""
    recut(cuts, _SMALL=0, _MANY_ROWS=16)
    types = {"x": Type("float32", (N, 9)), "W": Type("float32", (9, 200)), "key": Type("uint32", (2,))}

    def dropped(x: Tensor, W: Tensor, key: Tensor) -> Tensor:
        return (x @ W) * ops.uniform(key, ops.constant(3, "int64"), 1, (N, 200), "float32")

    program = ops.trace(dropped, types)
    assert led(program)
    assert check_program(program, backend(1, target), sizes=(1, 33, 70))


def test_how_many_pieces_there_are() -> None:
    """Parts of 300 elements in pieces of 128: three each, and one of the last 100 elements."""
    value = Value("g", Type("float32", (10, 100)))
    follower = Follower(Call(parts=(Parts(Extent(1000), 128),)), value, 1000, 300)
    assert (follower.width, follower.pieces, follower.all_pieces) == (128, 3, 10)
    assert [follower.moves(Value("w", Type("float32", shape))) for shape in ((10, 100), (), (10,))] == [
        True,
        False,
        False,
    ]


def leaders(function: Callable[..., object], types: dict[str, Type]) -> int:
    """Return how many nests of a program have a leader."""
    return len(led(optimize(ops.trace(function, types))))


def reshaped(x: Tensor, W: Tensor) -> Tensor:
    return ops.maximum(ops.reshape(x @ W, (Batch(2), 300)), 0.0)


def reshaped_beside(x: Tensor, W: Tensor) -> dict[str, Tensor]:
    z = x @ W
    return {"b": ops.tanh(z), "a": ops.maximum(ops.reshape(z, (Batch(2), 300)), 0.0)}


@pytest.mark.parametrize("function", [reshaped, reshaped_beside])
def test_a_result_in_another_shape(function: Callable[..., object]) -> None:
    program = ops.trace(function, {"x": Type("float32", (N, 400)), "W": Type("float32", (400, 600))})
    assert check_program(program, backend(0), sizes=(1, 3, 70))


def test_what_the_caller_reads_too_does_not_lead() -> None:
    types = {"x": Type("float64", (N, 400)), "W": Type("float64", (400, 400)), "b": Type("float64", (400,))}
    assert leaders(lambda x, W, b: ops.tanh(x @ W + b), types) == 1
    assert leaders(lambda x, W, b: {"z": x @ W, "a": ops.tanh(x @ W + b)}, types) == 0


def test_work_of_many_parts_does_not_join_a_product_of_one() -> None:
    types = {"x": Type("float32", (N, 4)), "W": Type("float32", (4, 64)), "b": Type("float32", (64,))}
    assert leaders(lambda x, W, b: ops.maximum(x @ W + b, 0.0), types) == 1
    assert leaders(lambda x, W, b: ops.erf(x @ W + b), types) == 0
