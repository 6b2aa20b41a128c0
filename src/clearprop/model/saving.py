"""Writing model files: parameters and the description of the model, in safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearprop.description import describe
from clearprop.files import write_arrays

if TYPE_CHECKING:
    from clearprop.model.model import Model

PARTS = ("network", "loss", "optimizer", "schedule", "dtype", "seed", "frozen")
"""The attributes of a model that decide, with its parameters, what it computes and how it trains."""

ENCODING = "encoding:"
"""What the names of the encoding's arrays begin with; no parameter has a colon in its name."""


def describe_training(model: Model) -> dict[str, Any]:
    """Return what decides the numbers of a fit, as JSON data; see `save` for errors."""
    names: dict[str, Any] = {}
    return {part: describe(getattr(model, part), names) for part in PARTS}


def save(model: Model, path: str | Path, estimator: Any = None) -> None:
    """Write a model to a file: its parameters, what it is made of, and how raw tables are encoded.

    The write is atomic, and the same model always gives the same bytes.

    Args:
        model: the model.
        path: where.
        estimator: JSON data of the estimator around the model; a reader of the model passes over it.

    Raises:
        SettingsError: the model holds something that cannot be described, such as a lambda, which has no name, or two
            different functions of one name.
    """
    description = describe_training(model)
    description["sample_shape"] = None if model.sample_shape is None else list(model.sample_shape)
    description["encoding"] = None if model.encoding is None else model.encoding.to_dict()
    target = None if model.target is None else {"dtype": model.target.dtype, "shape": list(model.target.shape[1:])}
    description["fitted"] = {"target": target, "weighted": model.weighted, "fresh": sorted(model.fresh)}
    if model.lanes is not None:
        description["fitted"]["lanes"] = [model.lanes.count, model.lanes.steps]
    if estimator is not None:
        description["estimator"] = estimator
    arrays = {} if model.encoding is None else {ENCODING + name: a for name, a in model.encoding.arrays.items()}
    write_arrays(Path(path), "model", model.parameters | arrays, description)
