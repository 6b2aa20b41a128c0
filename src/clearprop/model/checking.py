"""What a gradient check runs: a model's objective in float64."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clearprop.ir import Program
from clearprop.model.samples import given_type
from clearprop.randomness import Key
from clearprop.train import build_objective

if TYPE_CHECKING:
    from clearprop.model.model import Model

Array = np.ndarray[Any, Any]


def objective_for_check(
    model: Model, features: Any, target: Any, sample_weight: Any
) -> tuple[Program, dict[str, Array]]:
    """Return the objective and the arrays to run it with; see `Model.objective_for_check`."""
    samples = model.samples(features, target)
    y = given_type(samples.y, model.dtype)
    program, hyper = build_objective(
        model.network, model.loss, model.signature(y, sample_weight is not None, "float64")
    )
    arrays: dict[str, Any] = {"x": samples.x, "y": samples.y} | model.parameters | hyper
    if sample_weight is not None:
        arrays["weight"] = sample_weight
    arrays |= {"key": Key(model.seed).child("training").words(), "step": 0}
    wanted = {value.name: value.type.dtype for value in program.inputs}
    return program, {name: np.array(arrays[name], dtype=dtype) for name, dtype in wanted.items()}
