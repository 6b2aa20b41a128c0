"""The layer contract: `init(key, shapes)` makes parameters, `apply(params, x)` writes the layer's program."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from clearprop import ops
from clearprop.description import ByName
from clearprop.errors import SettingsError, ShapeError
from clearprop.ir import Batch, Shape, Type
from clearprop.nn.context import Context, applying, follow_times, keep_output
from clearprop.ops import Tensor, show
from clearprop.randomness import Key
from clearprop.settings import check_settings

Array = np.ndarray[Any, Any]
Arrays = dict[str, Array]
Tensors = Mapping[str, Tensor]

_NAME = re.compile(r"[A-Za-z_]\w*\Z")


class Layer(ABC):
    """A piece of a network.

    A layer is a value: it stores its settings and nothing that training changes. Subclasses are frozen
    dataclasses, so that a model file can describe them. The shape of the output needs no code: it is inferred
    by tracing `apply`.
    """

    name: str | None = None

    def __post_init__(self) -> None:
        check_settings(self)

    def init(self, key: Key, shapes: Shape) -> Arrays:
        """Return the initial parameters by name, in float64; none by default.

        Args:
            key: the layer's random stream.
            shapes: the shape of one sample of the input, without the batch.
        """
        return {}

    @abstractmethod
    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Write the layer's program for a batch x of shape (n, ...) and return its output."""


class LayerError(ShapeError):
    """A layer received a shape that it cannot take; the message names the layer by its path."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"layer {path}{reason}")
        self.path = path
        self.reason = reason


def apply_layer(layer: Layer, name: str, params: Tensors, x: Tensor) -> Tensor:
    """Apply a layer as the part `name` of the one at hand: its values are named after its path."""
    with inside(name) as path:
        own = ByName(part(params, name), f"layer {path} has no parameter")
        try:
            output = follow_times(lambda x: layer.apply(own, x), x)
        except LayerError:
            raise
        except ShapeError as error:
            raise LayerError(path, f", {layer!r}, received {show(x.shape)}: {error}") from error
        keep_output(path, layer, output)
        return output


@contextmanager
def inside(name: str) -> Iterator[str]:
    """Stand in the part `name` of the layer at hand for the length of a `with` block; the value is its path."""
    builder = ops.current_builder()
    outer = builder.scope.layer
    path = f"{outer}.{name}" if outer else name
    with builder.at(layer=path, quantity=""):
        yield path


def init_layer(layer: Layer, name: str, key: Key, shapes: Shape) -> Arrays:
    """Make the parameters of the part `name`, their names led by it."""
    try:
        return {f"{name}.{k}": array for k, array in layer.init(key.child(name), shapes).items()}
    except LayerError as error:
        raise LayerError(f"{name}.{error.path}", error.reason) from error
    except ShapeError as error:
        raise LayerError(name, f", {layer!r}, received {show((Batch(), *shapes))}: {error}") from error


def part(params: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the entries below `name`, their names without it."""
    prefix = f"{name}."
    return {key.removeprefix(prefix): value for key, value in params.items() if key.startswith(prefix)}


def output_shape(layer: Layer, params: Mapping[str, Array], shapes: Shape, name: str = "") -> Shape:
    """Infer the shape of one sample of the output by tracing the inference form.

    Raises:
        ShapeError: the layer does not take such a sample; the message names the layer.
    """
    with ops.tracing("output_shape"), applying(Context(training=False)):
        x = ops.placeholder("x", Type("float64", (Batch(), *shapes)))
        prefix = f"{name}." if name else ""
        tensors = {k: ops.placeholder(f"{prefix}{k}", Type("float64", a.shape)) for k, a in params.items()}
        result = (
            apply_layer(layer, name, {f"{prefix}{k}": t for k, t in tensors.items()}, x)
            if name
            else (layer.apply(tensors, x))
        )
    if not result.shape or result.shape[0] != Batch():
        raise LayerError(name or repr(layer), f" must give one row a sample, (n, ...), not {show(result.shape)}")
    return result.shape[1:]


def named(layers: Sequence[Layer]) -> tuple[tuple[str, Layer], ...]:
    """Name layers: their own name, or their class and a number (dense1, dense2, dropout1).

    Raises:
        SettingsError: two layers share a name, or a name is no identifier.
    """
    counts: dict[str, int] = {}
    result: list[tuple[str, Layer]] = []
    for layer in layers:
        kind = type(layer).__name__.lower()
        counts[kind] = counts.get(kind, 0) + 1
        name = layer.name or f"{kind}{counts[kind]}"
        if not _NAME.match(name):
            raise SettingsError(f"{name!r} cannot name a layer; use letters, digits and underscores")
        if any(name == other for other, _ in result):
            raise SettingsError(f"two layers are named {name!r}; give one of them another name=")
        result.append((name, layer))
    return tuple(result)
