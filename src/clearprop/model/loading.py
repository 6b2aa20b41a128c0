"""Reading model files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import index
from pathlib import Path
from typing import Any

from clearprop import losses, nn, optim
from clearprop.data import encoding_from_dict
from clearprop.data.printable import listed
from clearprop.description import build
from clearprop.errors import FileFormatError
from clearprop.files import check_arrays, read_arrays
from clearprop.ir import Batch, Type
from clearprop.model.model import Model
from clearprop.model.run import Run, folders_in
from clearprop.model.saving import ENCODING, PARTS
from clearprop.nn.allowance import at_most
from clearprop.train import Lanes

DESCRIBABLE = (
    nn.Layer,
    nn.Initializer,
    nn.Penalty,
    nn.Constraint,
    losses.Loss,
    optim.Optimizer,
    optim.WholeBatch,
    optim.Schedule,
)
"""The bases of everything that a file may describe."""

_UNUSABLE = (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError)
"""What making a model of a forged description may raise."""


def load(path: str | Path, *, custom: Mapping[str, Callable[..., Any]] | None = None) -> Model:
    """Read a model from a file. No code in the file is ever run.

    Args:
        path: the file that `save` wrote, or the folder of a run.
        custom: your own layers, losses, optimisers and functions that the model uses, by name.

    Raises:
        FileFormatError: the file is missing, damaged or foreign, or uses something that is not known here.
    """
    path = _file_of(Run(path)) if Path(path).is_dir() else Path(path)
    arrays, description = read_arrays(path, "model")
    values = {name: array for name, array in arrays.items() if not name.startswith(ENCODING)}
    kinds = known() | dict(custom or {})
    try:
        parts = {part: build(description[part], kinds) for part in PARTS}
        model = Model(parts.pop("network"), parts.pop("loss"), parts.pop("optimizer"), **parts)
        if description["encoding"] is not None:
            own = {name.removeprefix(ENCODING): arrays[name] for name in arrays if name.startswith(ENCODING)}
            model.encoding = encoding_from_dict(description["encoding"], own)
        fitted = description.get("fitted", {})
        target = fitted.get("target")
        model.target = None if target is None else Type(target["dtype"], (Batch(), *target["shape"]))
        model.weighted = bool(fitted.get("weighted", False))
        model.lanes = Lanes(*map(index, fitted["lanes"])) if "lanes" in fitted else None
        if description["sample_shape"] is not None:
            with at_most(sum(array.size for array in values.values())):
                model.init(tuple(description["sample_shape"]))
            model.fresh = model.fresh.intersection(fitted.get("fresh", ()))
    except FileFormatError:
        raise
    except _UNUSABLE as error:
        raise FileFormatError(f"{path}: its description cannot be used: {error!r}") from error
    check_arrays(path, values, model.parameters, "its description")
    model.parameters = {name: values[name] for name in model.parameters}
    return model


def _file_of(run: Run) -> Path:
    if run.checkpoint.exists() and not run.model_file.exists():
        raise FileFormatError(
            f"the run {run.path} has a checkpoint but no {run.model_file.name}, for it has not ended, or that was "
            "removed: go on with "
            f"`clearprop train --resume {run.path}`, or with fit(..., run=..., resume=True)"
        )
    if not run.model_file.exists():
        raise FileFormatError(f"the folder {run.path} holds no {run.model_file.name}{_runs_in(run.path)}")
    return run.model_file


def _runs_in(folder: Path) -> str:
    """Say which runs a folder of runs holds; empty if it is none."""
    names = [run.path.name for run in folders_in(folder) if run.model_file.exists()]
    return f", but runs in it do: give the folder of one, {listed(names)}" if names else ""


def known() -> dict[str, Callable[..., Any]]:
    """Return every describable class of the package, by name."""
    found: dict[str, Callable[..., Any]] = {}
    for module in (nn, losses, optim):
        for name in module.__all__:
            thing = getattr(module, name)
            if isinstance(thing, type) and issubclass(thing, DESCRIBABLE):
                found[name] = thing
    return found
