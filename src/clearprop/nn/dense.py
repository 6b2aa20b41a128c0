"""The fully connected layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from clearprop import ops
from clearprop.errors import SettingsError, ShapeError
from clearprop.ir import Shape
from clearprop.nn.activations import Identity, Sigmoid, Softmax, Tanh, activation
from clearprop.nn.context import add_penalty, is_training
from clearprop.nn.initializers import Initializer, Kaiming, Xavier, initializer
from clearprop.nn.layer import Arrays, Layer, Tensors
from clearprop.nn.penalties import Penalty
from clearprop.ops import Tensor, show
from clearprop.randomness import Key


@dataclass(frozen=True)
class Dense(Layer):
    """z = x W + b, a = activation(z).

    Shapes: x (n, ..., inputs), W (inputs, units), b (units), a (n, ..., units).

    Attributes:
        units: the number of outputs.
        activation: a name ("relu", "tanh", ...), a layer without parameters, a function of a tensor, or None.
        bias: whether b is added.
        weights: how W starts; "auto" is Xavier for sigmoid, tanh, softmax and no activation, else Kaiming.
        biases: how b starts.
        penalty: a penalty or several on W (never on b).
        name: what the layer is called in messages, files and source; dense1, dense2 ... by default.
    """

    units: int
    activation: str | Layer | Callable[[Tensor], Tensor] | None = None
    bias: bool = True
    weights: str | Initializer = "auto"
    biases: str | Initializer = "zeros"
    penalty: Penalty | tuple[Penalty, ...] = ()
    name: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.units, bool) or not isinstance(self.units, int) or self.units < 1:
            raise SettingsError(f"Dense needs a positive whole number of units, received {self.units!r}")
        activation(self.activation)
        if self.weights != "auto":
            initializer(self.weights)
        initializer(self.biases)
        for penalty in self._penalties():
            if not isinstance(penalty, Penalty):
                raise SettingsError(
                    f"a penalty is a Penalty such as L2(1e-4), or a tuple of them, received {penalty!r}"
                )

    def init(self, key: Key, shapes: Shape) -> Arrays:
        """Return W (inputs, units) and, with a bias, b (units)."""
        inputs = shapes[-1] if shapes else None
        if not isinstance(inputs, int):
            raise ShapeError(f"Dense takes samples with a last axis of numbers, received samples {show(shapes)}")
        if activation(self.activation).init(key, (self.units,)):
            raise SettingsError(
                f"an activation has no parameters, received {self.activation!r}: make it the next layer"
            )
        fans = (inputs, self.units)
        params = {"W": self._weights()(key.child("W"), fans, *fans)}
        if self.bias:
            params["b"] = initializer(self.biases)(key.child("b"), (self.units,), *fans)
        return params

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return activation(x W + b)."""
        W = params["W"]
        if not x.rank or x.shape[-1] != W.shape[0]:
            raise ShapeError(f"expected a last axis of {W.shape[0]} features, received {show(x.shape)}")
        with ops.current_builder().at(quantity="z"):
            z = x @ W + params["b"] if self.bias else x @ W
            ops.label(z, "z")
        if is_training():
            self._penalize(W)
        with ops.current_builder().at(quantity="a"):
            return activation(self.activation).apply({}, z)

    def _weights(self) -> Initializer:
        if self.weights != "auto":
            return initializer(self.weights)
        saturating = (Identity, Sigmoid, Tanh, Softmax)
        return Xavier() if isinstance(activation(self.activation), saturating) else Kaiming()

    def _penalties(self) -> tuple[Penalty, ...]:
        return self.penalty if isinstance(self.penalty, tuple) else (self.penalty,)

    def _penalize(self, W: Tensor) -> None:
        for penalty in self._penalties():
            with ops.current_builder().at(quantity="penalty"):
                add_penalty(ops.label(penalty(W), "penalty"))
