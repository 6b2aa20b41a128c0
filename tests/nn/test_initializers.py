"""Initialisers: moments, bounds, and streams that do not depend on their siblings."""

from __future__ import annotations

import inspect
import math
import re

import numpy as np
import pytest
import scipy.stats
from initializer_table import CASES, DATA_DRIVEN, FAN_IN, FAN_OUT, OTHERS, SHAPE, normal

from clearprop import nn
from clearprop.errors import SettingsError, ShapeError
from clearprop.model import Model, load
from clearprop.optim import SGD
from clearprop.randomness import Key

KINDS = [
    thing
    for name in nn.__all__
    if inspect.isclass(thing := getattr(nn, name))
    and issubclass(thing, nn.Initializer)
    and not inspect.isabstract(thing)
]


def test_every_initializer_is_covered():
    covered = {type(case) for case in (*CASES, *OTHERS, *DATA_DRIVEN)}
    assert set(KINDS) == covered == {*nn.INITIALIZERS.values(), nn.Given}


@pytest.mark.parametrize("name", nn.INITIALIZERS)
def test_names(name):
    assert nn.initializer(name) == nn.INITIALIZERS[name]()


@pytest.mark.parametrize("initializer", CASES, ids=str)
@pytest.mark.parametrize("seed", [0, 1])
def test_distribution(initializer, seed):
    law = CASES[initializer]
    values = initializer(Key(seed).child("W"), SHAPE, FAN_IN, FAN_OUT)
    assert values.shape == SHAPE
    assert values.dtype == np.float64
    assert scipy.stats.kstest(values.ravel(), law.cdf).pvalue > 1e-3
    assert abs(values.std() / law.std() - 1) < 0.02
    assert abs(values.mean()) < 5 * law.std() / math.sqrt(values.size)
    low, high = law.support()
    assert low <= values.min()
    assert values.max() <= high


@pytest.mark.parametrize("initializer", [*CASES, nn.Orthogonal(), nn.LSUV()], ids=str)
def test_a_key_decides_the_numbers(initializer):
    def draw(key: Key) -> np.ndarray:
        return initializer(key, (5, 4), 5, 4)

    np.testing.assert_array_equal(draw(Key(1).child("W")), draw(Key(1).child("W")))
    assert (draw(Key(1).child("W")) != draw(Key(2).child("W"))).all()
    assert (draw(Key(1).child("W")) != draw(Key(1).child("b"))).all()


def test_fixed_values():
    key = Key(0)
    np.testing.assert_array_equal(nn.Zeros()(key, (2, 3), 2, 3), np.zeros((2, 3)))
    np.testing.assert_array_equal(nn.Fill(2.5)(key, (3,), 2, 3), [2.5, 2.5, 2.5])
    np.testing.assert_array_equal(nn.Eye(3.0)(key, (2, 3), 2, 3), [[3, 0, 0], [0, 3, 0]])
    W = np.array([[1.0, -2.0, 3.5]])
    layer = nn.Dense(3, weights=nn.Given(W), biases=nn.Given([1, 2, 3]))
    params = layer.init(key, (1,))
    np.testing.assert_array_equal(params["W"], W)
    np.testing.assert_array_equal(params["b"], [1, 2, 3])
    assert hash(layer) == hash(nn.Dense(3, weights=nn.Given(((1.0, -2.0, 3.5),)), biases=nn.Given((1.0, 2.0, 3.0))))


@pytest.mark.parametrize("shape", [(6, 6), (9, 4), (4, 9), (3, 3, 5), (1, 1)])
@pytest.mark.parametrize("gain", [1.0, 2.5])
def test_orthogonal(shape, gain):
    W = nn.Orthogonal(gain)(Key(3), shape, 1, 1)
    assert W.shape == shape
    flat = W.reshape(-1, shape[-1]) / gain
    gram = flat.T @ flat if flat.shape[0] >= flat.shape[1] else flat @ flat.T
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-12)


def test_orthogonal_is_uniform():
    """Of a uniform rotation in the plane the angle is uniform, and both orientations are as frequent."""
    matrices = np.array([nn.Orthogonal()(Key(seed), (2, 2), 2, 2) for seed in range(2000)])
    angles = np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]) / (2 * np.pi) + 0.5
    assert scipy.stats.kstest(angles, "uniform").pvalue > 1e-3
    assert scipy.stats.binomtest(int((np.linalg.det(matrices) > 0).sum()), 2000).pvalue > 1e-3


@pytest.mark.parametrize(("sparsity", "zeros"), [(0.9, 270), (0.0, 0), (1.0, 300), (0.335, 101)])
def test_sparse(sparsity, zeros):
    W = nn.Sparse(sparsity, std=2.0)(Key(0), SHAPE, FAN_IN, FAN_OUT)
    assert ((W == 0).sum(axis=0) == zeros).all()
    if zeros < FAN_IN:
        assert scipy.stats.kstest(W[W != 0], normal(2.0).cdf).pvalue > 1e-3
    rows = (W == 0).sum(axis=1)  # which inputs are left out is drawn anew for each unit
    assert abs(rows.mean() - zeros * FAN_OUT / FAN_IN) < 1e-9
    assert zeros in (0, FAN_IN) or rows.std() > 1


@pytest.mark.parametrize(
    ("initializer", "shape"),
    [
        (nn.Eye(), (3,)),
        (nn.Orthogonal(), (3,)),
        (nn.Sparse(), (2, 3, 4)),
        (nn.Given([1.0, 2.0]), (3,)),
    ],
)
def test_shapes_that_do_not_fit_are_refused(initializer, shape):
    with pytest.raises(ShapeError, match=re.escape(str(shape))):
        initializer(Key(0), shape, 1, 1)


@pytest.mark.parametrize("values", ["abc", [1.0, math.nan], [[1.0], [2.0, 3.0]], None])
def test_what_is_no_array_is_not_given(values):
    with pytest.raises(SettingsError, match="Given: values is an array of"):
        nn.Given(values)


class TestFromData:
    """A new model's first fit hands the data to the initialisers that ask for it."""

    X = np.random.default_rng(0).normal(3.0, 2.0, (200, 5))

    @staticmethod
    def start(model: Model, x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
        """The parameters with which a fit starts: a step of rate 0 leaves them as they are."""
        model.optimizer = SGD(0.0)
        model.fit(x, y, epochs=1, steps=1, progress=False)
        return model.parameters

    @pytest.mark.parametrize("gain", [1.0, 2.0])
    def test_unit_variance_layer_by_layer(self, gain):
        network = [nn.Dense(8, "relu", weights=nn.LSUV(gain)), nn.Residual(nn.Dense(8, "tanh", weights=nn.LSUV(gain)))]
        model = Model(network, dtype="float64", backend="reference")
        p = self.start(model, self.X, np.zeros((200, 8)))
        z1 = self.X @ p["dense1.W"]
        z2 = np.maximum(z1, 0) @ p["residual1.inner.W"]
        assert z1.std() == pytest.approx(gain, rel=1e-12)
        assert z2.std() == pytest.approx(gain, rel=1e-12)
        gram = p["dense1.W"] @ p["dense1.W"].T
        np.testing.assert_allclose(gram, gram[0, 0] * np.eye(5), atol=1e-12)

    def test_what_does_not_vary_keeps_its_weights(self):
        model = Model([nn.Dense(3, weights="lsuv")], dtype="float64", backend="reference")
        p = self.start(model, np.zeros((4, 5)), np.zeros((4, 3)))
        np.testing.assert_allclose(p["dense1.W"].T @ p["dense1.W"], np.eye(3), atol=1e-12)

    @pytest.mark.parametrize("soft", [False, True])
    def test_the_prior_of_classes(self, soft):
        y = np.array([0] * 120 + [1] * 79 + [2] * 1)
        model = Model([nn.Dense(4, biases="class_prior")], "cross_entropy", dtype="float64", backend="reference")
        p = self.start(model, self.X, np.eye(4)[y] if soft else y)
        np.testing.assert_allclose(np.exp(p["dense1.b"]), np.array([121, 80, 2, 1]) / 204, rtol=1e-12)

    def test_the_odds_of_answers(self):
        y = np.zeros((200, 2))
        y[:150, 0] = 1
        model = Model([nn.Dense(2, biases="class_prior")], "binary_cross_entropy", dtype="float64", backend="reference")
        p = self.start(model, self.X, y)
        np.testing.assert_allclose(p["dense1.b"], np.log([151 / 51, 1 / 201]), rtol=1e-12)

    @pytest.mark.parametrize("units", [1, 2])
    def test_the_mean_of_the_target(self, units):
        y = np.random.default_rng(1).normal(50.0, 3.0, (200, units))
        model = Model([nn.Dense(units, biases="target_mean")], dtype="float64", backend="reference")
        np.testing.assert_allclose(self.start(model, self.X, y)["dense1.b"], y.mean(axis=0), rtol=1e-12)

    def test_the_next_fit_goes_on_from_what_was_learnt(self):
        model = Model([nn.Dense(1, biases="target_mean")], dtype="float64", backend="reference")
        y = np.full((200, 1), 7.0)
        self.start(model, self.X, y)
        model.set_parameters({"dense1.b": [1.0]})
        assert self.start(model, self.X, y)["dense1.b"] == [1.0]

    @pytest.mark.parametrize("first", ["init", "samples", "file"])
    def test_parameters_made_before_the_first_fit_are_fitted_to_its_data(self, first, tmp_path):
        y = np.random.default_rng(1).normal(50.0, 3.0, (200, 1))
        network = [nn.Dense(8, "relu", weights="lsuv"), nn.Dense(1, biases="target_mean")]
        model = Model(network, dtype="float64", backend="reference")
        if first == "samples":
            model.samples(self.X, y)
        else:
            model.init((5,))
        if first == "file":
            model.save(tmp_path / "new.model")
            model = load(tmp_path / "new.model")
            model.backend = "reference"
        p = self.start(model, self.X, y)
        assert (self.X @ p["dense1.W"]).std() == pytest.approx(1.0, rel=1e-12)
        assert p["dense2.b"] == pytest.approx(y.mean(), rel=1e-12)

    def test_what_the_user_gave_stays(self):
        model = Model([nn.Dense(2, weights="lsuv", biases="target_mean")], dtype="float64", backend="reference")
        model.init((5,))
        model.set_parameters({"dense1.b": [0.0, 0.0]})
        p = self.start(model, self.X, np.full((200, 2), 7.0))
        np.testing.assert_array_equal(p["dense1.b"], [0.0, 0.0])
        assert (self.X @ p["dense1.W"]).std() == pytest.approx(1.0, rel=1e-12)

    def test_a_trained_model_from_a_file_goes_on_from_what_it_learnt(self, tmp_path):
        model = Model([nn.Dense(1, biases="target_mean")], dtype="float64", backend="reference")
        self.start(model, self.X, np.full((200, 1), 7.0))
        model.save(tmp_path / "trained.model")
        assert self.start(load(tmp_path / "trained.model"), self.X, np.full((200, 1), 9.0))["dense1.b"] == [7.0]

    def test_a_fit_that_is_refused_uses_nothing_up(self):
        model, y = Model([nn.Dense(1, biases="target_mean")], dtype="float64"), np.full((200, 1), 7.0)
        model.init((5,))
        with pytest.raises(SettingsError):
            model.fit(self.X, y, early_stopping="val_loss", progress=False)
        assert model.parameters["dense1.b"] == [0.0]
        assert self.start(model, self.X, y)["dense1.b"] == [7.0]

    def test_a_range_test_uses_nothing_up(self):
        model, y = Model([nn.Dense(1, biases="target_mean")], dtype="float64"), np.full((200, 1), 7.0)
        model.init((5,))
        model.find_learning_rate(self.X, y)
        assert self.start(model, self.X, y)["dense1.b"] == [7.0]

    @pytest.mark.parametrize("start", [nn.ClassPrior(), nn.TargetMean()])
    def test_outputs_that_do_not_fit_the_target_are_refused(self, start):
        with pytest.raises(SettingsError, match=rf"{type(start).__name__}: 3 outputs need as many targets, received 2"):
            start.adapt(np.zeros(3), np.zeros((5, 3)), np.zeros((5, 2)))

    def test_a_mean_is_none_of_quantiles(self):
        model = Model([nn.Dense(3, biases="target_mean")], "quantile", dtype="float64")
        with pytest.raises(SettingsError, match="TargetMean: 3 outputs need as many targets, received 1"):
            self.start(model, self.X, np.ones((200, 1)))


def test_a_layer_does_not_depend_on_its_siblings():
    short = nn.Sequential(nn.Dense(3, name="first"), nn.Dense(2, name="last")).init(Key(0), (4,))
    long = nn.Sequential(
        nn.Parallel(nn.Dense(7), nn.Identity()), nn.Flatten(), nn.Dense(3, name="middle"), nn.Dense(2, name="last")
    ).init(Key(0), (4,))
    np.testing.assert_array_equal(short["last.W"], long["last.W"])


def test_equal_layers_start_differently():
    params = nn.Sequential(nn.Dense(4), nn.Dense(4), nn.Sequential(nn.Dense(4))).init(Key(0), (4,))
    a, b, c = (params[name] for name in ("dense1.W", "dense2.W", "sequential1.dense1.W"))
    assert (a != b).all()
    assert (a != c).all()


def test_zero_fans_do_not_divide_by_zero():
    assert nn.Kaiming()(Key(0), (0, 3), 0, 3).shape == (0, 3)
    assert nn.Xavier()(Key(0), (0, 0), 0, 0).shape == (0, 0)
