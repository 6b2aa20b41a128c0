"""The printed step, run in an empty namespace, gives the engine's numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from loss_table import samples, shaped

from clearprop import losses, nn, ops, optim
from clearprop.compile import compile_program
from clearprop.data import batch_order
from clearprop.ir import Batch, Type
from clearprop.model import Model, load
from clearprop.randomness import Key

RNG = np.random.default_rng(0)
X = RNG.normal(size=(23, 4))
CLASSES = (X[:, 0] > 0).astype(np.int64) + (X[:, 1] > 0.5)


def run_source(model: Model, y: Any, epochs: int, batch_size: int, shuffle: bool) -> tuple[dict[str, Any], list[float]]:
    """Train with nothing but the printed function and NumPy; return the parameters and the objectives."""
    namespace: dict[str, Any] = {}
    exec(compile(model.source(), "<source>", "exec", dont_inherit=True), namespace)
    step_function = namespace["training_step"]
    programs = model.step_programs(Type(str(y.dtype), (Batch(), *y.shape[1:])), weighted=False)
    state = {name: array.copy() for name, array in model.parameters.items()}
    state |= compile_program(programs.slots, "reference")(model.parameters)
    objectives = []
    hyper, key, step = dict(programs.hyper), Key(model.seed).child("training").words(), 0
    steps_per_epoch = -(-len(X) // batch_size)
    for epoch in range(epochs):
        order = batch_order(len(X), seed=model.seed, epoch=epoch) if shuffle else np.arange(len(X))
        for start in range(0, len(X), batch_size):
            rows = order[start : start + batch_size]
            position = optim.Position(step, steps_per_epoch, epochs * steps_per_epoch)
            varying = model.schedule.values(position, 1, model.optimizer.hyper())
            hyper |= {name: value for name, (value,) in varying.items()}
            given = {"x": X[rows], "y": y[rows], "key": key, "step": step} | hyper | state
            named = {name.replace(".", "_"): value for name, value in given.items()}
            wanted = step_function.__code__.co_varnames[: step_function.__code__.co_argcount]
            new = step_function(**{name: named[name] for name in wanted})
            objectives.append(float(new["objective"]))
            state |= {name: new[name] for name in state if name in new}
            step += 1
    return state, objectives


PAIRS = [*((loss, "adam") for loss in losses.LOSSES), *(("squared_error", name) for name in optim.OPTIMIZERS)]
"""Every loss, and every optimiser; a pair of two others prints nothing that these do not."""


@pytest.mark.parametrize(("loss", "optimizer"), list(dict.fromkeys(PAIRS)))
def test_two_layers_with_dropout_and_penalties(loss, optimizer):
    output, y = samples(loss, len(X))
    network = [
        nn.Dense(5, "tanh", penalty=(nn.L2(1e-2), nn.L1(1e-3))),
        nn.Dropout(0.25),
        nn.Dense(12, penalty=nn.L2(1e-2)),
        shaped(output),
    ]
    rate = optim.OPTIMIZERS[optimizer](0.02)
    model = Model(network, loss, rate, schedule=optim.Cosine(0.1), dtype="float64", seed=4)
    model.init((4,))
    state, objectives = run_source(model, y, epochs=3, batch_size=8, shuffle=True)
    model.fit(X, y, epochs=3, batch_size=8, progress=False)
    assert len(objectives) == 9
    for name, array in model.parameters.items():
        np.testing.assert_allclose(state[name], array, rtol=1e-12, atol=1e-15, err_msg=name)


@pytest.mark.parametrize("activation", list(nn.ACTIVATIONS))
def test_every_activation(activation):
    network = [nn.Dense(6, activation), nn.Dense(5), nn.Residual(nn.Dense(5)), nn.Parallel(nn.Dense(2), nn.Dense(1))]
    model = Model(network, "squared_error", dtype="float64", frozen="residual1.*")
    model.init((4,))
    y = X[:, 1:]
    state, _ = run_source(model, y, epochs=1, batch_size=8, shuffle=True)
    model.fit(X, y, epochs=1, batch_size=8, progress=False)
    for name, array in model.parameters.items():
        np.testing.assert_allclose(state[name], array, rtol=1e-12, atol=1e-15, err_msg=name)


def test_the_source_needs_numpy_only_and_says_what_it_is():
    model = Model([nn.Dense(5, "sigmoid"), nn.Dense(3)], "cross_entropy")
    model.init((4,))
    source = model.source()
    imports = [line for line in source.splitlines() if line.startswith(("import", "from"))]
    assert imports == ["import numpy as np"]
    assert "Dense(5, 'sigmoid')" in source.splitlines()[0]
    assert source == model.source()


@pytest.mark.parametrize("reload", [False, True])
def test_the_step_of_the_last_fit_is_printed(tmp_path, reload):
    """Probabilities as targets and weights are part of the step, after loading the model too."""
    chances = np.eye(3)[CLASSES]
    weight = RNG.uniform(0.5, 2.0, len(X))
    model = Model([nn.Dense(3)], "cross_entropy", optim.SGD(0.1), dtype="float64")
    model.fit(X, chances, sample_weight=weight, epochs=1, batch_size=len(X), shuffle=False, progress=False)
    before = Model([nn.Dense(3)], "cross_entropy", optim.SGD(0.1), dtype="float64")
    before.init((4,))
    if reload:
        model.save(tmp_path / "m.safetensors")
        source = load(tmp_path / "m.safetensors").source()
    else:
        source = model.source()
    namespace: dict[str, Any] = {}
    exec(compile(source, "<source>", "exec", dont_inherit=True), namespace)
    start = {name.replace(".", "_"): array for name, array in before.parameters.items()}
    mean_one = weight / weight.mean()
    new = namespace["training_step"](x=X, y=chances, weight=mean_one, learning_rate=0.1, step=0, **start)
    for name, array in model.parameters.items():
        np.testing.assert_allclose(new[name], array, rtol=1e-12)


def square(x: ops.Tensor) -> ops.Tensor:
    return ops.reshape(x, (x.shape[0], 2, 2, 1))


SEQUENCE = [
    nn.Conv1D(4, 2, padding="same", bias=False),
    nn.BatchNorm(),
    nn.ReLU(),
    nn.MaxPool1D(2, 1),
    nn.Conv1D(4, 2, stride=2, groups=2),
    nn.GroupNorm(2, 0.1),
    nn.Flatten(),
]
IMAGE = [
    nn.Function(square),
    nn.ConvTranspose2D(3, 2, "tanh", stride=2),
    nn.SpatialDropout(0.2),
    nn.DepthwiseConv2D(2, 2, padding=1, dilation=2),
    nn.MaxPool2D(3, 2, 1, ceil=True),
    nn.Upsample(2, "linear"),
    nn.AveragePool2D(3, 2, 1),
    nn.LocalResponseNorm(3, 0.5),
    nn.GlobalAveragePool(),
]


@pytest.mark.parametrize("network", [SEQUENCE, IMAGE], ids=["sequence", "image"])
def test_convolutional_networks(network):
    model = Model([*network, nn.Dense(3)], "cross_entropy", optim.Adam(0.02), dtype="float64", backend="reference")
    model.init((4,))
    state, objectives = run_source(model, CLASSES, epochs=2, batch_size=8, shuffle=True)
    model.fit(X, CLASSES, epochs=2, batch_size=8, progress=False)
    assert len(objectives) == 6
    for name, array in model.parameters.items():
        np.testing.assert_allclose(state[name], array, rtol=1e-9, atol=1e-12, err_msg=name)
