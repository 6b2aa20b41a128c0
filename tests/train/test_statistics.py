"""Statistics of batch normalisation for averaged weights: beside NumPy, through early stopping, files and resume."""

from __future__ import annotations

import numpy as np
import pytest

from clearprop import nn, optim
from clearprop.model import Model
from clearprop.randomness import shuffle_key, shuffled
from clearprop.train import EarlyStopping, Progressed, StopTraining

pytestmark = pytest.mark.usefixtures("backend")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 6)) * 2 + 1
Y = (X[:, :3].sum(axis=1) > 3).astype(np.int64)
V = RNG.normal(size=(30, 6)) * 2 + 1
VALIDATION = V, (V[:, :3].sum(axis=1) > 3).astype(np.int64)
AVERAGING: dict[str, optim.Optimizer] = {
    "exponential average": optim.ExponentialAverage(optim.Adam(0.05), 0.8),
    "weight average": optim.WeightAverage(optim.SGD(0.3)),
    "schedule-free": optim.ScheduleFree(),
    "lookahead": optim.Lookahead(optim.Adam(0.05), 4),
    "groups": optim.ParameterGroups(optim.Adam(0.05), [("*.W", optim.WeightAverage(optim.Adam(0.05)))]),
}
every = pytest.mark.parametrize("name", AVERAGING)


def model(optimizer: optim.Optimizer, *more: nn.Layer) -> Model:
    blocks = [layer for _ in range(2) for layer in (nn.Dense(5, bias=False), nn.BatchNorm(), *more, nn.Tanh())]
    return Model([*blocks, nn.Dense(2)], "cross_entropy", optimizer, dtype="float64", seed=3)


def statistics(p, x, batches):
    """Of both normalisations: each batch goes through by its own statistics, and counts by its rows."""
    seen = {f"batchnorm{k}.{what}": [] for k in (1, 2) for what in ("mean", "variance")}
    weights = [len(rows) for rows in batches if len(rows) > 1]
    for rows in batches:
        a = x[rows]
        for k in (1, 2):
            z = a @ p[f"dense{k}.W"]
            if len(rows) > 1:
                seen[f"batchnorm{k}.mean"].append(z.mean(axis=0))
                seen[f"batchnorm{k}.variance"].append(z.var(axis=0, ddof=1))
            z = (z - z.mean(axis=0)) / np.sqrt(z.var(axis=0) + 1e-5)
            a = np.tanh(p[f"batchnorm{k}.gamma"] * z + p[f"batchnorm{k}.beta"])
    return {name: np.average(values, axis=0, weights=weights) for name, values in seen.items()}


@every
@pytest.mark.parametrize(("size", "shuffle"), [(7, True), (12, False)])
def test_they_are_those_of_the_weights_that_the_fit_leaves(name, size, shuffle):
    """50 rows: seven batches of 7 and one of 1, which has no variance; or four of 12 and one of 2."""
    network = model(AVERAGING[name])
    network.fit(X, Y, epochs=3, batch_size=size, shuffle=shuffle, progress=False)
    order = shuffled(50, shuffle_key(3), 0) if shuffle else np.arange(50)
    batches = [order[start : start + size] for start in range(0, 50, size)]
    for key, expected in statistics(network.parameters, X, batches).items():
        np.testing.assert_allclose(network.parameters[key], expected, rtol=1e-9, err_msg=key)


@every
def test_validation_and_early_stopping_go_by_them(name):
    network = model(AVERAGING[name])
    network.fit(X, Y, epochs=4, batch_size=7, validation_data=VALIDATION, progress=False)
    longer = model(AVERAGING[name])
    losses = longer.fit(
        X,
        Y,
        epochs=9,
        batch_size=7,
        validation_data=VALIDATION,
        early_stopping=EarlyStopping(patience=9),
        progress=False,
    )["val_loss"]
    assert network.evaluate(*VALIDATION)["loss"] == losses[3]
    assert longer.evaluate(*VALIDATION)["loss"] == min(losses)


@every
def test_training_itself_goes_on_with_its_own(name):
    """Whether somebody looks changes nothing."""
    one, other = model(AVERAGING[name], nn.Dropout(0.2)), model(AVERAGING[name], nn.Dropout(0.2))
    first = one.fit(X, Y, epochs=4, batch_size=7, validation_data=VALIDATION, metrics=["accuracy"], progress=False)
    second = other.fit(X, Y, epochs=4, batch_size=7, progress=False)
    assert first["loss"] == second["loss"]
    for key, array in one.parameters.items():
        np.testing.assert_array_equal(other.parameters[key], array, err_msg=key)


@every
def test_a_resumed_run_has_the_same_bits(name, tmp_path):
    settings = {"epochs": 4, "batch_size": 7, "validation_data": VALIDATION, "progress": False, "checkpoint_steps": 1}
    settings |= {"early_stopping": EarlyStopping(patience=9)}
    whole = model(AVERAGING[name], nn.Dropout(0.2))
    history = whole.fit(X, Y, **settings)

    def stop(event):
        if isinstance(event, Progressed) and event.step >= 12:
            raise StopTraining

    model(AVERAGING[name], nn.Dropout(0.2)).fit(X, Y, run=tmp_path, listeners=[stop], **settings)
    resumed = model(AVERAGING[name], nn.Dropout(0.2))
    assert resumed.fit(X, Y, run=tmp_path, resume=True, **settings).epochs == history.epochs
    for key, array in whole.parameters.items():
        np.testing.assert_array_equal(resumed.parameters[key], array, err_msg=key)


def test_frozen_ones_stay():
    network = model(optim.WeightAverage(optim.SGD(0.1)))
    network.frozen = ("batchnorm1.*",)
    network.fit(X, Y, epochs=2, progress=False)
    np.testing.assert_array_equal(network.parameters["batchnorm1.mean"], np.zeros(5))
    assert abs(network.parameters["batchnorm2.mean"]).max() > 0.01


def test_states_are_carried_through_the_pass_as_through_training():
    """4 lanes of 6 windows: the statistics are those of 4 sequences of 6 windows' length."""
    windows, targets = RNG.normal(size=(24, 5, 3)), RNG.normal(size=(24, 5, 2))
    layers = [nn.SimpleRNN(4, outputs="all"), nn.BatchNorm(), nn.Dense(2)]
    network = Model(layers, optimizer=optim.WeightAverage(optim.SGD(1e-30)), dtype="float64", seed=1)
    network.fit(windows, targets, epochs=2, batch_size=4, stateful=True, progress=False)
    p = {key.rpartition(".")[2]: array for key, array in network.parameters.items() if "rnn" in key}
    h, states = np.zeros((4, 4)), []
    for x in np.moveaxis(windows.reshape(4, 30, 3), 1, 0):
        h = np.tanh(x @ p["W"] + h @ p["U"] + p["b"])
        states.append(h)
    of_windows = np.array(states).reshape(6, 20, 4)
    expected = of_windows.var(axis=1, ddof=1).mean(axis=0)
    np.testing.assert_allclose(network.parameters["batchnorm1.mean"], of_windows.mean(axis=(0, 1)), rtol=1e-9)
    np.testing.assert_allclose(network.parameters["batchnorm1.variance"], expected, rtol=1e-9)
