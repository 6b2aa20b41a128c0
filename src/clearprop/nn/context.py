"""What a layer may ask of the trace it is applied in, or tell it: the mode, random numbers, penalties and more."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from clearprop import ops
from clearprop.errors import ProgramError, SettingsError
from clearprop.ir import Note, Shape, Type
from clearprop.ops import Tensor

_CONTEXT: ContextVar[Context | None] = ContextVar("clearprop_nn_context", default=None)


@dataclass
class Times:
    """Which time steps (n, T) are no padding, as the layer at hand sees it; None where all count.

    A mask belongs to the sequence that it was made for, and goes with it from layer to layer. What a layer gives has

    - the mask that the layer tells, by `mask_times`;
    - else, where it gives on what a layer inside of it gave, the mask of that;
    - else, where it has as many time steps as what the layer was given, the mask of that;
    - else none: all steps count.

    So layers side by side, and layers inside of another, leave no mask behind for one another. Recurrent layers that
    give their last state, `EncoderDecoder`, global pooling and `ChannelsLast` tell that all steps count, since what
    they give is no sequence or another one, though it may be as long. Where sequences are put together, as by
    `Parallel`, `Residual` and `Bidirectional`, a step counts that is padding in none of them.

    Attributes:
        given: of what the layer at hand was given, or has told.
        of: of what the layers inside of it gave.
    """

    given: Tensor | None = None
    of: dict[int, tuple[Tensor, Tensor | None]] = field(default_factory=dict)


@dataclass
class Context:
    """The state of one application of a network while it is traced.

    Attributes:
        training: whether the training form is traced (dropout on, penalties collected) or the inference form.
        hyper: the default of every hyper-parameter asked for, by its input's name.
        penalties: what the layers add to the cost, in the order of the layers.
        after_update: for a parameter by name, what its new value goes through after each update.
        data_driven: for a parameter by name, how it starts from data, and the values of the layer that this looks at.
        averages: for a parameter by name that is a running average, its new value after a training step.
        momenta: the names of the hyper-parameters that say how much the newest batch counts in those.
        frozen: the parameters that training leaves as they are.
        mix: how the losses of two samples are mixed: the first one's weight, and the place of each sample's partner.
        times: which time steps of the sequences at hand are no padding; see `Times` for whose they are.
        carries: whether the states of recurrent layers come in as inputs, and go out, so that a sequence goes on.
        fresh: whether every sequence starts anew all the same, a boolean that is given when the program runs; or None.
        states: the states of recurrent layers after the last time step, by the name of the input.
        outputs: the layers and what they give, by the paths of their names, in the order in which they are done.
        random: whether random numbers were asked for; then `key` and `step` are inputs.
    """

    training: bool
    hyper: dict[str, float] = field(default_factory=dict)
    penalties: list[Tensor] = field(default_factory=list)
    after_update: dict[str, tuple[Callable[[Tensor], Tensor], ...]] = field(default_factory=dict)
    data_driven: dict[str, tuple[Any, Tensor]] = field(default_factory=dict)
    averages: dict[str, Tensor] = field(default_factory=dict)
    momenta: list[str] = field(default_factory=list)
    frozen: frozenset[str] = frozenset()
    mix: tuple[Tensor, Tensor] | None = None
    times: Times = field(default_factory=Times)
    carries: bool = False
    fresh: Tensor | None = None
    states: dict[str, Tensor] = field(default_factory=dict)
    outputs: dict[str, tuple[Any, Tensor]] = field(default_factory=dict)
    key: Tensor | None = None
    step: Tensor | None = None
    streams: int = 0

    @property
    def random(self) -> bool:
        """Whether the traced program takes a key and a step."""
        return self.key is not None


@contextmanager
def applying(context: Context) -> Iterator[Context]:
    """Make a context the one that layers ask, for the length of a `with` block."""
    token = _CONTEXT.set(context)
    try:
        yield context
    finally:
        _CONTEXT.reset(token)


def current_context() -> Context:
    """Return the context of the network being traced; `ProgramError` outside of one."""
    context = _CONTEXT.get()
    if context is None:
        raise ProgramError("a layer is applied inside of a model; use cp.Model, or nn.applying(nn.Context(...))")
    return context


def is_training() -> bool:
    """Tell whether the training form of the network is traced."""
    return current_context().training


def hyper(name: str, default: float) -> Tensor:
    """Return a hyper-parameter of the layer at hand: a float64 scalar that is given when the program runs.

    Asked for twice it is the same one, unless the defaults differ (two L2 penalties): then the name gets a number.
    """
    context = current_context()
    builder = ops.current_builder()
    taken = {value.name: value for value in builder.inputs}
    path, count = _path(name), 1
    while path in taken and context.hyper.get(path) != default:
        count += 1
        path = _path(f"{name}_{count}")
    if path in taken:
        return Tensor(taken[path])
    context.hyper[path] = default
    return ops.placeholder(path, Type("float64"), Note(builder.scope.layer, "hyper"))


def random_uniform(shape: Shape) -> Tensor:
    """Return float32 numbers uniform in [0, 1), new at every step, the same for every backend and thread count."""
    context = current_context()
    if context.key is None:
        context.key = ops.placeholder("key", Type("uint32", (2,)))
    step = step_number()
    context.streams += 1
    return ops.uniform(context.key, step, context.streams, shape, "float32")


def step_number() -> Tensor:
    """Return the number of the training step, an int64 scalar that counts from 0."""
    context = current_context()
    if context.step is None:
        context.step = ops.placeholder("step", Type("int64"))
    return context.step


def random_normal(shape: Shape) -> Tensor:
    """Return float32 standard normal numbers, as `random_uniform` returns uniform ones.

    sqrt(-2 log(1 - u)) cos(2 pi v) of two uniform numbers (Box and Muller, 1958); of 24 bits each, so at most 5.8.
    """
    u, v = random_uniform(shape), random_uniform(shape)
    return ops.sqrt(-2.0 * ops.log(1.0 - u)) * ops.cos(2.0 * math.pi * v)


def add_penalty(penalty: Tensor) -> None:
    """Add a scalar to the objective of the network being trained."""
    current_context().penalties.append(penalty)


def after_update(parameter: str, *changes: Callable[[Tensor], Tensor]) -> None:
    """Have a parameter of the layer at hand go through functions, such as constraints, after each update."""
    current_context().after_update[_path(parameter)] = changes


def keep_average(parameter: str, old: Tensor, value: Tensor, momentum: float, counts: Tensor | float = 1.0) -> None:
    """Have a parameter of the layer at hand, which no gradient changes, follow a value of each training step.

    Its new value is (1 - r) old + r value with r = momentum counts. Such a parameter is a running average: state of the
    network that is kept with the other parameters, and that the optimiser does not see.

    Args:
        parameter: its name in the layer.
        old: the parameter.
        value: what it follows, of the same type.
        momentum: how much the newest value counts; the default of a hyper-parameter.
        counts: 1 for a step that counts and 0 for one that does not.
    """
    context = current_context()
    with ops.current_builder().at(quantity=f"update {parameter}"):
        rate = ops.name(ops.astype(hyper("momentum", momentum), old.dtype) * counts, "rate")
        new = (1.0 - rate) * old + rate * value
        context.averages[_path(parameter)] = ops.name(new, f"{parameter}_new")
    context.momenta.append(_path("momentum"))


def is_frozen(parameter: str) -> bool:
    """Tell whether training leaves a parameter of the layer at hand as it is."""
    return _path(parameter) in current_context().frozen


def start_from_data(parameter: str, initializer: Any, z: Tensor) -> None:
    """Tell that a `DataDriven` initialiser fits a parameter of the layer at hand to the z that the layer gives."""
    current_context().data_driven[_path(parameter)] = (initializer, z)


def mix_loss(weight: Tensor, partner: Tensor) -> None:
    """Have the loss of each sample mixed with that for its partner's target: weight and 1 - weight of the two."""
    context = current_context()
    if context.mix is not None:
        raise SettingsError("a network mixes its samples once: leave all but one Mixup out")
    context.mix = (weight, partner)


def mask_times(present: Tensor | None) -> None:
    """Tell which time steps (n, T) of what the layer at hand gives are no padding; the layers after it leave them out.

    None tells that all steps count. Where a layer tells nothing, its output has the mask of its input, if it has as
    many steps; a layer that gives another sequence of that length tells so. `nn.context.Times` has the whole rule.
    """
    current_context().times = Times(present)


def present_times(x: Tensor) -> Tensor | None:
    """Return which time steps of x (n, T, ...) are no padding, or None where they all count."""
    times = current_context().times
    _, present = times.of.get(id(x), (x, times.given))
    return present if present is not None and present.shape == x.shape[:2] else None


def join_times(parts: Sequence[Tensor]) -> None:
    """Tell that a time step counts which is padding in none of the sequences that the layer at hand puts together."""
    masks = {id(present): present for part in parts if (present := present_times(part)) is not None}
    joined: Tensor | None = None
    if len({present.shape for present in masks.values()}) == 1:
        joined, *others = masks.values()
        for present in others:
            joined = ops.name(ops.logical_and(joined, present), "present")
    mask_times(joined)


def follow_times(apply: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return apply(x), and keep which of its time steps are no padding for the layer around it; see `Times`."""
    context = _CONTEXT.get()
    if context is None:
        return apply(x)
    around, given = context.times, present_times(x)
    context.times = Times(given)
    output = apply(x)
    present = present_times(output)
    context.times = around
    if output is x and present is not given:
        output = x * 1  # a value of its own, so that x keeps its mask for layers beside this one; a pass removes it
    around.of[id(output)] = (output, present)
    return output


def carried_states(first: Sequence[Tensor], reverse: bool = False) -> list[Tensor]:
    """Return the states that the layer at hand goes on from: `first`, where each sequence starts anew.

    Raises:
        SettingsError: states are to be carried on by a layer that goes backwards in time.
    """
    context = current_context()
    if not context.carries:
        return list(first)
    if context.fresh is None:
        return [ops.placeholder(_path(f"state{k}"), state.type) for k, state in enumerate(first)]
    if reverse:
        refuse_carrying("it goes from the last time step to the first")
    carried = [ops.placeholder(_path(f"state{k}"), state.type) for k, state in enumerate(first)]
    return [ops.where(context.fresh, new, old) for new, old in zip(first, carried, strict=True)]


def refuse_carrying(why: str) -> None:
    """Raise `SettingsError` where the layer at hand is to carry states from batch to batch, which it cannot."""
    if current_context().fresh is not None:
        layer = ops.current_builder().scope.layer
        raise SettingsError(f"the layer {layer} carries no state on to the next window: {why}; leave out stateful=True")


def carry_on(states: Sequence[Tensor]) -> None:
    """Tell the states of the layer at hand after the last time step, for a sequence that goes on."""
    context = current_context()
    if context.carries:
        context.states |= {_path(f"state{k}"): state for k, state in enumerate(states)}


def keep_output(path: str, layer: Any, output: Tensor) -> None:
    """Keep what a layer gives, for those who look into a network."""
    context = _CONTEXT.get()
    if context is not None:
        context.outputs[path] = (layer, output)


def _path(name: str) -> str:
    """The name of a part of the layer at hand."""
    layer = ops.current_builder().scope.layer
    return f"{layer}.{name}" if layer else name
