"""clearprop as a side."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from clearprop.backends.native.threads import VARIABLE
from clearprop.bench.machine import count_of
from clearprop.bench.sides import Predict, Train
from clearprop.bench.workloads import RATE, Data, Workload
from clearprop.compile import DEFAULT_BACKEND
from clearprop.model import Model
from clearprop.nn import Dense, Dropout
from clearprop.optim import Adam


class Clearprop:
    """clearprop through its public interface, one `fit` after another.

    Args:
        backend: what runs the programs.
        threads: how many threads may; what the library chooses by itself when None.
    """

    name = "clearprop"

    def __init__(self, backend: str = DEFAULT_BACKEND, threads: int | None = None) -> None:
        self.backend, self.threads = backend, threads
        self.form = "" if threads is None else count_of(threads)

    def _model(self, workload: Workload) -> Model:
        layers: list[Dense | Dropout] = []
        for units in workload.sizes[1:-1]:
            layers.append(Dense(units, workload.activation))
            layers += [Dropout(workload.dropout)] if workload.dropout else []
        network = [*layers, Dense(workload.sizes[-1])]
        return Model(network, workload.loss, Adam(RATE), backend=self.backend)

    def prepare(self, workload: Workload, data: Data) -> Train:
        """Return a fit of so many steps."""
        model = self._model(workload)

        def train(steps: int) -> float:
            epochs = -(-steps // workload.steps_per_epoch)
            with self._limited():
                history = model.fit(*data, epochs=epochs, steps=steps, batch_size=workload.batch, progress="quiet")
            return sum(history.seconds) / steps

        return train

    def predictor(self, workload: Workload, data: Data) -> Predict:
        """Return the model's own `predict`."""
        model = self._model(workload)
        model.init(data[0].shape[1:])
        with self._limited():
            model.predict(data[0][:1])
        return model.predict

    @contextlib.contextmanager
    def _limited(self) -> Iterator[None]:
        """Let programs that are compiled meanwhile use so many threads."""
        before = os.environ.get(VARIABLE)
        try:
            if self.threads is not None:
                os.environ[VARIABLE] = str(self.threads)
            yield
        finally:
            if self.threads is not None:
                os.environ.pop(VARIABLE)
                os.environ |= {} if before is None else {VARIABLE: before}
