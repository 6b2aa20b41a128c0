"""Attention: every time step looks at the others."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from clearprop import ops
from clearprop.errors import SettingsError, ShapeError
from clearprop.ir import Shape
from clearprop.nn.allowance import filled
from clearprop.nn.context import present_times
from clearprop.nn.initializers import DataDriven, Initializer, initializer
from clearprop.nn.layer import Arrays, Layer, Tensors
from clearprop.ops import Tensor, show
from clearprop.randomness import Key
from clearprop.settings import choice, flag, whole

_NEVER = -1e9
"""The score of a step that is not looked at: its share is exp(-1e9) = 0."""


@dataclass(frozen=True)
class MultiHeadAttention(Layer):
    """Self-attention in several heads, each of which sees d / heads of the features (Vaswani et al., 2017).

    With q, k, v = x Wq + bq, x Wk + bk, x Wv + bv, cut into heads of width w = d / heads::

        a = softmax(q k^T / sqrt(w)) v       of each head, over the time steps that k and v come from
        result = (all a side by side) Wo + bo

    Shapes: x and the result (n, T, d); W (d, 3 d) holds Wq, Wk, Wv, and b (3 d) their biases; Wo (d, d), bo (d). Steps
    that a layer before has told to be padding (`Masking`, `Embedding`) are not looked at.

    Attributes:
        heads: how many; 1 is plain attention.
        causal: whether a step sees only itself and those before it.
        weights: how W and Wo start, part by part.
        name: what the layer is called.
    """

    heads: int = whole(1, 1)
    causal: bool = flag(False)
    weights: str | Initializer = "xavier"
    name: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(initializer(self.weights), DataDriven):
            raise SettingsError(f"MultiHeadAttention starts from data-free initialisers, received {self.weights!r}")

    def init(self, key: Key, shapes: Shape) -> Arrays:
        """Return W, b, Wo and bo."""
        if len(shapes) != 2 or not isinstance(shapes[-1], int) or shapes[-1] % self.heads:
            raise ShapeError(f"expected sequences (T, features) of a multiple of {self.heads}, received {show(shapes)}")
        d = shapes[-1]
        start = initializer(self.weights)
        parts = [start(key.child(f"W{part}"), (d, d), d, d) for part in "qkv"]
        out = start(key.child("Wo"), (d, d), d, d)
        return {"W": np.concatenate(parts, axis=1), "b": filled(0.0, 3 * d), "Wo": out, "bo": filled(0.0, d)}

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return what the heads see, mixed."""
        d = params["Wo"].shape[0]
        if x.rank != 3 or x.shape[-1] != d:
            raise ShapeError(f"expected sequences (n, T, {d}), received {show(x.shape)}")
        q, k, v = (self._by_head(part) for part in ops.split(x @ params["W"] + params["b"], 3, axis=-1))
        width = q.shape[-1]
        assert isinstance(width, int)
        scores = q @ ops.permute_dims(k, (0, 1, 3, 2)) * (1.0 / math.sqrt(width))
        share = ops.name(ops.softmax(self._masked(scores, x), axis=-1), "share")
        seen = ops.reshape(ops.permute_dims(share @ v, (0, 2, 1, 3)), x.shape)
        return ops.label(seen @ params["Wo"] + params["bo"], "a")

    def _by_head(self, x: Tensor) -> Tensor:
        """(n, T, d) as (n, heads, T, w)."""
        n, times, d = x.shape
        assert isinstance(d, int)
        return ops.permute_dims(ops.reshape(x, (n, times, self.heads, d // self.heads)), (0, 2, 1, 3))

    def _masked(self, scores: Tensor, x: Tensor) -> Tensor:
        """Give the steps that are not looked at a score of nothing."""
        times = x.shape[1]
        if self.causal:
            place = ops.arange(times)
            scores = ops.where(ops.reshape(place, (1, times)) <= ops.reshape(place, (times, 1)), scores, _NEVER)
        present = present_times(x)
        if present is None:
            return scores
        return ops.where(ops.reshape(present, (x.shape[0], 1, 1, times)), scores, _NEVER)


@dataclass(frozen=True)
class PositionEncoding(Layer):
    """x plus a vector for each place in the sequence, since attention alone does not know the order.

    Shapes: x and the result (n, T, d).

    Attributes:
        way: "sinusoidal": sin(t / 10000^(2 i / d)) at 2 i and the cosine at 2 i + 1 (Vaswani et al., 2017); "learnt":
            a parameter P (T, d), which starts with zeros.
        name: what the layer is called.
    """

    way: str = choice("sinusoidal", "learnt")
    name: str | None = None

    def init(self, key: Key, shapes: Shape) -> Arrays:
        """Return P where it is learnt."""
        if len(shapes) != 2:
            raise ShapeError(f"expected sequences (T, features) as samples, received {show(shapes)}")
        return {"P": filled(0.0, *map(int, shapes))} if self.way == "learnt" else {}  # type: ignore[arg-type]

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return x with its places."""
        if self.way == "learnt":
            return ops.label(x + params["P"], "a")
        times, d = (int(dim) for dim in x.shape[1:])  # type: ignore[arg-type]
        return ops.label(x + _waves(times, d, x.dtype), "a")


def _waves(times: int, d: int, dtype: str) -> Tensor:
    """Return sines and cosines of the place, (times, d), computed by the program: a constant would hold each of them.

    The angles are in float64, whatever the dtype: in float32 that of place 10 000 would be wrong by up to 0.0005. The
    cosine is the sine of a quarter turn more, so that every element is one sine.
    """
    feature = np.arange(d)
    place = ops.reshape(ops.arange(times, "float64"), (times, 1))
    angle = place / 10000.0 ** (feature // 2 * 2 / d) + feature % 2 * (math.pi / 2)
    return ops.astype(ops.sin(angle), dtype)
