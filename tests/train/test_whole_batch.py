"""Fits on all samples at once: against SciPy and scikit-learn, resumed, interrupted, refused."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.optimize import least_squares, minimize
from sklearn.linear_model import BayesianRidge
from whole_batch_table import SOURCES

from clearprop import losses, nn, optim
from clearprop.errors import DivergedError, SettingsError
from clearprop.model import Model, Run, load
from clearprop.train import CheckpointWritten, EarlyStopping, EpochEnded, StopTraining

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
Y = np.sin(X[:, :1]) + 0.3 * X[:, 1:2] ** 2 + 0.05 * RNG.normal(size=(40, 1))
KINDS = optim.WHOLE_BATCH
every = pytest.mark.parametrize("name", KINDS)
minimizers = pytest.mark.parametrize("name", ["lbfgs", "conjugate_gradient", "newton_cg"])


def test_every_member_says_who_checks_it():
    assert set(SOURCES) == set(KINDS)


def make(name: str, *, penalty: Any = (), dtype: str = "float64", **options: Any) -> Model:
    layers = [nn.Dense(4, "tanh", penalty=penalty), nn.Dense(1)]
    return Model(layers, "squared_error", KINDS[name](**options), dtype=dtype, seed=1)


def flat(model: Model) -> np.ndarray:
    return np.concatenate([array.ravel() for array in model.parameters.values()])


def by_hand(w: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean squared error of the 3-4-1 network with an L2 penalty, and its gradient, in NumPy."""
    W1, b1, W2, b2 = w[:12].reshape(3, 4), w[12:16], w[16:20].reshape(4, 1), w[20:]
    a = np.tanh(X @ W1 + b1)
    error = a @ W2 + b2 - Y
    d2 = 2 * error / len(X)
    d1 = (d2 @ W2.T) * (1 - a**2)
    gradient = np.concatenate([(X.T @ d1 + 0.02 * W1).ravel(), d1.sum(0), (a.T @ d2).ravel(), d2.sum(0)])
    return float(np.mean(error**2) + 0.01 * np.sum(W1**2)), gradient


@minimizers
def test_the_path_of_scipy_on_the_same_function(name):
    model = make(name, penalty=nn.L2(0.02))
    model.init((3,))
    start, optimizer = flat(model), KINDS[name]()
    options = {"maxiter": 8} | optimizer.options()

    def product(w, v):
        h = 1e-6
        return (by_hand(w + h * v)[1] - by_hand(w - h * v)[1]) / (2 * h)

    hessp = product if optimizer.second_order else None
    expected = minimize(by_hand, start, jac=True, hessp=hessp, method=optimizer.method, options=options)
    history = model.fit(X, Y, epochs=8, progress=False)
    tolerance = 1e-3 if optimizer.second_order else 1e-7  # SciPy's was given a difference for the Hessian
    np.testing.assert_allclose(flat(model), expected.x, rtol=tolerance, atol=tolerance)
    assert len(history) == expected.nit == 8
    value = model.evaluate(X, Y)["loss"] + 0.01 * float(np.sum(model.parameters["dense1.W"] ** 2))
    assert value == pytest.approx(expected.fun, rel=1e-4)
    assert history["loss"][-1] == pytest.approx(model.evaluate(X, Y)["loss"])


def test_levenberg_marquardt_finds_the_minimum_of_least_squares():
    layers = [nn.Dense(2, "tanh"), nn.Dense(1)]
    model = Model(layers, "squared_error", optim.LevenbergMarquardt(), dtype="float64", seed=1)

    def output(w):
        return np.tanh(X @ w[:6].reshape(3, 2) + w[6:8]) @ w[8:10] + w[10]

    y = output(np.array([1, -0.5, 0.3, 0.8, -1, 0.4, 0.2, -0.3, 1.5, 2, 0.1])) + 0.05 * Y[:, 0]

    def residual(w):
        return output(w) - y

    history = model.fit(X, y, epochs=500, progress=False)
    assert history.reason == "converged"
    again = least_squares(residual, flat(model), method="lm", xtol=1e-14, ftol=1e-14, gtol=1e-14)
    assert history["loss"][-1] == pytest.approx(2 * again.cost / len(X), rel=1e-9)
    np.testing.assert_allclose(flat(model), again.x, rtol=1e-4)
    assert all(b <= a for a, b in pairwise(history["loss"]))


@pytest.mark.parametrize("over", ["mean", "sum"])
def test_levenberg_marquardt_is_exact_on_a_line(over):
    """Weighted least squares of two outputs, in closed form, in a few steps."""
    targets, weight = np.hstack([Y, Y**2]), np.linspace(0.2, 2, 40)
    model = Model(nn.Dense(2), losses.SquaredError(0.5, over), optim.LevenbergMarquardt(), dtype="float64")
    history = model.fit(X, targets, sample_weight=weight, epochs=50, progress=False)
    design, root = np.hstack([X, np.ones((40, 1))]), np.sqrt(weight)[:, None]
    expected = np.linalg.lstsq(design * root, targets * root, rcond=None)[0]
    np.testing.assert_allclose(model.parameters["dense1.W"], expected[:3], rtol=1e-7)
    np.testing.assert_allclose(model.parameters["dense1.b"], expected[3], rtol=1e-7)
    assert history["loss"][-1] == pytest.approx(model.evaluate(X, targets, sample_weight=weight)["loss"], rel=1e-12)
    assert len(history) < 10


def test_bayesian_regularization_is_the_evidence_of_a_line():
    """On a linear network, MacKay's factors are those of scikit-learn's BayesianRidge without priors."""
    x = np.hstack([X, RNG.normal(size=(40, 4))])
    y = x @ np.array([1.0, -0.5, 0, 0, 0.2, 0, 0])[:, None] + 0.3 * RNG.normal(size=(40, 1))
    model = Model(nn.Dense(1, bias=False), "squared_error", optim.BayesianRegularization(), dtype="float64")
    history = model.fit(x, y, epochs=500, progress=False)
    assert history.reason == "converged"
    none = {"alpha_1": 0, "alpha_2": 0, "lambda_1": 0, "lambda_2": 0}
    ridge = BayesianRidge(fit_intercept=False, max_iter=2000, tol=1e-12, **none).fit(x, y.ravel())
    np.testing.assert_allclose(model.parameters["dense1.W"].ravel(), ridge.coef_, rtol=1e-4)
    assert history["weight_penalty"][-1] * len(x) == pytest.approx(ridge.lambda_ / ridge.alpha_, rel=1e-4)
    assert 2 < history["effective_parameters"][-1] < 7


def test_bayesian_regularization_leaves_what_the_data_do_not_determine():
    """A noisy sine and far more parameters than it needs, as in MATLAB's example of trainbr."""
    x = np.linspace(-1, 1, 41)[:, None]
    y, between = np.sin(3 * x) + 0.2 * np.random.default_rng(3).normal(size=x.shape), np.linspace(-1, 1, 200)[:, None]
    found = {}
    for kind in (optim.BayesianRegularization, optim.LevenbergMarquardt):
        layers = [nn.Dense(12, "tanh"), nn.Dense(1)]
        model = Model(layers, "squared_error", kind(), dtype="float64")
        history = model.fit(x, y, epochs=60, progress=False)
        found[kind] = model.evaluate(between, np.sin(3 * between))["loss"]
        if kind is optim.BayesianRegularization:
            assert history["effective_parameters"][-1] < 12 < 37
    assert found[optim.BayesianRegularization] < 0.5 * found[optim.LevenbergMarquardt]


@every
def test_names_files_and_float32(name, tmp_path):
    assert optim.optimizer(name) == KINDS[name]()
    model = make(name, dtype="float32")
    history = model.fit(X, Y, epochs=5, metrics=["r2"], validation_split=0.2, progress=False)
    assert history["loss"][-1] < history["loss"][0]
    assert {"r2", "val_loss", "val_r2"} <= set(history.epochs[0])
    model.save(tmp_path / "model.safetensors")
    assert load(tmp_path / "model.safetensors").optimizer == model.optimizer
    assert model.parameters["dense1.W"].dtype == np.float32


@every
def test_events_and_a_stop(name):
    events: list[Any] = []

    def listener(event):
        events.append(event)
        if isinstance(event, EpochEnded) and event.epoch == 2:
            raise StopTraining

    model = make(name)
    history = model.fit(X, Y, epochs=50, listeners=[listener], progress=False)
    assert history.reason == "interrupted"
    assert len(history) == 2
    assert [type(event).__name__ for event in events] == ["FitStarted", "EpochEnded", "EpochEnded", "FitEnded"]
    assert events[0].total_steps == 50
    assert history["loss"][-1] == pytest.approx(model.evaluate(X, Y)["loss"], rel=1e-12)


@every
def test_early_stopping_and_frozen_parameters(name):
    model = make(name)
    model.frozen = ("dense1.*",)
    model.init((3,))
    before = model.parameters["dense1.W"].copy()
    stop = EarlyStopping("val_loss", patience=2)
    history = model.fit(X, Y, epochs=300, validation_data=(X[:9], Y[:9] * 1.5), early_stopping=stop, progress=False)
    assert history.reason in ("early stopping", "converged")
    assert history.best_epoch is not None
    assert model.evaluate(X[:9], Y[:9] * 1.5)["loss"] == pytest.approx(min(history["val_loss"]), rel=1e-9)
    np.testing.assert_array_equal(model.parameters["dense1.W"], before)


@pytest.mark.parametrize("name", ["levenberg_marquardt", "bayesian_regularization"])
def test_resumed_it_gives_the_same_bits(name, tmp_path):
    class StopAt:
        def __call__(self, event):
            if isinstance(event, CheckpointWritten) and event.step == 4:
                raise StopTraining

    options = {"epochs": 12, "progress": False, "checkpoint_steps": 1}
    whole = make(name)
    whole.fit(X, Y, run=tmp_path / "whole", **options)
    make(name).fit(X, Y, run=tmp_path / "parts", listeners=[StopAt()], **options)
    assert Run(tmp_path / "parts").history().reason == "interrupted"
    make(name).fit(X, Y, run=tmp_path / "parts", resume=True, **options)
    histories = [dataclasses.asdict(Run(tmp_path / part).history()) for part in ("whole", "parts")]
    assert histories[0]["epochs"] == histories[1]["epochs"]
    assert Run(tmp_path / "whole").model_file.read_bytes() == Run(tmp_path / "parts").model_file.read_bytes()


@minimizers
def test_scipy_cannot_be_resumed(name, tmp_path):
    make(name).fit(X, Y, run=tmp_path, epochs=2, progress=False)
    with pytest.raises(SettingsError, match="cannot go on where it was stopped"):
        make(name).fit(X, Y, run=tmp_path, epochs=2, resume=True, progress=False)


@every
def test_what_is_refused(name):
    kind = KINDS[name]()
    random = Model([nn.Dense(4), nn.Dropout(0.5), nn.Dense(1)], "squared_error", kind)
    with pytest.raises(SettingsError, match="draws random numbers"):
        random.fit(X, Y, progress=False)
    mixed = Model([nn.Mixup(), nn.Dense(1)], "squared_error", kind)
    with pytest.raises(SettingsError, match="leave dropout, noise and mixup out"):
        mixed.fit(X, Y, progress=False)
    bound = Model([nn.Dense(1, constraint=nn.MaxNorm())], "squared_error", kind)
    with pytest.raises(SettingsError, match=r"does not keep constraints, and dense1\.W has one"):
        bound.fit(X, Y, progress=False)
    frozen = Model([nn.Dense(1)], "squared_error", kind, frozen="*")
    with pytest.raises(SettingsError, match="every parameter is frozen"):
        frozen.fit(X, Y, progress=False)
    model = make(name)
    model.init((3,))
    with pytest.raises(SettingsError, match="has no training step"):
        model.source()
    for field in dataclasses.fields(kind):
        for value in (-1, True, "1", float("nan")):
            with pytest.raises(SettingsError, match=f"{field.name}.*received"):
                KINDS[name](**{field.name: value})


@pytest.mark.parametrize("name", ["levenberg_marquardt", "bayesian_regularization"])
def test_what_least_squares_refuses(name):
    with pytest.raises(SettingsError, match=r"is no sum of squares.*SquaredError"):
        Model([nn.Dense(2)], "cross_entropy", KINDS[name]()).fit(X, (Y[:, 0] > 0).astype(int), progress=False)
    with pytest.raises(SettingsError, match="leave the layers' penalties out"):
        make(name, penalty=nn.L2(0.1)).fit(X, Y, progress=False)


@every
def test_a_loss_that_is_not_finite(name):
    model = Model([nn.Dense(1), nn.Function(lambda x: (x * 0.0 - 1.0) ** 0.5)], "squared_error", KINDS[name]())
    with pytest.raises(DivergedError, match="is the first to be NaN"):
        model.fit(X, Y, progress=False)
