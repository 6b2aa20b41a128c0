"""Members of the catalogue inside of models: predictions, tables, files."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special
from loss_table import samples, shaped

from clearprop import losses, nn, ops, optim
from clearprop.errors import DataError, SettingsError
from clearprop.model import Model, load

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3))
SIDE = (X[:, 0] + X[:, 1] > 0).astype(np.int64)
TABLE = {"a": X[:, 0], "b": X[:, 1], "c": X[:, 2]}


def trained(network: list[Any], loss: Any, x: Any, y: Any, epochs: int = 40) -> Model:
    model = Model(network, loss, optim.Adam(0.03), dtype="float64", backend="reference")
    model.fit(x, y, epochs=epochs, progress=False)
    return model


def cubed(output: ops.Tensor, target: ops.Tensor) -> ops.Tensor:
    error = ops.abs(output - target)
    return error * error * error


@pytest.mark.parametrize("loss", losses.LOSSES)
def test_every_loss_learns(loss):
    """Samples by heart: targets have nothing to do with x, and the loss falls by a good part of itself."""
    output, y = samples(loss, 24)
    model = Model([nn.Dense(48, "tanh"), nn.Dense(12), shaped(output)], loss, optim.Adam(0.02), backend="reference")
    history = model.fit(X[:24], y, epochs=60, batch_size=8, progress=False)
    assert history["loss"][-1] < history["loss"][0] - 0.3 * abs(history["loss"][0])


class TestClasses:
    @pytest.mark.parametrize(
        "loss", ["hinge", "squared_hinge", "binary_focal", "binary_cross_entropy", losses.Hinge(0.0)]
    )
    @pytest.mark.parametrize("table", [False, True])
    def test_answers(self, loss, table):
        names = np.array(["left", "right"])
        model = trained([nn.Dense(1)], loss, TABLE if table else X, names[SIDE] if table else SIDE)
        answers = model.predict_classes(TABLE if table else X)
        assert (answers == (names[SIDE] if table else SIDE)).mean() > 0.9

    @pytest.mark.parametrize("loss", ["multi_margin", "focal", "cross_entropy", losses.CrossEntropy(0.1)])
    @pytest.mark.parametrize("table", [False, True])
    def test_one_of_several(self, loss, table):
        names = np.array(["left", "right"])
        model = trained([nn.Dense(2)], loss, TABLE if table else X, names[SIDE] if table else SIDE)
        answers = model.predict_classes(TABLE if table else X)
        assert (answers == (names[SIDE] if table else SIDE)).mean() > 0.9

    def test_log_probabilities(self):
        network = [nn.Dense(2), nn.LogSoftmax()]
        model = trained(network, "negative_log_likelihood", X, SIDE, epochs=2)
        z = X @ model.parameters["dense1.W"] + model.parameters["dense1.b"]
        np.testing.assert_allclose(model.predict(X), scipy.special.softmax(z, axis=1), rtol=1e-12)

    def test_scores_of_a_hinge_are_in_units_of_the_answer(self):
        model = trained([nn.Dense(1)], "hinge", X, SIDE, epochs=2)
        z = X @ model.parameters["dense1.W"] + model.parameters["dense1.b"]
        np.testing.assert_allclose(model.predict(X), (z + 1) / 2, rtol=1e-12)

    @pytest.mark.parametrize("loss", [name for name, kind in losses.LOSSES.items() if kind.answers])
    @pytest.mark.parametrize("labels", [2, 3])
    def test_several_answers(self, loss, labels):
        """Two labels of which one holds are not two classes: their answers are counted one by one."""
        y = np.column_stack([SIDE, 1 - SIDE, SIDE])[:, :labels]
        model = trained([nn.Dense(labels)], loss, X, y)
        answers = model.predict_classes(X)
        assert (answers == y).mean() > 0.9
        accuracy = model.evaluate(X, y, metrics=["accuracy"])["accuracy"]
        assert accuracy == pytest.approx((answers == y).all(axis=1).mean())

    def test_a_margin_between_labels_predicts_those_above_the_mean(self):
        model = trained([nn.Dense(3)], "multi_label_margin", X, (X > 0).astype(int), epochs=2)
        z = X @ model.parameters["dense1.W"] + model.parameters["dense1.b"]
        np.testing.assert_allclose(model.predict(X), z - z.mean(axis=1, keepdims=True) + 0.5, rtol=1e-12)
        with pytest.raises(DataError, match=r"from 0 to 1.* is -1"):
            trained([nn.Dense(3)], "multi_label_margin", X, np.sign(X), epochs=1)

    def test_values_have_no_classes(self):
        model = trained([nn.Dense(1)], "huber", X, X[:, 0], epochs=1)
        with pytest.raises(SettingsError, match=r"Huber\(.*predicts values, not classes"):
            model.predict_classes(X)

    @pytest.mark.parametrize(
        ("final", "loss"),
        [
            ("softmax", "focal"),
            ("softmax", "kl_divergence"),
            ("sigmoid", "binary_focal"),
            ("sigmoid", "binary_cross_entropy"),
        ],
    )
    def test_squashing_twice_is_refused(self, final, loss):
        with pytest.raises(SettingsError, match="applies it again"):
            Model([nn.Dense(2, final)], loss)

    @pytest.mark.parametrize("loss", ["hinge", "binary_focal"])
    def test_answers_are_zero_or_one(self, loss):
        with pytest.raises(DataError, match=r"takes probabilities from 0 to 1.* is -1"):
            trained([nn.Dense(1)], loss, X, 2 * SIDE - 1)


class TestTables:
    """Targets are standardised with a table; predictions come back in their units."""

    Y = 1000.0 + 50.0 * X[:, 0] + RNG.normal(0, 20.0, 120)

    def test_quantiles(self):
        model = trained([nn.Dense(3)], losses.Quantile((0.1, 0.5, 0.9)), TABLE, self.Y, epochs=150)
        low, middle, high = model.predict(TABLE).T
        assert (low < middle).all()
        assert (middle < high).all()
        assert abs(((low < self.Y) & (high > self.Y)).mean() - 0.8) < 0.1
        assert abs((middle - self.Y).mean()) < 10

    def test_mean_and_deviation(self):
        model = trained([nn.Dense(2)], "gaussian_likelihood", TABLE, self.Y, epochs=150)
        mean, std = model.predict(TABLE).T
        assert abs((mean - self.Y).mean()) < 10
        assert 10 < std.mean() < 35

    @pytest.mark.parametrize("x", [X, TABLE], ids=["array", "table"])
    def test_counts_are_not_negative(self, x):
        with pytest.raises(DataError, match=r"Poisson takes counts of at least 0.*give an array"):
            trained([nn.Dense(1)], "poisson", x, X[:, 0])

    def test_counts(self):
        counts = RNG.poisson(np.exp(0.5 + X[:, 0]))
        start = nn.Fill(float(np.log(counts.mean())))
        model = trained([nn.Dense(1, biases=start)], "poisson", X, counts, epochs=150)
        np.testing.assert_allclose(model.parameters["dense1.W"][:, 0], [1.0, 0.0, 0.0], atol=0.25)
        assert (model.predict(X) > 0).all()


class TestFiles:
    @pytest.mark.parametrize(
        ("network", "loss", "y"),
        [
            ([nn.Dense(6, "prelu", weights="lsuv"), nn.Dense(1)], losses.Huber(0.5), X[:, 0]),
            ([nn.Dense(6, nn.Maxout(3)), nn.Dense(3)], losses.Quantile(), X[:, 0]),
            ([nn.Mixup(), nn.Dense(2, biases="class_prior")], losses.CrossEntropy(0.1), SIDE),
            (
                [nn.Dense(1, constraint=(nn.NonNegative(), nn.MaxNorm(2.0)), weight_noise=nn.Dropout(0.1))],
                "hinge",
                SIDE,
            ),
            ([nn.Dense(1, weights=nn.Given(np.ones((3, 1))), penalty=nn.ElasticNet(0.1))], cubed, X[:, 0]),
            ([nn.Dense(4, "sigmoid"), nn.KLSparsity(), nn.ActivityPenalty(nn.L1()), nn.Dense(1)], "log_cosh", X[:, 0]),
        ],
    )
    def test_a_saved_model_is_the_same(self, tmp_path, network, loss, y):
        model = trained(network, loss, X, y, epochs=2)
        model.save(tmp_path / "m.safetensors")
        again = load(tmp_path / "m.safetensors", custom={"cubed": cubed})
        again.backend = model.backend
        np.testing.assert_array_equal(again.predict(X), model.predict(X))
        assert again.network == model.network
        assert again.loss == model.loss
        assert again.target == model.target
        assert again.source() == model.source()
