"""What the loop does for optimisers and schedules: averages for evaluation, groups' rates, plateaus, momentum."""

from __future__ import annotations

import numpy as np
import pytest

from clearprop import nn, optim
from clearprop.errors import SettingsError
from clearprop.model import Model, load
from clearprop.train import EarlyStopping, EpochEnded

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 3))
Y = X @ np.array([[1.0], [-2.0], [0.5]]) + 0.1
BACKENDS = pytest.mark.parametrize("backend", ["reference", "native"])
NAMES = [*optim.OPTIMIZERS, *optim.WRAPPERS]


def make(optimizer: object, backend: str = "reference", **options: object) -> Model:
    layers = [nn.Dense(4, "tanh"), nn.Dense(1)]
    return Model(layers, "squared_error", optimizer, dtype="float64", backend=backend, **options)


@pytest.mark.parametrize("name", NAMES)
def test_native_follows_the_reference(name):
    """Two epochs of the whole fit, on both backends."""
    kind = (optim.OPTIMIZERS | optim.WRAPPERS)[name]
    models = [make(kind(), backend) for backend in ("reference", "native")]
    first, second = (model.fit(X, Y, epochs=2, batch_size=10, progress=False) for model in models)
    np.testing.assert_allclose(first["loss"], second["loss"], rtol=1e-9)
    for key, array in models[0].parameters.items():
        np.testing.assert_allclose(models[1].parameters[key], array, rtol=1e-7, atol=1e-10, err_msg=key)


@pytest.mark.parametrize("loss", ["squared_error", "cross_entropy"])
@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_learns(name, loss):
    rates = {"sgd": 0.1, "adagrad": 0.1, "adadelta": 10.0, "radam": 0.1, "adafactor": 0.1, "lars": 5.0}
    kind = (optim.OPTIMIZERS | optim.WRAPPERS)[name]
    options = {"decay": 0.9} if name == "exponential_average" else {}
    optimizer = kind(rates.get(name, 0.02)) if name in optim.OPTIMIZERS else kind(optim.Adam(0.05), **options)
    model = Model([nn.Dense(6, "tanh"), nn.Dense(2)], loss, optimizer)
    target = np.hstack([Y, -Y]) if loss == "squared_error" else (Y[:, 0] > 0).astype(int)
    before = Model([nn.Dense(6, "tanh"), nn.Dense(2)], loss, optimizer)
    before.init((3,))
    model.fit(X, target, epochs=60, batch_size=6, progress=False)
    assert model.evaluate(X, target)["loss"] < 0.5 * before.evaluate(X, target)["loss"]


@BACKENDS
def test_evaluation_and_the_fitted_model_use_the_average(backend):
    """The mean of the weights after every step, and not the last ones."""
    seen: list[dict[str, np.ndarray]] = []
    plain = make(optim.SGD(0.05), backend)
    for _ in range(4):
        plain.fit(X, Y, epochs=1, batch_size=24, shuffle=False, progress=False)
        seen.append(plain.parameters)
    averaged = make(optim.WeightAverage(optim.SGD(0.05)), backend)
    history = averaged.fit(X, Y, epochs=4, batch_size=24, shuffle=False, validation_data=(X, Y), progress=False)
    for name, array in averaged.parameters.items():
        np.testing.assert_allclose(array, np.mean([w[name] for w in seen], axis=0), rtol=1e-12)
    assert history["val_loss"][-1] == pytest.approx(averaged.evaluate(X, Y)["loss"], rel=1e-12)


def test_early_stopping_keeps_the_average_of_the_best_epoch():
    model = make(optim.ExponentialAverage(optim.SGD(0.05), 0.5))
    stop = EarlyStopping("val_loss", patience=1, min_delta=0.2)
    history = model.fit(X, Y, epochs=30, validation_data=(X, Y), early_stopping=stop, progress=False)
    assert history.reason == "early stopping"
    assert model.evaluate(X, Y)["loss"] == pytest.approx(history["val_loss"][history.best_epoch - 1], rel=1e-12)


def test_a_model_file_holds_groups_and_wrappers(tmp_path):
    groups = optim.ParameterGroups(optim.Adam(), [("*.b", optim.Lookahead(optim.SGD(0.1)))])
    model = make(optim.ClipByNorm(groups, 0.5), schedule=optim.Phases([(optim.Constant(), 1), (optim.Cosine(), None)]))
    model.fit(X, Y, epochs=1, progress=False)
    model.save(tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors")
    assert again.optimizer == model.optimizer
    assert again.schedule == model.schedule


def test_a_group_that_matches_nothing_is_refused_before_training():
    with pytest.raises(SettingsError, match=r"the group 'conv1\..*' matches none of dense1.W"):
        make(optim.ParameterGroups(optim.Adam(), [("conv1.*", optim.SGD())])).fit(X, Y, progress=False)


@BACKENDS
def test_the_schedule_moves_every_rate_and_the_momentum(backend):
    """A group of the same settings goes as if it were none; with a schedule's momentum it goes elsewhere."""
    groups = optim.ParameterGroups(optim.Momentum(0.02), [("*.b", optim.Momentum(0.02))])
    schedules = {"grouped": optim.OneCycle(0.4), "plain": optim.OneCycle(0.4)}
    schedules |= {"rate alone": optim.OneCycle(0.4, cycle_momentum=False)}
    found = {}
    for name, schedule in schedules.items():
        model = make(groups if name == "grouped" else optim.Momentum(0.02), backend, schedule=schedule)
        model.fit(X, Y, epochs=5, batch_size=12, progress=False)
        found[name] = model.parameters["dense1.b"]
    np.testing.assert_array_equal(found["grouped"], found["plain"])
    assert not np.allclose(found["plain"], found["rate alone"])


@BACKENDS
def test_reduce_on_plateau(backend):
    """With a rate that does nothing the loss is level, and the rate falls epoch by epoch."""
    rates: list[float] = []

    def listener(event):
        if hasattr(event, "learning_rate"):
            rates.append(event.learning_rate)

    schedule = optim.ReduceOnPlateau("loss", 0.5, patience=1, min_delta=1e-9)
    make(optim.SGD(1e-300), backend, schedule=schedule).fit(
        X, Y, epochs=6, batch_size=24, listeners=[listener], progress=False
    )
    assert [rate / 1e-300 for rate in rates] == pytest.approx([1, 1, 1, 0.5, 0.5, 0.25])


def test_a_plateau_of_what_is_not_recorded_is_refused():
    for metric, hint in (("val_loss", "give validation data"), ("accuracy", "the fit records loss")):
        with pytest.raises(SettingsError, match=f"the schedule cannot watch '{metric}'.*{hint}"):
            make("sgd", schedule=optim.ReduceOnPlateau(metric)).fit(X, Y, progress=False)


def test_a_function_is_a_schedule():
    events: list[EpochEnded] = []
    model = make("sgd", schedule=lambda step: 0.0)
    history = model.fit(X, Y, epochs=2, batch_size=24, listeners=[events.append], progress=False)
    assert history["loss"][0] == pytest.approx(history["loss"][1], rel=1e-12)
