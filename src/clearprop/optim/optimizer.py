"""The optimiser contract: `init` and `update`, each a piece of a program, on explicit state."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

from clearprop import ops
from clearprop.description import ByName
from clearprop.errors import ProgramError, SettingsError, ShapeError
from clearprop.ops import Tensor
from clearprop.settings import check_settings

Slots = dict[str, Tensor]
Tensors = Mapping[str, Tensor]


class Optimizer(ABC):
    """A rule that turns a gradient into new parameters.

    Subclasses are frozen dataclasses, `learning_rate` among their fields. A field declared `float` is a
    hyper-parameter: a float64 scalar of the program, given when it runs, so that changing one never recompiles.
    Other fields (bool, int, str) decide what the program is.

    Most optimisers treat each parameter alike and for itself: they write `init` and `update`. Those that see all
    gradients at once, or wrap another optimiser, write `init_all` and `apply` in their place.
    """

    learning_rate: float

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def parts(self) -> tuple[Optimizer, ...]:
        """The optimisers that this one is made of; none, unless it wraps or divides."""
        return ()

    def with_learning_rate(self, rate: float) -> Optimizer:
        """Return the same optimiser with another learning rate."""
        return dataclasses.replace(self, learning_rate=rate)  # type: ignore[type-var]

    def hyper(self) -> dict[str, float]:
        """Return the hyper-parameters by name."""
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        return {field.name: float(getattr(self, field.name)) for field in fields if field.type in (float, "float")}

    def prepare(self, hyper: Tensors) -> dict[str, Tensor]:
        """Write what the updates of all parameters share, such as bias corrections; it joins `hyper`."""
        return {}

    @abstractmethod
    def init(self, parameter: Tensor) -> Slots:
        """Write the first slots of one parameter."""

    @abstractmethod
    def update(self, parameter: Tensor, gradient: Tensor, slots: Tensors, hyper: Tensors) -> tuple[Tensor, Slots]:
        """Write the new parameter and slots.

        Args:
            parameter: the parameter, of any shape.
            gradient: the objective's gradient, of the same shape.
            slots: this parameter's slots by name.
            hyper: the hyper-parameters, `t` (the number of this step, from 1) and what `prepare` wrote, as float64
                scalars.
        """

    def init_all(self, parameters: Tensors) -> Slots:
        """Write the first slots of all parameters; those of a parameter are named `<parameter>.<slot>`."""
        return {
            f"{name}.{slot}": tensor
            for name, parameter in parameters.items()
            for slot, tensor in _tensors(f"{type(self).__name__}.init", self.init(parameter)).items()
        }

    def apply(self, parameters: Tensors, gradients: Tensors, slots: Tensors, hyper: Tensors) -> tuple[Slots, Slots]:
        """Write all new parameters and all new slots, by the names they came with."""
        kind = type(self).__name__
        lacking, others = f"{kind} has no hyper-parameter", _no_hyper_parameters(self)
        hyper = ByName(hyper, lacking, others)
        hyper = ByName({**hyper, **self.prepare(hyper)}, lacking, others)
        new: Slots = {}
        after: Slots = {}
        for name, parameter in parameters.items():
            with at_parameter(name):
                state = ByName(slots_of(name, slots), f"{kind} has no slot")
                given = self.update(parameter, gradients[name], state, hyper)
                new[name], own = _pair(f"{kind}.update", name, parameter, given)
            after |= {f"{name}.{slot}": tensor for slot, tensor in own.items()}
        return new, after

    def evaluated(self, names: Sequence[str]) -> dict[str, str]:
        """Return, for each parameter that is evaluated by other values than it trains with, the slot of those."""
        return {}


def check_declared(optimizer: Optimizer) -> None:
    """Refuse an optimiser of a class whose hyper-parameters are not declared.

    Raises:
        SettingsError: it is no dataclass, or has no learning rate that is declared float.
    """
    kind = type(optimizer).__name__
    if not dataclasses.is_dataclass(optimizer):
        raise SettingsError(
            f"the optimiser {kind} is no dataclass, whose fields are its hyper-parameters: write "
            f"@dataclass(frozen=True) before class {kind}, and learning_rate: float in it"
        )
    if "learning_rate" not in optimizer.hyper():
        reason = _no_hyper_parameters(optimizer).get("learning_rate", ", which is a field declared float")
        raise SettingsError(f"{kind} has no hyper-parameter 'learning_rate'{reason}")


def _no_hyper_parameters(optimizer: Optimizer) -> dict[str, str]:
    """Return why fields are no hyper-parameters, by name."""
    fields = dataclasses.fields(optimizer)  # type: ignore[arg-type]
    kinds = {field.name: getattr(field.type, "__name__", field.type) for field in fields}
    return {
        name: f": hyper-parameters are declared float, and the field is declared {kind}; write {name}: float"
        for name, kind in kinds.items()
        if kind != "float"
    }


def check_kept(optimizer: Optimizer, before: Tensors, after: Tensors) -> None:
    """Refuse an update after which parameters and slots are not what they were, by name and type.

    Raises:
        ProgramError: a slot is gone, or there is one that `init` did not make.
        ShapeError: one has another shape or dtype.
    """
    for name in (*before, *after):
        if name not in after or name not in before:
            what = "lost" if name in before else "makes, though init does not,"
            raise ProgramError(f"the update of {type(optimizer).__name__} {what} {name}: it returns every slot of init")
        old, new = before[name].type, after[name].type
        if old != new:
            raise ShapeError(f"the update of {type(optimizer).__name__} must leave {name} as {old}, and gives {new}")


def _pair(by: str, name: str, parameter: Tensor, given: object) -> tuple[Tensor, Slots]:
    if not isinstance(given, tuple) or len(given) != 2:
        raise ProgramError(f"{by} must return a new parameter and its slots, received {given!r}")
    new, slots = _tensors(by, {name: given[0]})[name], _tensors(by, given[1])
    if new.type != parameter.type:  # a wrapper might broadcast it
        raise ShapeError(f"{by} must leave {name} as {parameter.type}, and gives {new.type}")
    return new, slots


def _tensors(by: str, slots: object) -> Slots:
    if not isinstance(slots, Mapping) or not all(isinstance(tensor, Tensor) for tensor in slots.values()):
        raise ProgramError(f"{by} must give tensors by name, as optim.zeros_like(parameter) is one; received {slots!r}")
    return dict(slots)


def at_parameter(name: str) -> AbstractContextManager[None]:
    """Stand at the update of one parameter: what is written is named after its layer and letter."""
    layer, _, letter = name.rpartition(".")
    return ops.current_builder().at(layer=layer, quantity=f"update {letter}")


def slots_of(name: str, slots: Tensors) -> Slots:
    """Return the slots of one parameter, by their names without it."""
    return {key.removeprefix(f"{name}."): slot for key, slot in slots.items() if key.startswith(f"{name}.")}


def zeros_like(x: Tensor) -> Tensor:
    """A tensor of zeros of the same type."""
    return ops.broadcast_to(ops.constant(0.0, x.dtype), x.shape)


def scaled(factor: Tensor, x: Tensor) -> Tensor:
    """factor x, with the float64 scalar brought to the dtype of x."""
    return ops.astype(factor, x.dtype) * x


def average(rate: Tensor, mean: Tensor, x: Tensor) -> Tensor:
    """rate mean + (1 - rate) x: an exponential moving average takes in one more value."""
    return scaled(rate, mean) + scaled(1.0 - rate, x)


def whole_part(t: Tensor) -> Tensor:
    """The whole part of a float64 number of at least 0."""
    return ops.astype(ops.astype(t, "int64"), "float64")
