"""clearprop as a side."""

from __future__ import annotations

from clearprop.bench.sides import Predict, Train
from clearprop.bench.workloads import RATE, Data, Workload
from clearprop.compile import DEFAULT_BACKEND
from clearprop.model import Model
from clearprop.nn import Dense, Dropout
from clearprop.optim import Adam


class Clearprop:
    """clearprop through its public interface, one `fit` after another."""

    name, form = "clearprop", ""

    def __init__(self, backend: str = DEFAULT_BACKEND) -> None:
        self.backend = backend

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
            history = model.fit(*data, epochs=epochs, steps=steps, batch_size=workload.batch, progress="quiet")
            return sum(history.seconds) / steps

        return train

    def predictor(self, workload: Workload, data: Data) -> Predict:
        """Return the model's own `predict`."""
        model = self._model(workload)
        model.init(data[0].shape[1:])
        return model.predict
