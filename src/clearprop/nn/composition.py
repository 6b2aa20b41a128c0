"""Layers made of layers: one after another, around, and side by side."""

from __future__ import annotations

from dataclasses import dataclass

from clearprop import ops
from clearprop.errors import SettingsError, ShapeError
from clearprop.ir import Shape
from clearprop.nn.context import join_times
from clearprop.nn.function import Function
from clearprop.nn.layer import Arrays, Layer, Tensors, apply_layer, init_layer, named, output_shape, part
from clearprop.ops import Tensor, show
from clearprop.randomness import Key


@dataclass(frozen=True, init=False)
class Sequential(Layer):
    """Layers one after another: each takes the output of the one before."""

    layers: tuple[Layer, ...]
    name: str | None = None

    def __init__(self, *args: Layer, layers: tuple[Layer, ...] = (), name: str | None = None) -> None:
        object.__setattr__(self, "layers", _checked(args or tuple(layers), type(self).__name__))
        object.__setattr__(self, "name", name)

    def init(self, key: Key, shapes: Shape) -> Arrays:
        """Return the parameters of every layer, named layer.parameter."""
        params: Arrays = {}
        for name, layer in named(self.layers):
            own = init_layer(layer, name, key, shapes)
            params.update(own)
            shapes = output_shape(layer, part(own, name), shapes, name)
        return params

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Apply the layers in order."""
        for name, layer in named(self.layers):
            x = apply_layer(layer, name, params, x)
        return x


@dataclass(frozen=True)
class Residual(Layer):
    """x + layer(x) (He et al., 2016); the layer must keep the shape, or `shortcut` must bring x to it."""

    layer: Layer
    shortcut: Layer | None = None
    name: str | None = None

    def _parts(self) -> tuple[tuple[str, Layer], ...]:
        shortcut = () if self.shortcut is None else (("shortcut", self.shortcut),)
        return (("inner", self.layer), *shortcut)

    def init(self, key: Key, shapes: Shape) -> Arrays:
        """Return the parameters of the layer (inner) and of the shortcut."""
        return _init_side_by_side(self._parts(), key, shapes)

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return x, or its shortcut, plus layer(x)."""
        inner = apply_layer(self.layer, "inner", params, x)
        around = x if self.shortcut is None else apply_layer(self.shortcut, "shortcut", params, x)
        if inner.shape != around.shape:
            raise ShapeError(
                f"the inner layer gives {show(inner.shape)} and the way around it {show(around.shape)}: "
                "they must be equal to be added; give a shortcut= that brings x to the inner layer's shape"
            )
        join_times([around, inner])
        return ops.label(around + inner, "a")


@dataclass(frozen=True, init=False)
class Parallel(Layer):
    """Layers side by side on the same input, joined along the last axis ("concat") or added up ("add").

    A mask of padding that one branch makes is not seen by the others. After them, a time step that is padding in one
    of the branches is padding.
    """

    layers: tuple[Layer, ...]
    join: str = "concat"
    name: str | None = None

    def __init__(
        self, *args: Layer, layers: tuple[Layer, ...] = (), join: str = "concat", name: str | None = None
    ) -> None:
        if join not in ("concat", "add"):
            raise SettingsError(f"Parallel joins by 'concat' or 'add', received {join!r}")
        object.__setattr__(self, "layers", _checked(args or tuple(layers), type(self).__name__))
        object.__setattr__(self, "join", join)
        object.__setattr__(self, "name", name)

    def init(self, key: Key, shapes: Shape) -> Arrays:
        """Return the parameters of every branch, named branch.parameter."""
        return _init_side_by_side(named(self.layers), key, shapes)

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Apply every branch to x and join the results."""
        branches = [apply_layer(layer, name, params, x) for name, layer in named(self.layers)]
        join_times(branches)
        if self.join == "concat":
            return ops.label(ops.concat(branches, axis=-1), "a")
        total = branches[0]
        for branch in branches[1:]:
            if branch.shape != total.shape:
                raise ShapeError(f"branches of {show(total.shape)} and {show(branch.shape)} cannot be added")
            total = total + branch
        return ops.label(total, "a")


def _init_side_by_side(parts: tuple[tuple[str, Layer], ...], key: Key, shapes: Shape) -> Arrays:
    params: Arrays = {}
    for name, layer in parts:
        params.update(init_layer(layer, name, key, shapes))
    return params


def _remedy(odd: object) -> str:
    """Say what is no layer, and how it becomes one."""
    if isinstance(odd, type):
        return f"the class {odd.__name__}: make a layer of it, {odd.__name__}(...)"
    if isinstance(odd, str):
        return f"{odd!r}: an activation is a layer such as ReLU(), or Dense(units, {odd!r})"
    if hasattr(odd, "apply"):
        return f"{odd!r}: let its class inherit from clearprop.Layer"
    return repr(odd)


def _checked(layers: tuple[Layer, ...], owner: str) -> tuple[Layer, ...]:
    if not layers:
        raise SettingsError(f"{owner} needs at least one layer")
    for layer in layers:
        if isinstance(layer, type) or not (callable(layer) or isinstance(layer, Layer)):
            raise SettingsError(f"{owner} takes layers and functions of a tensor, received {_remedy(layer)}")
    wrapped = tuple(layer if isinstance(layer, Layer) else Function(layer) for layer in layers)
    named(wrapped)
    return wrapped
