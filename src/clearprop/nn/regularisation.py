"""Penalties and constraints on one weight of a layer, as every layer with weights has them."""

from __future__ import annotations

from typing import TypeVar

from clearprop import ops
from clearprop.errors import SettingsError
from clearprop.nn.constraints import Constraint
from clearprop.nn.context import add_penalty, after_update, is_training
from clearprop.nn.penalties import Penalty
from clearprop.ops import Tensor

T = TypeVar("T")


def check_regularisation(
    penalty: Penalty | tuple[Penalty, ...], constraint: Constraint | tuple[Constraint, ...]
) -> None:
    """Raise `SettingsError` for what is no penalty or no constraint."""
    for item in _several(penalty):
        if not isinstance(item, Penalty):
            raise SettingsError(f"a penalty is a Penalty such as L2(1e-4), or a tuple of them, received {item!r}")
    for kept in _several(constraint):
        if not isinstance(kept, Constraint):
            raise SettingsError(
                f"a constraint is a Constraint such as MaxNorm(3.0), or a tuple of them, received {kept!r}"
            )


def regularise(
    parameter: str,
    weight: Tensor,
    penalty: Penalty | tuple[Penalty, ...],
    constraint: Constraint | tuple[Constraint, ...],
) -> None:
    """Add the penalties of a weight of the layer at hand to the objective, and have it keep the constraints."""
    if not is_training():
        return
    for item in _several(penalty):
        with ops.current_builder().at(quantity="penalty"):
            add_penalty(ops.label(item(weight), "penalty"))
    if constraint:
        after_update(parameter, *_several(constraint))


def _several(thing: T | tuple[T, ...]) -> tuple[T, ...]:
    return thing if isinstance(thing, tuple) else (thing,)
