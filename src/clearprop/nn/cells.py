"""The recurrent layers by their cells: simple, LSTM, GRU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from clearprop import ops
from clearprop.errors import SettingsError
from clearprop.ir import Shape
from clearprop.nn.activations import activation
from clearprop.nn.initializers import initializer
from clearprop.nn.layer import Arrays, Layer, Tensors
from clearprop.nn.recurrent import Recurrent
from clearprop.ops import Tensor
from clearprop.randomness import Key
from clearprop.settings import choice, real, whole


@dataclass(frozen=True)
class SimpleRNN(Recurrent):
    """h_t = f(x_t W + h_(t-1) U + b), or with more memory f(x_t W + h_(t-1) U_1 + ... + h_(t-k) U_k + b).

    See `Recurrent` for what is not said here. U is (k units, units), U_1 on top.

    Attributes:
        activation: f: a name ("tanh", "relu" ...), an activation without parameters, or a function of a tensor.
        memory: k, how many earlier states the new one is computed from; before the first step each is the start.

    Source: Elman (1990), Finding structure in time; Rumelhart, Hinton and Williams (1986).
    """

    activation: str | Layer | Callable[[Tensor], Tensor] | None = "tanh"
    memory: int = whole(1, 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if activation(self.activation).init(Key(0), (1,)):
            raise SettingsError(f"SimpleRNN takes an activation without parameters, received {self.activation!r}")

    @property
    def states(self) -> int:
        """As many as the memory is long."""
        return self.memory

    def init(self, key: Key, shapes: Shape) -> Arrays:
        """Return W, U, b, and start where it is learnt."""
        params = super().init(key, shapes)
        chosen = initializer(self.recurrent)
        square = (self.units, self.units)
        older = [chosen(key.child(f"U0_{k}"), square, *square) for k in range(1, self.memory)]
        # the sum of k orthogonal maps is as large as one, on the average
        params["U"] = np.concatenate([params["U"], *older]) / np.sqrt(self.memory)
        return params

    def cell(self, params: Tensors, z: Tensor, state: Sequence[Tensor], seen: Sequence[Tensor]) -> list[Tensor]:
        """Return f(z + h U), and the states but the oldest."""
        z = ops.label(z + ops.concat(seen, axis=1) @ params["U"], "z")
        return [activation(self.activation).apply({}, z), *state[:-1]]


@dataclass(frozen=True)
class LSTM(Recurrent):
    """Long short-term memory: a cell state c that gates write to, forget and read.

    With z = x_t W + h_(t-1) U + b in the parts i, f, g, o of `units` columns each::

        c_t = sigmoid(f) c_(t-1) + sigmoid(i) tanh(g)
        h_t = sigmoid(o) tanh(c_t)

    See `Recurrent` for what is not said here. The states are h and c.

    Attributes:
        forget: what is added to the biases of f at the start, so that the cell remembers (Jozefowicz et al., 2015).

    Source: Hochreiter and Schmidhuber (1997); the forget gate, Gers et al. (2000).
    """

    forget: float = real(1.0, "(-inf, inf)")
    gates: ClassVar[int] = 4

    @property
    def states(self) -> int:
        """h and c."""
        return 2

    def init(self, key: Key, shapes: Shape) -> Arrays:
        """Return W, U, b with the forget gate's share, and start where it is learnt."""
        params = super().init(key, shapes)
        params["b"][self.units : 2 * self.units] += self.forget
        return params

    def cell(self, params: Tensors, z: Tensor, state: Sequence[Tensor], seen: Sequence[Tensor]) -> list[Tensor]:
        """Return h and c."""
        _, c = state
        z = ops.label(z + seen[0] @ params["U"], "z")
        write, forget, new, read = ops.split(z, 4, axis=1)
        c = ops.label(ops.sigmoid(forget) * c + ops.sigmoid(write) * ops.tanh(new), "c")
        return [ops.label(ops.sigmoid(read) * ops.tanh(c), "h"), c]


@dataclass(frozen=True)
class GRU(Recurrent):
    """The gated recurrent unit: h is a mean of itself and of a new candidate, with a gate for weight.

    With x_t W + b in the parts r, u, n of `units` columns each, and U in U_r, U_u, U_n::

        reset  = sigmoid(r + h U_r)
        update = sigmoid(u + h U_u)
        new    = tanh(n + reset (h U_n + c))    reset="after":  PyTorch, cuDNN and Keras' default
        new    = tanh(n + (reset h) U_n)        reset="before": the paper
        h_t    = (1 - update) new + update h

    See `Recurrent` for what is not said here.

    Attributes:
        reset: whether the reset gate acts after the product with U_n (which then has a bias c of its own), or before.

    Source: Cho et al. (2014), Learning phrase representations using RNN encoder-decoder.
    """

    reset: str = choice("after", "before")
    gates: ClassVar[int] = 3

    def init(self, key: Key, shapes: Shape) -> Arrays:
        """Return W, U, b, c where the reset gate acts after the product, and start where it is learnt."""
        params = super().init(key, shapes)
        if self.reset == "after":
            params["c"] = initializer(self.biases)(key.child("c"), (self.units,), self.units, self.units)
        return params

    def cell(self, params: Tensors, z: Tensor, state: Sequence[Tensor], seen: Sequence[Tensor]) -> list[Tensor]:
        """Return h."""
        (h,), (past,), U = state, seen, params["U"]
        if self.reset == "after":
            product = ops.split(past @ U, 3, axis=1)
            reset, update, new = ops.split(z, 3, axis=1)
            reset, update = ops.sigmoid(reset + product[0]), ops.sigmoid(update + product[1])
            new = ops.tanh(new + reset * (product[2] + params["c"]))
        else:
            gates, last = U[:, : 2 * self.units], U[:, 2 * self.units :]
            reset, update, new = ops.split(z, 3, axis=1)
            first, second = ops.split(past @ gates, 2, axis=1)
            reset, update = ops.sigmoid(reset + first), ops.sigmoid(update + second)
            new = ops.tanh(new + (reset * past) @ last)
        new = ops.label(new, "new")
        return [ops.label(new + update * (h - new), "h")]
