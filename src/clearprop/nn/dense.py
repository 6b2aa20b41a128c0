"""The fully connected layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass
from typing import TypeVar

from clearprop import ops
from clearprop.errors import SettingsError, ShapeError
from clearprop.ir import Shape
from clearprop.nn.activations import Activation, activation
from clearprop.nn.constraints import Constraint
from clearprop.nn.context import add_penalty, after_update, is_training, start_from_data
from clearprop.nn.initializers import DataDriven, Initializer, initializer
from clearprop.nn.layer import Arrays, Layer, Tensors, apply_layer
from clearprop.nn.penalties import Penalty
from clearprop.ops import Tensor, show
from clearprop.randomness import Key
from clearprop.settings import whole

T = TypeVar("T")


@dataclass(frozen=True)
class Dense(Layer):
    """z = x W + b, a = activation(z).

    Shapes: x (n, ..., inputs), W (inputs, units), b (units), a (n, ..., units).

    Attributes:
        units: the number of outputs.
        activation: a name ("relu", "tanh", ...), an activation, a function of a tensor, or None. GLU and maxout give
            fewer numbers than there are units; PReLU brings a parameter, slope.
        bias: whether b is added.
        weights: how W starts; "auto" suits the activation: Xavier for those that level off and for none, LeCun's for
            SELU, Kaiming's for ReLU and its kin and for functions.
        biases: how b starts.
        penalty: a penalty or several on W (never on b).
        constraint: a constraint or several on W, applied in order after each update.
        weight_noise: a layer that W goes through in training; `Dropout(0.5)` is DropConnect (Wan et al., 2013) with one
            mask a batch. Penalties see W without it.
        name: what the layer is called in messages, files and source; dense1, dense2 ... by default.
    """

    units: int = whole(MISSING, 1)
    activation: str | Layer | Callable[[Tensor], Tensor] | None = None
    bias: bool = True
    weights: str | Initializer = "auto"
    biases: str | Initializer = "zeros"
    penalty: Penalty | tuple[Penalty, ...] = ()
    constraint: Constraint | tuple[Constraint, ...] = ()
    weight_noise: Layer | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        activation(self.activation)
        if self.weights != "auto":
            initializer(self.weights)
        initializer(self.biases)
        for penalty in _several(self.penalty):
            if not isinstance(penalty, Penalty):
                raise SettingsError(
                    f"a penalty is a Penalty such as L2(1e-4), or a tuple of them, received {penalty!r}"
                )
        for constraint in _several(self.constraint):
            if not isinstance(constraint, Constraint):
                raise SettingsError(
                    f"a constraint is a Constraint such as MaxNorm(3.0), or a tuple of them, received {constraint!r}"
                )
        if not isinstance(self.weight_noise, Layer | None):
            raise SettingsError(f"weight_noise is a layer such as Dropout(0.5), received {self.weight_noise!r}")

    def init(self, key: Key, shapes: Shape) -> Arrays:
        """Return W (inputs, units), with a bias b (units), and the activation's parameters, if it has any."""
        inputs = shapes[-1] if shapes else None
        if not isinstance(inputs, int):
            raise ShapeError(f"Dense takes samples with a last axis of numbers, received samples {show(shapes)}")
        fans = (inputs, self.units)
        params = {"W": self._weights()(key.child("W"), fans, *fans)}
        if self.bias:
            params["b"] = initializer(self.biases)(key.child("b"), (self.units,), *fans)
        return params | self._activation_params(key)

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return activation(x W + b)."""
        W = params["W"]
        if not x.rank or x.shape[-1] != W.shape[0]:
            raise ShapeError(f"expected a last axis of {W.shape[0]} features, received {show(x.shape)}")
        noisy = W if self.weight_noise is None else apply_layer(self.weight_noise, "weight_noise", {}, W)
        with ops.current_builder().at(quantity="z"):
            z = x @ noisy + params["b"] if self.bias else x @ noisy
            ops.label(z, "z")
        self._tell(W, z)
        with ops.current_builder().at(quantity="a"):
            return activation(self.activation).apply(params, z)

    def _weights(self) -> Initializer:
        if self.weights != "auto":
            return initializer(self.weights)
        return initializer(getattr(activation(self.activation), "start", "kaiming"))

    def _activation_params(self, key: Key) -> Arrays:
        layer = activation(self.activation)
        params = layer.init(key.child("activation"), (self.units,))
        if params and not isinstance(layer, Activation):
            raise SettingsError(f"an activation has no weights, received {layer!r}: make it the next layer")
        return params

    def _tell(self, W: Tensor, z: Tensor) -> None:
        """Tell the trace of penalties, constraints and initialisers that look at the data."""
        for parameter, start in (("W", self.weights), ("b", self.biases if self.bias else "zeros")):
            chosen = None if start == "auto" else initializer(start)
            if isinstance(chosen, DataDriven):
                start_from_data(parameter, chosen, z)
        if not is_training():
            return
        for penalty in _several(self.penalty):
            with ops.current_builder().at(quantity="penalty"):
                add_penalty(ops.label(penalty(W), "penalty"))
        if self.constraint:
            after_update("W", *_several(self.constraint))


def _several(thing: T | tuple[T, ...]) -> tuple[T, ...]:
    return thing if isinstance(thing, tuple) else (thing,)
