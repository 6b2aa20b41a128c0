"""The block that transformers are stacks of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass

from clearprop import ops
from clearprop.errors import ShapeError
from clearprop.ir import Shape
from clearprop.nn.attention import MultiHeadAttention
from clearprop.nn.composition import Sequential
from clearprop.nn.dense import Dense
from clearprop.nn.layer import Arrays, Layer, Tensors, apply_layer, init_layer
from clearprop.nn.noise import Dropout
from clearprop.nn.normalisation import LayerNorm
from clearprop.ops import Tensor, show
from clearprop.randomness import Key
from clearprop.settings import choice, flag, real, whole


@dataclass(frozen=True)
class TransformerBlock(Layer):
    """Attention between the time steps, then two dense layers at each of them, both added to what they are given.

    With A = `MultiHeadAttention`, F(x) = f(x W1 + b1) W2 + b2, D dropout, and two layers N1 and N2 of `LayerNorm`::

        h = x + D(A(N1(x)))    a = h + D(F(N2(h)))     norm="pre"  (Xiong et al., 2020): learns without a warm-up
        h = N1(x + D(A(x)))    a = N2(h + D(F(h)))     norm="post" (Vaswani et al., 2017)

    Shapes: x and a (n, T, d), W1 (d, hidden), W2 (hidden, d); d is a multiple of heads. Steps that a layer before has
    told to be padding (`Masking`, `Embedding`) are not looked at. A stack with norm="pre" ends with a `LayerNorm` of
    its own, since nothing normalises what is added up.

    Attributes:
        heads: of the attention.
        hidden: the units of the first dense layer; four times d is usual.
        activation: f: a name ("relu", "gelu" ...), an activation, or a function of a tensor.
        causal: whether a step sees only itself and those before it.
        norm: where the normalisation stands.
        dropout: the rate at which what is added is dropped in training.
        name: what the layer is called.
    """

    heads: int = whole(MISSING, 1)
    hidden: int = whole(MISSING, 1)
    activation: str | Layer | Callable[[Tensor], Tensor] | None = "relu"
    causal: bool = flag(False)
    norm: str = choice("pre", "post")
    dropout: float = real(0.0, "[0, 1)")
    name: str | None = None

    def _parts(self, d: int) -> tuple[tuple[str, Layer], ...]:
        """The layers by their names; both branches first."""
        drop = (Dropout(self.dropout, name="dropout"),) if self.dropout else ()
        attention = MultiHeadAttention(self.heads, self.causal, name="heads")
        first, second = Dense(self.hidden, self.activation, name="hidden"), Dense(d, name="out")
        return (
            ("attention", Sequential(attention, *drop)),
            ("forward", Sequential(first, second, *drop)),
            ("norm1", LayerNorm()),
            ("norm2", LayerNorm()),
        )

    def init(self, key: Key, shapes: Shape) -> Arrays:
        """Return the parameters: attention.heads., forward.hidden., forward.out., norm1., norm2."""
        params: Arrays = {}
        for name, layer in self._parts(_features(shapes)):
            params.update(init_layer(layer, name, key, shapes))
        return params

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return the sequences after both halves."""
        attention, forward, norm1, norm2 = self._parts(_features(x.shape[1:]))
        for branch, norm in ((attention, norm1), (forward, norm2)):
            x = self._around(branch, norm, params, x)
        return ops.label(x, "a")

    def _around(self, branch: tuple[str, Layer], norm: tuple[str, Layer], params: Tensors, x: Tensor) -> Tensor:
        """Write one half."""
        (inner, layer), (normalised, normalise) = branch, norm
        if self.norm == "pre":
            return x + apply_layer(layer, inner, params, apply_layer(normalise, normalised, params, x))
        return apply_layer(normalise, normalised, params, x + apply_layer(layer, inner, params, x))


def _features(shapes: Shape) -> int:
    if len(shapes) != 2 or not isinstance(shapes[-1], int):
        raise ShapeError(f"expected sequences (T, features) as samples, received {show(shapes)}")
    return shapes[-1]
