"""The whole state of a fit: what a checkpoint must hold for a resumed run to give the same bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from clearprop.errors import FileFormatError
from clearprop.files import check_arrays, read_arrays, write_arrays
from clearprop.train.guard import check_guard
from clearprop.train.settings import History

Array = np.ndarray[Any, Any]
Arrays = dict[str, Array]


@dataclass
class FitState:
    """Parameters, slots, and where training stands.

    Attributes:
        parameters, slots: the arrays that a step replaces; in a fit they are those of its stepper, and change.
        step: steps done so far.
        epoch: the epoch at work, from 0.
        batch: batches of it that are done.
        loss_sum: the sum of cost times samples over those batches.
        best: the parameters of the best epoch, when early stopping watches.
        best_value: its value of the watched quantity.
        waited: epochs since then.
        history: what was recorded.
    """

    parameters: Arrays
    slots: Arrays
    step: int = 0
    epoch: int = 0
    batch: int = 0
    loss_sum: float = 0.0
    best: Arrays = field(default_factory=dict)
    best_value: float | None = None
    waited: int = 0
    history: History = field(default_factory=History)


def copies(arrays: Mapping[str, Array]) -> Arrays:
    """Return arrays of their own, which stay as they are when training goes on."""
    return {name: array.copy() for name, array in arrays.items()}


_GROUPS = ("parameters", "slots", "best")
_COUNTS, _FIGURES = ("step", "epoch", "batch", "waited"), ("loss_sum", "best_value")
_NUMBERS = (*_COUNTS, *_FIGURES)


def write_checkpoint(path: Path, state: FitState, guard: Any) -> None:
    """Write a state, atomically.

    Args:
        path: where.
        state: the state.
        guard: JSON data that must be the same when the run goes on (settings, the data's fingerprint).
    """
    arrays = {f"{group}/{name}": a for group in _GROUPS for name, a in getattr(state, group).items()}
    numbers = {name: getattr(state, name) for name in _NUMBERS}
    write_arrays(path, "checkpoint", arrays, numbers | {"history": asdict(state.history), "guard": guard})


def read_checkpoint(path: Path, guard: Any, parameters: Mapping[str, Array]) -> FitState:
    """Read a state back.

    Args:
        path: where it is.
        guard: what was given when it was written.
        parameters: the model's, which those of the state are like, by name, shape and dtype, and in whose order they
            come back: the file keeps none.

    Raises:
        FileFormatError: the file is missing, damaged or foreign.
        SettingsError, DataError: it belongs to another run: `guard` differs.
    """
    arrays, description = read_arrays(path, "checkpoint")
    try:
        check_guard(path, description["guard"], guard)
        groups: dict[str, Arrays] = {group: {} for group in _GROUPS}
        for key, array in arrays.items():
            group, _, name = key.partition("/")
            groups[group][name] = array
        numbers = {name: description[name] for name in _NUMBERS}
        state = FitState(groups["parameters"], groups["slots"], best=groups["best"], **numbers)
        state.history = History(**description["history"])
        recorded = all(map(_is_record, state.history.epochs))
    except (KeyError, TypeError) as error:
        raise FileFormatError(f"{path} is damaged: its description lacks {error}") from error
    check_arrays(path, state.parameters, parameters, "the model")
    check_arrays(path, state.best, parameters if state.best else {}, "the model")
    state.parameters = {name: state.parameters[name] for name in parameters}
    state.best = {name: state.best[name] for name in parameters if state.best}
    counts, figures = ([numbers[name] for name in names] for names in (_COUNTS, _FIGURES))
    whole = all(type(count) is int and count >= 0 for count in counts)
    if not (whole and recorded and all(figure is None or type(figure) in (int, float) for figure in figures)):
        raise FileFormatError(f"{path} is damaged: what it says of where training stood are not numbers of that kind")
    return state


def _is_record(record: Any) -> bool:
    """Whether something is what an epoch records: figures by name."""
    return isinstance(record, dict) and all(type(figure) in (int, float) for figure in record.values())
