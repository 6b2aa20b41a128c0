"""The pass that gives averaged weights running averages, as those of batch normalisation, of their own."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from clearprop.backends.protocol import Executable
from clearprop.compile import compile_program
from clearprop.ir import resolve_shape
from clearprop.randomness import shuffle_key, shuffled
from clearprop.train.fit import Samples
from clearprop.train.settings import FitSettings
from clearprop.train.state import Arrays
from clearprop.train.step import StepPrograms

Array = np.ndarray[Any, Any]


class Statistics:
    """What the running averages of a network are for weights that no training step has seen, such as averages of them.

    One pass over the training samples in the training form (Izmailov et al., 2018): batches of the fit's size, in the
    order of its first epoch, each of which counts by its rows. A pure function of the weights, the samples, the
    settings and the key.

    Args:
        programs: those of the fit.
        key: of the random numbers in training.
        backend: what runs the pass.
    """

    def __init__(self, programs: StepPrograms, key: Array, backend: str) -> None:
        objective = programs.objective
        carried = [name for name in objective.output_names if name in objective.input_names]  # averages, and states
        self._program, self._backend, self._momenta = objective.with_outputs(*carried), backend, programs.momenta
        self._fixed = {name: np.asarray(value, np.float64) for name, value in programs.hyper.items()} | {"key": key}

    @cached_property
    def _pass(self) -> Executable:
        return compile_program(self._program, self._backend)

    def of(self, parameters: Arrays, train: Samples, settings: FitSettings) -> Arrays:
        """Return the running averages of a network with these parameters, by name."""
        names, count, size = self._program.input_names, len(train), settings.batch_size
        order = shuffled(count, shuffle_key(settings.seed), 0) if settings.shuffle else np.arange(count)
        given = self._fixed | self._first_states() | parameters
        done = 0
        for step, start in enumerate(range(0, count, size)):
            rows = order[start : start + size]
            done += len(rows)
            given |= {"x": train.x[rows], "y": train.y[rows], "step": np.asarray(step, np.int64)}
            given |= {} if train.weight is None else {"weight": train.weight[rows]}
            given |= dict.fromkeys(self._momenta, np.asarray(len(rows) / done))
            given |= self._pass({name: given[name] for name in names})
        return {name: given[name] for name in self._program.output_names if name in parameters}

    def _first_states(self) -> Arrays:
        """Return zeros for what is carried from batch to batch; the first batch does not see them."""
        carried = [value for value in self._program.inputs if value.name in self._program.output_names]
        return {value.name: np.zeros(resolve_shape(value.type.shape, 1), value.type.dtype) for value in carried}
