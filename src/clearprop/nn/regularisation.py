"""Penalties and constraints on one weight of a layer, as every layer with weights has them."""

from __future__ import annotations

from typing import Any

from clearprop import ops
from clearprop.nn.constraints import Constraint, constraint
from clearprop.nn.context import add_penalty, after_update, is_training
from clearprop.nn.layer import Layer
from clearprop.nn.penalties import Penalty, penalty
from clearprop.ops import Tensor

Penalties = str | Penalty | tuple[str | Penalty, ...]
Constraints = str | Constraint | tuple[str | Constraint, ...]


def check_regularisation(layer: Layer, weight: str = "") -> None:
    """Check the fields `penalty` and `constraint` of a layer, or those led by the name of another weight.

    Lists become tuples.

    Raises:
        SettingsError: there is no such penalty or constraint.
    """
    for field, named in ((f"{weight}penalty", penalty), (f"{weight}constraint", constraint)):
        given = getattr(layer, field)
        if isinstance(given, list):
            object.__setattr__(layer, field, tuple(given))
        for each in _several(getattr(layer, field)):
            named(each)


def regularise(parameter: str, weight: Tensor, penalties: Penalties, constraints: Constraints) -> None:
    """Add the penalties of a weight of the layer at hand to the objective, and have it keep the constraints."""
    if not is_training():
        return
    for each in _several(penalties):
        with ops.current_builder().at(quantity="penalty"):
            add_penalty(ops.label(penalty(each)(weight), "penalty"))
    if constraints:
        after_update(parameter, *map(constraint, _several(constraints)))


def _several(thing: Any) -> tuple[Any, ...]:
    return thing if isinstance(thing, tuple) else (thing,)
