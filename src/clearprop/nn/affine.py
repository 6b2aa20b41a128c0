"""What layers with weights share: how W and b start, noise, penalties and constraints on W, the activation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

from clearprop import ops
from clearprop.errors import SettingsError
from clearprop.nn.activations import Activation, activation
from clearprop.nn.constraints import Constraint
from clearprop.nn.context import start_from_data
from clearprop.nn.initializers import DataDriven, Initializer, initializer
from clearprop.nn.layer import Arrays, Layer, Tensors, apply_layer
from clearprop.nn.noise import noise
from clearprop.nn.penalties import Penalty
from clearprop.nn.regularisation import check_regularisation, regularise
from clearprop.ops import Tensor
from clearprop.randomness import Key


class Affine(Layer):
    """z = a linear map of x by the weights W, plus b; a = activation(z). The last axis of W and z counts the units.

    Attributes:
        activation, bias, weights, biases, penalty, constraint, weight_noise: fields of each subclass, see `Dense`.
    """

    activation: str | Layer | Callable[[Tensor], Tensor] | None
    bias: bool
    weights: str | Initializer
    biases: str | Initializer
    penalty: str | Penalty | tuple[str | Penalty, ...]
    constraint: str | Constraint | tuple[str | Constraint, ...]
    weight_noise: str | Layer | None

    def __post_init__(self) -> None:
        super().__post_init__()
        activation(self.activation)
        if self.weights != "auto":
            initializer(self.weights)
        initializer(self.biases)
        check_regularisation(self)
        if self.weight_noise is not None:
            noise(self.weight_noise)

    def first_values(self, key: Key, shape: tuple[int, ...], fan_in: int, fan_out: int) -> Arrays:
        """Return W of a shape, with a bias b, one for each of its last axis, and the activation's parameters."""
        params = {"W": self._weights()(key.child("W"), shape, fan_in, fan_out)}
        if self.bias:
            params["b"] = initializer(self.biases)(key.child("b"), shape[-1:], fan_in, fan_out)
        return params | self._activation_params(key, shape[-1])

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return activation(the linear map of x by W, plus b)."""
        x = self.checked(x, params["W"])
        W = params["W"]
        noisy = W if self.weight_noise is None else apply_layer(noise(self.weight_noise), "weight_noise", {}, W)
        with ops.current_builder().at(quantity="z"):
            z = self.linear(x, noisy)
            z = ops.label(z + params["b"] if self.bias else z, "z")
        self._tell(W, z)
        with ops.current_builder().at(quantity="a"):
            return activation(self.activation).apply(params, z)

    @abstractmethod
    def checked(self, x: Tensor, W: Tensor) -> Tensor:
        """Return x as `linear` takes it; `ShapeError` if it does not go with W."""

    @abstractmethod
    def linear(self, x: Tensor, W: Tensor) -> Tensor:
        """Write the linear map of x."""

    def _weights(self) -> Initializer:
        if self.weights != "auto":
            return initializer(self.weights)
        return initializer(getattr(activation(self.activation), "start", "kaiming"))

    def _activation_params(self, key: Key, units: int) -> Arrays:
        layer = activation(self.activation)
        params = layer.init(key.child("activation"), (units,))
        if params and not isinstance(layer, Activation):
            raise SettingsError(f"an activation has no weights, received {layer!r}: make it the next layer")
        return params

    def _tell(self, W: Tensor, z: Tensor) -> None:
        """Tell the trace of penalties, constraints and initialisers that look at the data."""
        for parameter, start in (("W", self.weights), ("b", self.biases if self.bias else "zeros")):
            chosen = None if start == "auto" else initializer(start)
            if isinstance(chosen, DataDriven):
                start_from_data(parameter, chosen, z)
        regularise("W", W, self.penalty, self.constraint)
