"""Early stopping: when it ends a fit, and whose weights remain."""

from __future__ import annotations

import numpy as np
import pytest

from clearprop import nn, optim
from clearprop.errors import SettingsError
from clearprop.model import Model
from clearprop.train import EarlyStopping, EpochEnded

pytestmark = pytest.mark.usefixtures("backend")


class Weights(list):
    """The weights at the end of every epoch, and what was recorded."""

    def __init__(self, model):
        super().__init__()
        self.model, self.best = model, []

    def __call__(self, event):
        if isinstance(event, EpochEnded):
            self.best.append(event.best)


@pytest.fixture
def overfits():
    """A large network, few noisy samples: the validation loss falls and then rises."""
    rng = np.random.default_rng(0)
    X, V = rng.normal(size=(20, 5)), rng.normal(size=(40, 5))
    y, v = X[:, 0] + rng.normal(size=20), V[:, 0] + rng.normal(size=40)
    model = Model([nn.Dense(40, "tanh"), nn.Dense(1)], optimizer=optim.Adam(0.01), dtype="float64", seed=1)
    return model, X, y, (V, v)


def test_stops_after_patience_and_restores_the_best_weights(overfits):
    model, X, y, validation = overfits
    seen = Weights(model)
    history = model.fit(
        X,
        y,
        epochs=200,
        validation_data=validation,
        early_stopping=EarlyStopping(patience=7),
        listeners=[seen],
        progress=False,
    )
    losses = history["val_loss"]
    best = int(np.argmin(losses))
    assert 0 < best < len(losses) - 1 < 199
    assert history.reason == "early stopping"
    assert history.best_epoch == best + 1
    assert len(losses) == best + 1 + 7
    assert seen.best == [value < min(losses[:i], default=np.inf) for i, value in enumerate(losses)]
    assert model.evaluate(*validation)["loss"] == losses[best] == history.best["val_loss"]


def test_the_best_weights_are_those_of_a_fit_that_ends_there(overfits):
    model, X, y, validation = overfits
    twin = Model(model.network, optimizer=model.optimizer, dtype="float64", seed=1)
    history = model.fit(
        X, y, epochs=60, validation_data=validation, early_stopping=EarlyStopping(patience=9), progress=False
    )
    twin.fit(X, y, epochs=history.best_epoch, progress=False)
    for name, array in model.parameters.items():
        np.testing.assert_array_equal(array, twin.parameters[name])


def test_without_restoring_the_last_weights_remain(overfits):
    model, X, y, validation = overfits
    history = model.fit(
        X,
        y,
        epochs=200,
        validation_data=validation,
        early_stopping=EarlyStopping(patience=7, restore_best=False),
        progress=False,
    )
    assert model.evaluate(*validation)["loss"] == history["val_loss"][-1] != min(history["val_loss"])


def test_best_weights_are_restored_when_the_epochs_run_out(overfits):
    model, X, y, validation = overfits
    history = model.fit(
        X, y, epochs=60, validation_data=validation, early_stopping=EarlyStopping(patience=1000), progress=False
    )
    assert history.reason == "finished"
    assert model.evaluate(*validation)["loss"] == min(history["val_loss"])


def test_min_delta(overfits):
    model, X, y, validation = overfits
    history = model.fit(
        X,
        y,
        epochs=50,
        validation_data=validation,
        early_stopping=EarlyStopping(min_delta=1e9, patience=3),
        progress=False,
    )
    assert len(history) == 4
    assert history.best_epoch == 1


@pytest.mark.parametrize(
    ("metric", "value", "best", "better"),
    [
        ("val_loss", 1.0, 2.0, True),
        ("loss", 2.0, 2.0, False),
        ("val_accuracy", 0.8, 0.7, True),
        ("accuracy", 0.6, 0.7, False),
        ("val_mean_squared_error", 1.0, 2.0, True),
        ("r2", 0.5, 0.4, True),
        ("val_loss", float("nan"), 2.0, False),
        ("val_loss", float("nan"), None, False),
        ("val_loss", 1e300, None, True),
    ],
)
def test_what_counts_as_better(metric, value, best, better):
    assert EarlyStopping(metric).improves(value, best) is better


def test_settings_are_checked(overfits):
    model, X, y, validation = overfits
    for bad in ({"patience": 0}, {"min_delta": -1.0}):
        with pytest.raises(SettingsError, match="EarlyStopping: "):
            EarlyStopping(**bad)
    with pytest.raises(SettingsError, match="cannot watch 'val_loss': the fit records loss; give validation data"):
        model.fit(X, y, early_stopping="val_loss", progress=False)
    with pytest.raises(SettingsError, match="records loss, r2, val_loss, val_r2"):
        model.fit(X, y, validation_data=validation, metrics=["r2"], early_stopping="val_acc", progress=False)
    assert not model.parameters
