"""Batch normalisation in a model: running averages through steps, files, checkpoints, and every kind of optimiser."""

from __future__ import annotations

import numpy as np
import pytest

import clearprop as cp
from clearprop.train import Progressed, StopTraining

RNG = np.random.default_rng(0)
X = (RNG.normal(size=(50, 6)) * 2 + 1).astype(np.float32)
Y = (X[:, :3].sum(axis=1) > 3).astype(np.int64)
BACKENDS = ["reference", "native"]


def model(optimizer=None, backend="reference", momentum=0.1, **settings):
    layers = [cp.Dense(5, bias=False), cp.BatchNorm(momentum), cp.ReLU(), cp.Dense(2)]
    return cp.Model(layers, "cross_entropy", optimizer or cp.Adam(0.01), backend=backend, **settings)


def fit(network, **settings):
    return network.fit(X, Y, **({"epochs": 2, "batch_size": 7, "progress": "quiet"} | settings))


def test_the_averages_are_parameters_that_the_optimiser_leaves_alone():
    network = model()
    network.init((6,))
    assert network.averages == ("batchnorm1.mean", "batchnorm1.variance")
    assert set(network.trainable) == {"dense1.W", "batchnorm1.gamma", "batchnorm1.beta", "dense2.W", "dense2.b"}
    np.testing.assert_array_equal(network.parameters["batchnorm1.mean"], np.zeros(5))
    np.testing.assert_array_equal(network.parameters["batchnorm1.variance"], np.ones(5))


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_averages_follow_the_batches_as_in_pytorch(backend):
    """With a rate of 0 the weights stay, so that each batch's statistics can be computed here."""
    network = model(cp.SGD(1e-30), backend, dtype="float64")
    network.init((6,))
    W = network.parameters["dense1.W"].copy()
    fit(network, shuffle=False)  # 50 rows: seven batches of 7 and one of 1, twice
    mean, variance = np.zeros(5), np.ones(5)
    for _ in range(2):
        for start in range(0, 49, 7):
            z = X[start : start + 7].astype(float) @ W
            mean = 0.9 * mean + 0.1 * z.mean(axis=0)
            variance = 0.9 * variance + 0.1 * z.var(axis=0, ddof=1)
    np.testing.assert_allclose(network.parameters["batchnorm1.mean"], mean, rtol=1e-12)
    np.testing.assert_allclose(network.parameters["batchnorm1.variance"], variance, rtol=1e-12)


def test_both_backends_train_alike():
    models = [model(backend=backend, dtype="float64") for backend in BACKENDS]
    for network in models:
        fit(network)
    for name, array in models[0].parameters.items():
        np.testing.assert_allclose(models[1].parameters[name], array, rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_resumed_run_has_the_same_bits(tmp_path, backend):
    whole = model(backend=backend)
    fit(whole)
    stopped, steps = model(backend=backend), []

    def stop(event):
        steps.append(event.step)
        if isinstance(event, Progressed) and event.step >= 4:
            raise StopTraining

    fit(stopped, run=tmp_path, listeners=[stop], checkpoint_steps=1)
    resumed = model(backend=backend)
    fit(resumed, run=tmp_path, resume=True, checkpoint_steps=1)
    for name, array in whole.parameters.items():
        np.testing.assert_array_equal(resumed.parameters[name], array, err_msg=name)


def test_a_saved_model_predicts_the_same(tmp_path):
    network = model()
    fit(network)
    network.save(tmp_path / "model.safetensors")
    again = cp.load(tmp_path / "model.safetensors")
    again.backend = "reference"
    np.testing.assert_array_equal(again.predict(X), network.predict(X))
    assert again.averages == network.averages


def test_frozen_it_does_in_training_what_it_does_otherwise():
    network = model(frozen=["batchnorm1.*", "dense1.*"])
    fit(network)
    np.testing.assert_array_equal(network.parameters["batchnorm1.variance"], np.ones(5))
    source = network.source()
    assert "batchnorm1_mean_new" not in source
    assert "batchnorm1_centred" not in source


@pytest.mark.parametrize("optimizer", [cp.LBFGS(), cp.NewtonCG()], ids=repr)
def test_optimisers_of_all_samples_leave_the_statistics_of_all(optimizer):
    network = model(optimizer, dtype="float64")
    fit(network, epochs=4)
    z = X.astype(float) @ network.parameters["dense1.W"]
    np.testing.assert_allclose(network.parameters["batchnorm1.mean"], z.mean(axis=0), rtol=1e-10)
    np.testing.assert_allclose(network.parameters["batchnorm1.variance"], z.var(axis=0, ddof=1), rtol=1e-10)


def test_levenberg_marquardt_too():
    layers = [cp.Dense(3, bias=False), cp.BatchNorm(), cp.Tanh(), cp.Dense(1)]
    network = cp.Model(layers, "squared_error", cp.LevenbergMarquardt(), dtype="float64", backend="reference")
    network.fit(X, X[:, :1] ** 2, epochs=3, progress="quiet")
    z = X.astype(float) @ network.parameters["dense1.W"]
    np.testing.assert_allclose(network.parameters["batchnorm1.mean"], z.mean(axis=0), rtol=1e-10)


def test_the_best_epochs_averages_come_back():
    network = model(cp.Adam(0.05))
    history = fit(network, epochs=8, validation_data=(X, Y), early_stopping=cp.EarlyStopping("val_loss", patience=8))
    best = min(record["val_loss"] for record in history.epochs)
    assert network.evaluate(X, Y)["loss"] == pytest.approx(best, rel=1e-6)


def test_the_gradient_certificate_holds():
    layers = [
        cp.Conv2D(3, 2, bias=False), cp.BatchNorm(), cp.Tanh(), cp.MaxPool2D(2), cp.Flatten(), cp.Dense(2),
    ]  # fmt: skip
    network = cp.Model(layers, "cross_entropy", backend="reference")
    images = RNG.normal(size=(8, 5, 5))
    network.init((5, 5))
    report = cp.check_gradients(network, images, np.arange(8) % 2, backend="reference")
    assert report.ok, str(report)
    assert report.left_out == ("batchnorm1.mean", "batchnorm1.variance")


def test_the_source_runs_as_printed_and_keeps_the_averages():
    network = model(dtype="float64")
    fit(network)
    space: dict = {}
    exec(network.source(), space)
    step = network.step_programs(network.target, False).step
    rng = np.random.default_rng(1)
    arrays = {"x": X[:9].astype(float), "y": Y[:9], "step": np.int64(3)}
    for value in step.inputs:
        arrays.setdefault(value.name, rng.uniform(0.1, 0.9, [d for d in value.type.shape if isinstance(d, int)]))
    outputs = space["training_step"](**{name.replace(".", "_"): array for name, array in arrays.items()})
    z = arrays["x"] @ arrays["dense1.W"]
    rate = arrays["batchnorm1.momentum"]
    expected = (1 - rate) * arrays["batchnorm1.mean"] + rate * z.mean(axis=0)
    np.testing.assert_allclose(outputs["batchnorm1.mean"], expected, rtol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_diverging_leaves_the_averages_of_the_last_good_step(backend):
    network = model(cp.SGD(1e30), backend)
    with pytest.raises(cp.DivergedError):
        fit(network, epochs=30)
    assert all(np.isfinite(array).all() for array in network.parameters.values())


def test_scikit_learns_face_takes_it():
    hidden = (cp.Dense(8), cp.BatchNorm(), cp.ReLU())
    classifier = cp.NeuralClassifier(network=hidden, epochs=20, random_state=0)
    assert classifier.fit(X, Y).score(X, Y) > 0.8
