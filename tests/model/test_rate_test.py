"""The learning-rate range test: what it finds, and that it leaves everything as it was."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from clearprop import nn, optim
from clearprop.data import Table
from clearprop.errors import SettingsError
from clearprop.model import Model
from clearprop.model.saving import PARTS

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
Y = (X @ np.array([1.0, -2, 0.5, 0]) + 0.1 * RNG.normal(size=60))[:, None]


def make(optimizer: object = "adam") -> Model:
    layers = [nn.Dense(8, "relu"), nn.Dropout(0.1), nn.Dense(1)]
    return Model(layers, "squared_error", optimizer, schedule=optim.Cosine(), dtype="float64")


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_everything_stays_as_it_was(backend):
    """After a test the fit goes on as if there had been none."""
    models = [make(), make()]
    for model in models:
        model.backend = backend
        model.fit(X, Y, epochs=2, progress=False)
    before = {part: getattr(models[0], part) for part in PARTS}
    arrays = {name: (array, array.copy()) for name, array in models[0].parameters.items()}
    models[0].find_learning_rate(X, Y, steps=60)
    assert {part: getattr(models[0], part) for part in PARTS} == before
    for name, (array, copy) in arrays.items():
        assert models[0].parameters[name] is array
        np.testing.assert_array_equal(array, copy)
    histories = [model.fit(X, Y, epochs=2, progress=False) for model in models]
    assert histories[0].epochs == histories[1].epochs


def test_a_new_model_stays_new():
    model = make()
    model.find_learning_rate(X, Y)
    assert model.parameters == {}
    assert model.sample_shape is None
    table = Table({f"x{i}": X[:, i] for i in range(4)})
    model.find_learning_rate(table, Y[:, 0])
    assert model.encoding is None


@pytest.mark.parametrize("optimizer", ["sgd", "adam", optim.ParameterGroups(optim.SGD(0.3), [("*.b", optim.Adam())])])
def test_the_suggestion_trains(optimizer):
    test = make(optimizer).find_learning_rate(X, Y, steps=120)
    np.testing.assert_allclose(test.rates, np.geomspace(1e-6, 10, 120)[: len(test.rates)])
    assert len(test.losses) == len(test.smoothed) == len(test.rates)
    assert 1e-5 < test.suggestion == pytest.approx(test.rates[np.argmin(test.smoothed)] / 10)
    if isinstance(optimizer, str):
        model = make(optim.OPTIMIZERS[optimizer](test.suggestion))
        history = model.fit(X, Y, epochs=40, progress=False)
        assert history["loss"][-1] < 0.3 * history["loss"][0]


def test_the_losses_are_those_of_a_fit():
    """The first step's loss is that of the untrained model on the fit's first batch; a tiny rate changes nothing."""
    model = make("sgd")
    model.init((4,))
    test = model.find_learning_rate(X, Y, low=1e-300, high=1e-299, steps=3, batch_size=60)
    assert test.losses[0] != test.losses[1]  # dropout draws anew at each step
    plain = Model([nn.Dense(8, "relu"), nn.Dense(1)], dtype="float64", optimizer="sgd")
    plain.init((4,))
    test = plain.find_learning_rate(X, Y, low=1e-300, high=1e-299, steps=3, batch_size=60)
    np.testing.assert_allclose(test.losses, plain.evaluate(X, Y)["loss"])


def test_it_ends_when_the_loss_has_blown_up():
    test = make("sgd").find_learning_rate(X, Y, high=1e6, steps=200)
    assert len(test.rates) < 200
    assert np.isfinite(test.losses).all()


def test_text():
    test = make("sgd").find_learning_rate(X, Y)
    lines = test.text(40, 6).splitlines()
    assert len(lines) == 9
    assert sum(line.count("*") for line in lines) > 10
    assert lines[6].count("^") == 1
    assert lines[8].endswith(f"^ {test.suggestion:.3g}")
    assert "suggestion=" in repr(test)


class Axes:
    """What `plot` needs of matplotlib's axes."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattr__(self, name):
        return lambda *arguments, **options: self.calls.append(name)


def test_plot(monkeypatch):
    test = make("sgd").find_learning_rate(X, Y)
    axes = Axes()
    assert test.plot(axes) is axes
    assert axes.calls.count("plot") == 2
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(SettingsError, match=r"clearprop\[plots\]"):
        test.plot()


@pytest.mark.parametrize(
    "wrong", [{"low": 0.0}, {"low": 2.0, "high": 1.0}, {"high": float("inf")}, {"steps": 1}, {"steps": True}]
)
def test_settings_that_are_refused(wrong):
    with pytest.raises(SettingsError, match="received"):
        make().find_learning_rate(X, Y, **wrong)


def test_what_cannot_be_tested():
    for model in (Model([nn.Dense(1)], optimizer="lbfgs"), make(optim.SGD(0.0))):
        with pytest.raises(SettingsError, match="an optimiser of steps with a learning rate above 0"):
            model.find_learning_rate(X, Y)
    with pytest.raises(SettingsError, match="begin lower"):
        make("sgd").find_learning_rate(X, Y * 1e200)
