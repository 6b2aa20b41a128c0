"""What a layer may ask of the trace it is applied in: the mode, hyper-parameters, random numbers, penalties."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from clearprop import ops
from clearprop.errors import ProgramError
from clearprop.ir import Note, Shape, Type
from clearprop.ops import Tensor

_CONTEXT: ContextVar[Context | None] = ContextVar("clearprop_nn_context", default=None)


@dataclass
class Context:
    """The state of one application of a network while it is traced.

    Attributes:
        training: whether the training form is traced (dropout on, penalties collected) or the inference form.
        hyper: the default of every hyper-parameter asked for, by its input's name.
        penalties: what the layers add to the cost, in the order of the layers.
        random: whether random numbers were asked for; then `key` and `step` are inputs.
    """

    training: bool
    hyper: dict[str, float] = field(default_factory=dict)
    penalties: list[Tensor] = field(default_factory=list)
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
    path, count = f"{builder.scope.layer}.{name}", 1
    while path in taken and context.hyper.get(path) != default:
        count += 1
        path = f"{builder.scope.layer}.{name}_{count}"
    if path in taken:
        return Tensor(taken[path])
    context.hyper[path] = default
    return ops.placeholder(path, Type("float64"), Note(builder.scope.layer, "hyper"))


def random_uniform(shape: Shape) -> Tensor:
    """Return float32 numbers uniform in [0, 1), new at every step, the same for every backend and thread count."""
    context = current_context()
    if context.key is None or context.step is None:
        context.key = ops.placeholder("key", Type("uint32", (2,)))
        context.step = ops.placeholder("step", Type("int64"))
    context.streams += 1
    return ops.uniform(context.key, context.step, context.streams, shape, "float32")


def add_penalty(penalty: Tensor) -> None:
    """Add a scalar to the objective of the network being trained."""
    current_context().penalties.append(penalty)
