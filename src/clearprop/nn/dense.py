"""The fully connected layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass

from clearprop.errors import ShapeError
from clearprop.ir import Shape
from clearprop.nn.affine import Affine
from clearprop.nn.constraints import Constraint
from clearprop.nn.initializers import Initializer
from clearprop.nn.layer import Arrays, Layer
from clearprop.nn.penalties import Penalty
from clearprop.ops import Tensor, show
from clearprop.randomness import Key
from clearprop.settings import whole


@dataclass(frozen=True)
class Dense(Affine):
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
        penalty: a penalty or several on W (never on b), each as it is or by name.
        constraint: a constraint or several on W, in the same way, applied in order after each update.
        weight_noise: a layer that W goes through in training, or the name of a noise; `Dropout(0.5)` is DropConnect
            (Wan et al., 2013) with one mask a batch. Penalties see W without it.
        name: what the layer is called in messages, files and source; dense1, dense2 ... by default.
    """

    units: int = whole(MISSING, 1)
    activation: str | Layer | Callable[[Tensor], Tensor] | None = None
    bias: bool = True
    weights: str | Initializer = "auto"
    biases: str | Initializer = "zeros"
    penalty: str | Penalty | tuple[str | Penalty, ...] = ()
    constraint: str | Constraint | tuple[str | Constraint, ...] = ()
    weight_noise: str | Layer | None = None
    name: str | None = None

    def init(self, key: Key, shapes: Shape) -> Arrays:
        """Return W (inputs, units), with a bias b (units), and the activation's parameters, if it has any."""
        inputs = shapes[-1] if shapes else None
        if not isinstance(inputs, int):
            raise ShapeError(f"Dense takes samples with a last axis of numbers, received samples {show(shapes)}")
        return self.first_values(key, (inputs, self.units), inputs, self.units)

    def checked(self, x: Tensor, W: Tensor) -> Tensor:
        """Return x; its last axis holds the inputs."""
        if not x.rank or x.shape[-1] != W.shape[0]:
            raise ShapeError(f"expected a last axis of {W.shape[0]} features, received {show(x.shape)}")
        return x

    def linear(self, x: Tensor, W: Tensor) -> Tensor:
        """Write x W."""
        return x @ W
