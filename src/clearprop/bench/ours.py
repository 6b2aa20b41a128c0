"""clearprop as a side."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from clearprop.backends.native.threads import VARIABLE
from clearprop.bench.images import Conv, ImageWorkload, Mean, Pool, Residual, Stage, after
from clearprop.bench.machine import count_of
from clearprop.bench.sequences import SequenceWorkload
from clearprop.bench.sides import Predict, Train
from clearprop.bench.workloads import Data, Workload
from clearprop.compile import DEFAULT_BACKEND
from clearprop.model import Model
from clearprop.nn import (
    GRU,
    LSTM,
    BatchNorm,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePool,
    Layer,
    LayerNorm,
    MaxPool2D,
    Normal,
    Parallel,
    PositionEncoding,
    ReLU,
    Sequential,
    SimpleRNN,
    TransformerBlock,
    activation,
)
from clearprop.nn import Residual as Skip
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
        return Model(_layers(workload), workload.loss, Adam(workload.rate), backend=self.backend)

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


def _layers(workload: Workload) -> list[Layer]:
    if isinstance(workload, ImageWorkload):
        return image_layers(workload)
    if isinstance(workload, SequenceWorkload):
        return sequence_layers(workload)
    layers: list[Layer] = []
    for units in workload.sizes[1:-1]:
        if workload.norm:
            layers += [Dense(units, bias=False), BatchNorm(), activation(workload.activation)]
        else:
            layers.append(Dense(units, workload.activation))
        layers += [Dropout(workload.dropout)] if workload.dropout else []
    return [*layers, Dense(workload.sizes[-1])]


def sequence_layers(workload: SequenceWorkload) -> list[Layer]:
    """Return the layers of a network of sequences."""
    embedding, units, last = workload.sizes
    first, outputs = Embedding(workload.tokens, embedding, weights=Normal(1.0)), "all" if workload.each else "last"
    if workload.cell == "transformer":
        block = TransformerBlock(workload.heads, workload.hidden, causal=True)
        return [first, PositionEncoding("learnt"), block, LayerNorm(), Dense(last)]
    cell = {"rnn": SimpleRNN, "gru": GRU, "lstm": LSTM}[workload.cell]
    return [first, cell(units, outputs=outputs), Dense(last)]


def image_layers(workload: ImageWorkload) -> list[Layer]:
    """Return the layers of a convolutional network."""
    layers: list[Layer] = []
    shape = workload.shape
    for stage in workload.stages:
        layers += _stage(stage, shape[2])
        shape = shape if isinstance(stage, Mean) else after(stage, shape)
    if not isinstance(workload.stages[-1], Mean):
        layers.append(Flatten())
    return [*layers, *(Dense(units, "relu") for units in workload.sizes[:-1]), Dense(workload.sizes[-1])]


def _stage(stage: Stage, channels: int) -> list[Layer]:
    if isinstance(stage, Mean):
        return [GlobalAveragePool()]
    if isinstance(stage, Pool):
        return [MaxPool2D(2)]
    if isinstance(stage, Residual):
        return [_block(channels, stage.filters), ReLU()]
    if stage.norm:
        return [*_normalised(stage), ReLU()]
    padding = "same" if stage.same else "valid"
    if stage.depthwise:
        return [DepthwiseConv2D(stage.kernel, activation="relu", padding=padding)]
    return [Conv2D(stage.filters, stage.kernel, "relu", padding=padding)]


def _normalised(conv: Conv, stride: int = 1) -> list[Layer]:
    return [Conv2D(conv.filters, conv.kernel, stride=stride, padding="same", bias=False), BatchNorm()]


def _block(channels: int, filters: int) -> Layer:
    conv, stride = Conv(filters), 1 if filters == channels else 2
    inner = Sequential(*_normalised(conv, stride), ReLU(), *_normalised(conv))
    return Skip(inner) if stride == 1 else Parallel(inner, Conv2D(filters, 1, stride=2), join="add")
