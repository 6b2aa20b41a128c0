"""Optimisers around another optimiser."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from clearprop.errors import SettingsError
from clearprop.ops import Tensor
from clearprop.optim.optimizer import Optimizer, Slots, Tensors


class Wrapper(Optimizer):
    """An optimiser that changes what another one, its field `optimizer`, receives or gives.

    Its own hyper-parameters are inputs of the program led by its name, such as `lookahead.pull`; those of the inner
    one, the learning rate among them, keep their names.
    """

    optimizer: Optimizer

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.optimizer, Optimizer):
            raise SettingsError(f"{type(self).__name__} wraps an optimiser, received {self.optimizer!r}")
        if any(isinstance(inner, type(self)) for inner in inside(self)[1:]):
            raise SettingsError(f"{type(self).__name__} is wrapped in itself: once is enough, leave one out")

    @property
    def parts(self) -> tuple[Optimizer, ...]:
        """The inner optimiser."""
        return (self.optimizer,)

    @property
    def learning_rate(self) -> float:  # type: ignore[override]
        """The inner optimiser's."""
        return self.optimizer.learning_rate

    def with_learning_rate(self, rate: float) -> Optimizer:
        """Return the same wrapper around the inner optimiser with another learning rate."""
        return dataclasses.replace(self, optimizer=self.optimizer.with_learning_rate(rate))  # type: ignore[type-var]

    @property
    def prefix(self) -> str:
        """What leads the names of its own hyper-parameters."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(self).__name__).lower()

    def hyper(self) -> dict[str, float]:
        """The inner optimiser's, and its own led by its name."""
        return self.optimizer.hyper() | {f"{self.prefix}.{name}": value for name, value in super().hyper().items()}

    def own(self, hyper: Tensors) -> dict[str, Tensor]:
        """Return its own hyper-parameters by the names of its fields."""
        lead = f"{self.prefix}."
        return {name.removeprefix(lead): value for name, value in hyper.items() if name.startswith(lead)}

    def init(self, parameter: Tensor) -> Slots:
        """None of its own, by default."""
        return {}

    def update(self, parameter: Tensor, gradient: Tensor, slots: Tensors, hyper: Tensors) -> tuple[Tensor, Slots]:
        """The inner optimiser's; a wrapper writes `apply`."""
        return self.optimizer.update(parameter, gradient, slots, hyper)

    def init_all(self, parameters: Tensors) -> Slots:
        """The inner optimiser's slots and its own."""
        return self.optimizer.init_all(parameters) | super().init_all(parameters)

    def evaluated(self, names: Sequence[str]) -> dict[str, str]:
        """As the inner optimiser has it."""
        return self.optimizer.evaluated(names)


def inside(optimizer: Optimizer) -> list[Optimizer]:
    """Return an optimiser and all that it is made of, from the outside in."""
    return [optimizer, *(inner for part in optimizer.parts for inner in inside(part))]


def trained_values(optimizer: Optimizer, new: Tensors, slots: Tensors) -> dict[str, Tensor]:
    """Return the parameters as an optimiser would have them evaluated, from the state after its step."""
    instead = optimizer.evaluated(list(new))
    return {name: slots[instead[name]] if name in instead else tensor for name, tensor in new.items()}
