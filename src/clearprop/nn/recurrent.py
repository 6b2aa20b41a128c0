"""Recurrent layers: what they share. The cells are in `cells`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import MISSING, dataclass
from typing import ClassVar

import numpy as np

from clearprop import ops
from clearprop.errors import SettingsError, ShapeError
from clearprop.ir import Shape
from clearprop.nn.allowance import filled
from clearprop.nn.constraints import Constraint
from clearprop.nn.context import carried_states, carry_on, is_training, mask_times, present_times
from clearprop.nn.initializers import DataDriven, Initializer, initializer
from clearprop.nn.layer import Array, Arrays, Layer, Tensors, inside, part
from clearprop.nn.noise import dropout_mask
from clearprop.nn.penalties import Penalty
from clearprop.nn.regularisation import check_regularisation, regularise
from clearprop.ops import Tensor, show
from clearprop.randomness import Key
from clearprop.settings import choice, flag, real, whole


@dataclass(frozen=True)
class Recurrent(Layer):
    """A layer that walks over time with a state: h_t = cell(x_t W + b, h_(t-1)).

    Shapes: x (n, T, features), W (features, gates units), U (units, gates units), b (gates units); the result is
    (n, units), or (n, T, units) with outputs="all". x W + b is one product over all time steps, before the loop.
    Where a layer before it (`Masking`, `Embedding`) has told which steps are padding, the state stays as it is there.

    Attributes:
        units: the length of the state.
        outputs: "last" gives the state after the last step (many to one), "all" that after every step (many to many).
        reverse: walk from the last time step to the first; the state of step t is still given out at place t.
        start: the state before the first step: "zeros", or "learnt", one for all samples.
        weights: how W starts, gate by gate.
        recurrent: how U starts, gate by gate.
        biases: how b starts.
        penalty, recurrent_penalty: added to the objective for W and for U: `L1`, `L2`, or a tuple of them.
        constraint, recurrent_constraint: kept by W and by U after each update: `MaxNorm` ..., or a tuple of them.
        recurrent_dropout: in training, the part of the state that the product with U does not see: drawn once for each
            sequence, the same at all of its time steps (Gal and Ghahramani, 2016), and the rest divided by 1 - rate.
        checkpoint: keep only every so many states for the derivative, see `clearprop.ops.scan`; 0 keeps all.
        name: what the layer is called.
    """

    units: int = whole(MISSING, 1)
    outputs: str = choice("last", "all")
    reverse: bool = flag(False)
    start: str = choice("zeros", "learnt")
    weights: str | Initializer = "xavier"
    recurrent: str | Initializer = "orthogonal"
    biases: str | Initializer = "zeros"
    penalty: str | Penalty | tuple[str | Penalty, ...] = ()
    recurrent_penalty: str | Penalty | tuple[str | Penalty, ...] = ()
    constraint: str | Constraint | tuple[str | Constraint, ...] = ()
    recurrent_constraint: str | Constraint | tuple[str | Constraint, ...] = ()
    recurrent_dropout: float = real(0.0, "[0, 1)")
    checkpoint: int = whole(0, 0)
    name: str | None = None

    gates: ClassVar[int] = 1
    """How many weighted inputs of `units` numbers the cell takes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_regularisation(self)
        check_regularisation(self, "recurrent_")
        for start in (self.weights, self.recurrent, self.biases):
            if isinstance(initializer(start), DataDriven):
                raise SettingsError(
                    f"{type(self).__name__} starts from initialisers that need no data, received {start!r}"
                )

    @property
    def states(self) -> int:
        """How many states of (n, units) go from step to step; the first of them is given out."""
        return 1

    @abstractmethod
    def cell(self, params: Tensors, z: Tensor, state: Sequence[Tensor], seen: Sequence[Tensor]) -> list[Tensor]:
        """Write one time step: from z = x_t W + b and the states to the new states.

        The product with U takes the states as in `seen`, which in training `recurrent_dropout` may have thinned.
        """

    def init(self, key: Key, shapes: Shape) -> Arrays:
        """Return W and U, gate by gate side by side, b, and start where it is learnt."""
        if len(shapes) != 2 or not isinstance(shapes[-1], int):
            raise ShapeError(f"expected sequences (T, features) as samples, received {show(shapes)}")
        params = {
            "W": self._by_gate(self.weights, key, "W", (shapes[-1], self.units)),
            "U": self._by_gate(self.recurrent, key, "U", (self.units, self.units)),
            "b": self._by_gate(self.biases, key, "b", (self.units,)),
        }
        return params | ({"start": filled(0.0, self.states, self.units)} if self.start == "learnt" else {})

    def _by_gate(self, start: str | Initializer, key: Key, parameter: str, shape: tuple[int, ...]) -> Array:
        chosen = initializer(start)
        parts = [chosen(key.child(f"{parameter}{gate}"), shape, shape[0], self.units) for gate in range(self.gates)]
        return np.concatenate(parts, axis=-1)

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return the last state, or all of them."""
        start = carried_states(self.first_states(params, x), self.reverse)
        states, outputs = self.walk(params, x, start, present_times(x))
        carry_on(states)
        if outputs is None:
            mask_times(None)
        with ops.current_builder().at(quantity="a"):
            return ops.label(states[0] if outputs is None else outputs, "a")

    def walk(
        self, params: Tensors, x: Tensor, start: Sequence[Tensor] | None = None, present: Tensor | None = None
    ) -> tuple[list[Tensor], Tensor | None]:
        """Write the loop over time.

        Args:
            params: of the layer.
            x: the sequences, (n, T, features).
            start: the states before the first step, (n, units) each; the layer's own when None.
            present: which time steps (n, T) are no padding; all, when None.

        Returns:
            The states after the last step, and with outputs="all" those given out, (n, T, units).
        """
        W, builder = params["W"], ops.current_builder()
        regularise("W", W, self.penalty, self.constraint)
        regularise("U", params["U"], self.recurrent_penalty, self.recurrent_constraint)
        if x.rank != 3 or x.shape[-1] != W.shape[0]:
            raise ShapeError(f"expected sequences (n, T, {W.shape[0]}), received {show(x.shape)}")
        with builder.at(quantity="z"):
            z = ops.label(ops.permute_dims(x, (1, 0, 2)) @ W + params["b"], "z")
        sequences = [z]
        if present is not None:
            sequences.append(ops.reshape(ops.permute_dims(present), (*present.shape[::-1], 1)))

        mask = None
        if self.recurrent_dropout and is_training():
            mask = dropout_mask((x.shape[0], self.units), self.recurrent_dropout, x.dtype)

        def step(*given: Tensor) -> tuple[list[Tensor], list[Tensor]]:
            old = given[: self.states]
            seen = old if mask is None else [state * mask for state in old]
            new = self.cell(params, given[self.states], old, seen)
            if present is not None:
                new = [ops.where(given[-1], a, b) for a, b in zip(new, old, strict=True)]
            return new, new[:1] if self.outputs == "all" else []

        first = self.first_states(params, x) if start is None else list(start)
        states, results = ops.scan(step, first, sequences, reverse=self.reverse, checkpoint=self.checkpoint)
        return states, ops.permute_dims(results[0], (1, 0, 2)) if results else None

    def first_states(self, params: Tensors, x: Tensor) -> list[Tensor]:
        """Return the states before the first step for a batch x, (n, units) each."""
        shape = (x.shape[0], self.units)
        if self.start == "learnt":
            return [ops.broadcast_to(params["start"][k], shape) for k in range(self.states)]
        return [ops.broadcast_to(ops.constant(0.0, x.dtype), shape)] * self.states


def walk_part(
    layer: Recurrent,
    name: str,
    params: Tensors,
    x: Tensor,
    start: Sequence[Tensor] | None = None,
    present: Tensor | None = None,
) -> tuple[list[Tensor], Tensor | None]:
    """Write the loop of a recurrent layer that is the part `name` of the one at hand; see `Recurrent.walk`."""
    with inside(name):
        return layer.walk(part(params, name), x, start, present)
