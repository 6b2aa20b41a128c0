"""Updates run as soon as they can: no later kernel reads what they replace, and the memory of errors is free early."""

from __future__ import annotations

from dataclasses import replace

import pytest
from native_steps import CASES, programs, signature

from clearprop import nn, ops
from clearprop.backends.native import Native, following
from clearprop.backends.native.arena import plan
from clearprop.backends.native.following import group
from clearprop.backends.native.module import write_step_module
from clearprop.backends.native.outline import outline
from clearprop.backends.native.rewriting import rewritten
from clearprop.backends.native.targets import TARGETS
from clearprop.backends.native.views import origin
from clearprop.backends.stepping import Roles
from clearprop.ir import Batch, Program, Type
from clearprop.losses import CrossEntropy, SquaredError
from clearprop.optim import LAMB, Adafactor, Adam, ClipByNorm, Optimizer
from clearprop.passes import optimize
from clearprop.testing import check_program
from clearprop.train.step import build_step

TARGET = TARGETS["avx512"]


def step_of(sizes: tuple[int, ...], optimizer: Optimizer | None = None) -> Program:
    layers = [nn.Dense(size, "relu") for size in sizes[1:-1]]
    network = nn.Sequential(*layers, nn.Dense(sizes[-1]))
    types = signature(network, CrossEntropy(), sizes[0], "float32")
    return optimize(build_step(network, CrossEntropy(), optimizer or Adam(), types).step)


def kernels(program: Program) -> list[str]:
    """Return what each kernel makes, by the layer and what it means."""
    return outline(program, TARGET).split("\nkernel ")


def places(program: Program, *marks: str) -> list[int]:
    """Return which kernel each of some marks is in first."""
    texts = kernels(program)
    return [next(place for place, text in enumerate(texts) if mark in text) for mark in marks]


def test_a_layer_is_updated_before_the_error_goes_on_to_the_layer_below() -> None:
    """And not before the error above it was made with its old weights."""
    program = step_of((64, 50, 40, 30, 10))
    for layer in (4, 3, 2):
        error, update = places(program, f"dense{layer - 1}.da: ", f"dense{layer}.step: ")
        assert update == error + 1


def test_an_update_waits_for_the_norm_of_all_gradients() -> None:
    norm, first = places(step_of((64, 50, 40, 10), ClipByNorm(Adam(), 1.0)), "gradient_norm: ", "dense3.step: ")
    assert first > norm


def test_what_scales_a_gradient_is_in_the_loop_of_its_update() -> None:
    texts = kernels(step_of((64, 50, 40, 10), ClipByNorm(Adam(), 1.0)))
    assert sum("loops over 40 x 10" in text for text in texts) == 2  # the sum of squares is the other


@pytest.mark.parametrize("case", sorted(CASES))
def test_every_kernel_comes_after_what_it_reads(case: str) -> None:
    program = programs(case, "float32")["step"]
    groups = group(rewritten(program, TARGET), TARGET)
    for place, kernel in groups.at_work():
        made = {value for value, home in groups.home.items() if home == place}
        nodes = [node for node in groups.program.nodes if made & set(node.outputs)]
        read = {origin(groups.made, value) for node in nodes for value in node.inputs}
        assert all(groups.home.get(value, -1) <= place for value in read), kernel


def test_the_memory_of_errors_serves_layer_after_layer() -> None:
    """Activations and their signs live until their layer's turn, and errors for one layer; not all errors at once."""
    units, batch, layers = 512, 1024, 12
    program = step_of((units, *[units] * layers, 10))
    module = write_step_module(program, Roles.of(program), TARGET)
    _, size = plan(module.arena, batch)
    activations = layers * batch * units * (4 + 1)
    assert activations < size < activations + 3 * batch * units * 4


def sequential(*layers: nn.Layer) -> nn.Layer:
    return nn.Sequential(*layers, nn.Dense(10))


def transformer(norm: str) -> nn.Layer:
    return sequential(*(nn.TransformerBlock(4, 512, norm=norm) for _ in range(3)))


def images() -> nn.Layer:
    filters = nn.Conv2D(32, 3, "relu"), nn.MaxPool2D(2), nn.Conv2D(64, 3, "relu"), nn.BatchNorm()
    return sequential(*filters, nn.Flatten(), nn.Dense(256, "relu"))


def dense(layers: int, units: int) -> nn.Layer:
    return sequential(*(nn.Dense(units, "relu") for _ in range(layers)))


def normalised() -> nn.Layer:
    return sequential(*(layer for _ in range(4) for layer in (nn.Dense(512), nn.BatchNorm(), nn.Dropout(0.2))))


NETWORKS: dict[str, tuple[nn.Layer, tuple[int, ...], Optimizer, int]] = {
    "norm before": (transformer("pre"), (64, 128), Adam(), 32),
    "norm behind": (transformer("post"), (64, 128), Adam(), 32),
    "sequences": (dense(6, 256), (50, 256), Adam(), 64),
    "in another order": (dense(6, 256), (50, 256), Adam(), 64),
    "arrays between loops": (images(), (28, 28, 1), LAMB(), 64),
    "arrays between kernels": (normalised(), (512,), Adafactor(), 256),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_no_network_needs_more_memory_for_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither where layers are not listed in the order of their use, nor for updates that need arrays of their own."""
    network, features, optimizer, batch = NETWORKS[name]
    types = signature(network, SquaredError(), features, "float32")
    if name == "in another order":
        types = replace(types, trainable=types.trainable[::-1])
    program = optimize(build_step(network, SquaredError(), optimizer, types).step)

    def size() -> int:
        module = write_step_module(program, Roles.of(program), TARGET)
        return plan(module.arena, batch, 2)[1]

    moved = size()
    monkeypatch.setattr(following, "bring_forward", lambda groups: None)
    assert moved <= 1.005 * size()


def test_a_key_is_not_made_in_the_loop_of_its_random_numbers() -> None:
    """The numbers need all of the key, which has two elements as they have; other kernels lie in between."""

    def write(key: ops.Tensor, x: ops.Tensor, W: ops.Tensor) -> dict[str, ops.Tensor]:
        made = key + ops.constant(1, "uint32")
        sums = ops.sum(x @ W, axis=0)
        drawn = ops.uniform(made, ops.constant(3, "int64"), 1, (2,), "float64") + sums
        return {"drawn": drawn, "total": ops.sum(drawn)}

    types = {"key": Type("uint32", (2,)), "x": Type("float64", (Batch(), 5)), "W": Type("float64", (5, 2))}
    program = ops.trace(write, types)
    for outputs in (("drawn",), ("total",)):
        assert check_program(optimize(program.with_outputs(*outputs)), Native(), sizes=(1, 7))


@pytest.mark.parametrize("case", sorted(CASES))
def test_all_state_is_replaced_in_place(case: str) -> None:
    """But a parameter of one number, which its own sum is made with."""
    program = programs(case, "float32")["step"]
    module = write_step_module(program, Roles.of(program), TARGET)
    state = {value.name for value in program.inputs if value.type.shape not in ((), (1,))}
    assert not [name for name, _, place in module.results if name in state and place >= 0]
