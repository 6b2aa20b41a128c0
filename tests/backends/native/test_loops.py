"""Loops in machine code: the same bits for every number of threads, pointers that move, weights that are shared."""

import numpy as np
import pytest
from loop_cases import CONVOLVED, random_and_convolved
from native_steps import TARGETS_HERE, signature
from native_teams import Backwards

from clearprop import nn, ops
from clearprop.backends.native import Native
from clearprop.backends.native.executable import NativeExecutable
from clearprop.backends.native.jit import compile_text
from clearprop.backends.native.module import write_module
from clearprop.backends.native.targets import TARGETS
from clearprop.backends.native.threads import Team
from clearprop.backends.reference import Reference
from clearprop.grad import derive
from clearprop.ir import Batch, Program, Type
from clearprop.losses import SquaredError
from clearprop.ops import Tensor
from clearprop.optim import SGD
from clearprop.passes import optimize
from clearprop.testing import check_program, draw_inputs
from clearprop.train.step import build_step

N = Batch()


def lstm(times: int, units: int) -> Program:
    network = nn.Sequential(nn.LSTM(units, outputs="all"), nn.Dense(4))
    types = signature(network, SquaredError(), (times, 32), "float32")
    return optimize(build_step(network, SquaredError(), SGD(), types).step)


def test_the_bits_do_not_depend_on_the_number_of_threads() -> None:
    program, target = lstm(5, 256), TARGETS[TARGETS_HERE[0]]
    module = write_module(program, target)
    assert any(region.is_worth(64, 0) for region in module.regions)
    code = compile_text(module.text, target)
    inputs = draw_inputs(program, np.random.default_rng(0), 64)
    bits = []
    for team in (Team(1), Team(2, threshold=0), Team(3, threshold=0), Backwards()):
        results = NativeExecutable(program, module, code, team)(inputs)
        bits.append({name: array.tobytes() for name, array in results.items()})
        team.stop()
    assert bits == [bits[0]] * 4


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("layer", [nn.SimpleRNN(9, outputs="all"), nn.LSTM(5), nn.GRU(17)], ids=repr)
def test_networks_of_tokens(layer: nn.Layer, target: str) -> None:
    network, loss = nn.Sequential(nn.Embedding(11, 6), layer, nn.Dense(4)), SquaredError()
    program = optimize(build_step(network, loss, SGD(), signature(network, loss, (5,), "float32")).step)
    inputs = draw_inputs(program, np.random.default_rng(0), 19)
    inputs["x"] = np.random.default_rng(1).integers(0, 11, (19, 5)).astype(np.float32)
    expected, received = (backend.compile(program)(inputs) for backend in (Reference(), Native(target)))
    for name, array in expected.items():
        np.testing.assert_allclose(received[name], array, rtol=2e-4, atol=2e-5, err_msg=name)


def swapped(x: Tensor, h: Tensor) -> dict[str, Tensor]:
    """States that change places, a state that stays, one result under two names and one that is a constant."""

    def step(a: Tensor, b: Tensor, c: Tensor, z: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        new = ops.reshape(ops.tanh(z + a), (-1, 3))
        return [b, new, c], [new, new, z, a, ops.broadcast_to(ops.constant(0.5, z.dtype), z.shape), ops.sum(z)]

    finals, results = ops.scan(step, [h, h * 2.0, ops.sin(h)], [x], reverse=True)
    return {f"out{i}": tensor for i, tensor in enumerate([*finals, *results])}


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("times", [1, 2, 5])
def test_every_way_of_giving_a_value_on(times: int, target: str) -> None:
    program = ops.trace(swapped, {"x": Type("float32", (times, N, 3)), "h": Type("float32", (N, 3))})
    assert check_program(program, Native(target), sizes=(1, 2, 17))
    assert check_program(optimize(program), Native(target), sizes=(1, 2, 17))


@pytest.mark.parametrize("target", TARGETS_HERE)
def test_loops_inside_of_loops(target: str) -> None:
    def function(x: Tensor, U: Tensor) -> Tensor:
        def outer(h: Tensor, z: Tensor) -> tuple[list[Tensor], list[Tensor]]:
            def inner(h: Tensor) -> tuple[list[Tensor], list[Tensor]]:
                h = ops.tanh(h @ U + z * np.array([1.0, 2.0, 3.0]))
                return [h], [h * np.array([3.0, 2.0, 1.0])]

            (h,), (a,) = ops.scan(inner, [h], length=3)
            return [h], [ops.sum(a, axis=0)]

        _, (a,) = ops.scan(outer, [x[0]], [x])
        return ops.sum(ops.square(a))

    program = ops.trace(function, {"x": Type("float64", (4, N, 3)), "U": Type("float64", (3, 3))})
    assert check_program(optimize(derive(program, ["x", "U"])), Native(target), sizes=(1, 5, 33))


@pytest.mark.parametrize("target", TARGETS_HERE)
def test_convolutions_and_random_numbers_inside_of_a_loop(target: str) -> None:
    program = ops.trace(random_and_convolved, CONVOLVED)
    assert check_program(optimize(derive(program, ["x", "h", "K"])), Native(target), sizes=(1, 3))


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("times", [1, 6])
def test_padding_of_every_length(times: int, target: str) -> None:
    """Sequences of 0, 1, ... time steps, the rest padding; also where there is one step in all."""
    network = nn.Sequential(
        nn.Masking(),
        nn.SimpleRNN(5, memory=2, outputs="all"),
        nn.GRU(5, outputs="all", checkpoint=2),
        nn.Bidirectional(nn.LSTM(5, outputs="all", start="learnt")),
        nn.GRU(5, outputs="all", reset="before", reverse=True),
        nn.EncoderDecoder(nn.GRU(5), nn.GRU(5), 2),
    )
    types = signature(network, SquaredError(), (times, 3), "float64")
    program = optimize(build_step(network, SquaredError(), SGD(0.1), types).step)
    rng = np.random.default_rng(0)
    inputs = draw_inputs(program, rng, 8)
    lengths = np.minimum(np.arange(8), times)
    x = rng.uniform(0.2, 1.5, (8, times, 3))
    inputs["x"] = x * (np.arange(times) < lengths[:, None])[:, :, None]
    expected = Reference().compile(program)(inputs)
    received = Native(target).compile(program)(inputs)
    for name, array in expected.items():
        np.testing.assert_allclose(received[name], array, rtol=1e-10, atol=1e-12, err_msg=name)


def test_indices_out_of_range_inside_of_a_loop_are_an_error() -> None:
    def function(rows: Tensor, indices: Tensor) -> Tensor:
        return ops.scan(lambda i: ([i + 1], [ops.take(rows, i)]), [indices], length=3)[1][0]

    program = ops.trace(function, {"rows": Type("float32", (4, 2)), "indices": Type("int64", (N,))})
    executable = Native().compile(program)
    rows = np.arange(8, dtype=np.float32).reshape(4, 2)
    given = executable({"rows": rows, "indices": np.array([0, 1])})["result"]
    np.testing.assert_array_equal(given[2], rows[2:4])
    with pytest.raises(IndexError):
        executable({"rows": rows, "indices": np.array([0, 2])})
    np.testing.assert_array_equal(executable({"rows": rows, "indices": np.array([0, 1])})["result"], given)


def test_the_kernels_of_a_body_are_written_once_and_shown() -> None:
    texts = [write_module(lstm(times, 8), TARGETS["avx2"]).text for times in (30, 60)]
    assert texts[0].count("define internal void @kernel") == texts[1].count("define internal void @kernel")
    kernels = Native().explain(lstm(3, 8))["kernels"]
    assert "3 time steps\n" in kernels
    assert "3 time steps, the last first\n" in kernels
