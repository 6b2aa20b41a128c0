"""The optimiser contract: `init` and `update`, each a piece of a program, on explicit state."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping

from clearprop import ops
from clearprop.errors import SettingsError
from clearprop.ops import Tensor

Slots = dict[str, Tensor]


class Optimizer(ABC):
    """A rule that turns a gradient into new parameters.

    Subclasses are frozen dataclasses whose fields are the hyper-parameters, `learning_rate` among them. Each
    field is a float64 scalar of the program, given when it runs, so that changing one never recompiles.
    """

    learning_rate: float

    def hyper(self) -> dict[str, float]:
        """Return the hyper-parameters by name."""
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        return {field.name: float(getattr(self, field.name)) for field in fields}

    def prepare(self, hyper: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Write what the updates of all parameters share, such as bias corrections; it joins `hyper`."""
        return {}

    @abstractmethod
    def init(self, parameter: Tensor) -> Slots:
        """Write the first slots of one parameter."""

    @abstractmethod
    def update(
        self, parameter: Tensor, gradient: Tensor, slots: Mapping[str, Tensor], hyper: Mapping[str, Tensor]
    ) -> tuple[Tensor, Slots]:
        """Write the new parameter and slots.

        Args:
            parameter: the parameter, of any shape.
            gradient: the objective's gradient, of the same shape.
            slots: this parameter's slots by name.
            hyper: the hyper-parameters, `t` (the number of this step, from 1) and what `prepare` wrote, as float64
                scalars.
        """


def zeros_like(x: Tensor) -> Tensor:
    """A tensor of zeros of the same type."""
    return ops.broadcast_to(ops.constant(0.0, x.dtype), x.shape)


def scaled(factor: Tensor, x: Tensor) -> Tensor:
    """factor x, with the float64 scalar brought to the dtype of x."""
    return ops.astype(factor, x.dtype) * x


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise `SettingsError` unless low <= value < high."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value < high:
        raise SettingsError(f"{name} lies in [{low}, {high}), received {value!r}")
