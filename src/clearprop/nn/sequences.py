"""Layers around recurrent ones: tokens to vectors, padding, both directions, from one sequence to another."""

from __future__ import annotations

import dataclasses
from dataclasses import MISSING, dataclass

from clearprop import ops
from clearprop.errors import SettingsError, ShapeError
from clearprop.ir import Shape
from clearprop.nn.context import join_times, mask_times, present_times, refuse_carrying
from clearprop.nn.initializers import Initializer, initializer
from clearprop.nn.layer import Arrays, Layer, Tensors, apply_layer, init_layer
from clearprop.nn.recurrent import Recurrent, walk_part
from clearprop.ops import Tensor, show
from clearprop.randomness import Key
from clearprop.settings import choice, real, whole


@dataclass(frozen=True)
class Embedding(Layer):
    """A vector for each token: a = W[x].

    Shapes: x (n, ...) of tokens 0, 1, ..., tokens - 1, W (tokens, units), a (n, ..., units). Tokens may come as floats;
    float32 holds every one up to 16 777 216. Where this is the first layer, a model refuses samples that are no such
    tokens; elsewhere a token outside of the range is an IndexError when the program runs.

    Attributes:
        tokens: how many there are.
        units: the length of a vector.
        padding: the token that stands for no token; in (n, T), recurrent layers and attention leave its steps out.
        weights: how W starts.
        name: what the layer is called.
    """

    tokens: int = whole(MISSING, 1)
    units: int = whole(MISSING, 1)
    padding: int | None = None
    weights: str | Initializer = "normal"
    name: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        initializer(self.weights)
        if self.padding is not None and self.padding not in range(self.tokens):
            raise SettingsError(f"Embedding: padding is one of the tokens or None, received {self.padding!r}")

    def init(self, key: Key, shapes: Shape) -> Arrays:
        """Return W."""
        return {"W": initializer(self.weights)(key.child("W"), (self.tokens, self.units), self.tokens, self.units)}

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return the rows of W."""
        tokens = ops.astype(x, "int64") if x.dtype.startswith("float") else x
        if self.padding is not None:
            mask_times(ops.name(tokens != self.padding, "present"))
        return ops.label(ops.take(params["W"], tokens), "a")


@dataclass(frozen=True)
class Masking(Layer):
    """Sequences of different lengths: a time step of which every feature is `padding` is left out.

    x (n, T, features) is given on as it is. The recurrent layers that follow keep their state at such steps, wherever
    in the sequence they are; attention does not look at them.

    Attributes:
        padding: the number that stands for nothing.
        name: what the layer is called.
    """

    padding: float = real(0.0, "(-inf, inf)")
    name: str | None = None

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return x, and tell which of its steps are present."""
        if x.rank != 3:
            raise ShapeError(f"expected sequences (n, T, features), received {show(x.shape)}")
        equal = ops.astype(x == self.padding, x.dtype)
        mask_times(ops.name(ops.min(equal, axis=2) < 0.5, "present"))
        return x


@dataclass(frozen=True)
class Bidirectional(Layer):
    """A recurrent layer and one of its kind that walks the other way, joined (Schuster and Paliwal, 1997).

    Attributes:
        layer: the recurrent layer.
        join: "concat" puts their results side by side, so that there are twice the units; "add" adds them.
        name: what the layer is called.
    """

    layer: Recurrent
    join: str = choice("concat", "add")
    name: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_recurrent(self, self.layer)

    def _parts(self) -> tuple[tuple[str, Layer], ...]:
        return ("forward", self.layer), ("backward", dataclasses.replace(self.layer, reverse=not self.layer.reverse))

    def init(self, key: Key, shapes: Shape) -> Arrays:
        """Return the parameters of both, named forward. and backward."""
        (first, forward), (second, backward) = self._parts()
        return init_layer(forward, first, key, shapes) | init_layer(backward, second, key, shapes)

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return both results, joined."""
        forward, backward = both = [apply_layer(layer, name, params, x) for name, layer in self._parts()]
        join_times(both)
        return ops.label(ops.concat(both, -1) if self.join == "concat" else forward + backward, "a")


@dataclass(frozen=True)
class EncoderDecoder(Layer):
    """From one sequence to another of a length of its own (Cho et al., 2014; Sutskever et al., 2014).

    The encoder reads x (n, T, features); the decoder starts from its last states, gets its last output as the input of
    every step, and gives (n, steps, units). Padding of x is left out.

    Attributes:
        encoder: a recurrent layer.
        decoder: a recurrent layer with the same states.
        steps: the length of the result.
        name: what the layer is called.
    """

    encoder: Recurrent
    decoder: Recurrent
    steps: int = whole(MISSING, 1)
    name: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for layer in (self.encoder, self.decoder):
            _check_recurrent(self, layer)
        if (self.encoder.units, self.encoder.states) != (self.decoder.units, self.decoder.states):
            raise SettingsError("EncoderDecoder: the decoder starts from the encoder's states, so theirs must be equal")

    def init(self, key: Key, shapes: Shape) -> Arrays:
        """Return the parameters of both, named encoder. and decoder."""
        inner = (self.steps, self.encoder.units)
        return init_layer(self.encoder, "encoder", key, shapes) | init_layer(self.decoder, "decoder", key, inner)

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return what the decoder gives out at every step."""
        refuse_carrying("its encoder reads a whole sequence")
        states, _ = walk_part(self.encoder, "encoder", params, x, present=present_times(x))
        n, units = states[0].shape
        context = ops.broadcast_to(ops.reshape(states[0], (n, 1, units)), (n, self.steps, units))
        decoder = dataclasses.replace(self.decoder, outputs="all")
        _, outputs = walk_part(decoder, "decoder", params, context, start=states)
        assert outputs is not None
        mask_times(None)
        return ops.label(outputs, "a")


def _check_recurrent(owner: Layer, layer: object) -> None:
    if not isinstance(layer, Recurrent):
        raise SettingsError(f"{type(owner).__name__} takes recurrent layers such as LSTM(32), received {layer!r}")
