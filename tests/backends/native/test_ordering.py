"""Updates run as soon as they can: no later kernel reads what they replace, and the memory of errors is free early."""

from __future__ import annotations

import pytest
from native_steps import CASES, programs, signature

from clearprop import nn
from clearprop.backends.native.arena import plan
from clearprop.backends.native.following import group
from clearprop.backends.native.module import write_step_module
from clearprop.backends.native.outline import outline
from clearprop.backends.native.rewriting import rewritten
from clearprop.backends.native.targets import TARGETS
from clearprop.backends.native.views import origin
from clearprop.backends.stepping import Roles
from clearprop.ir import Program
from clearprop.losses import CrossEntropy
from clearprop.optim import Adam, ClipByNorm, Optimizer
from clearprop.passes import optimize
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


@pytest.mark.parametrize("case", sorted(CASES))
def test_all_state_is_replaced_in_place(case: str) -> None:
    """But a parameter of one number, which its own sum is made with."""
    program = programs(case, "float32")["step"]
    module = write_step_module(program, Roles.of(program), TARGET)
    state = {value.name for value in program.inputs if value.type.shape not in ((), (1,))}
    assert not [name for name, _, place in module.results if name in state and place >= 0]
