"""The estimators over any network: their settings, validation, weights and callbacks."""

import numpy as np
import pytest
from scipy.stats import norm, randint
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_diabetes, load_iris
from sklearn.metrics import label_ranking_average_precision_score, make_scorer, r2_score
from sklearn.model_selection import RandomizedSearchCV
from sklearn.preprocessing import StandardScaler

import clearprop as cp
from clearprop import losses, optim
from clearprop.errors import DataError, SettingsError
from clearprop.estimators import load, save
from clearprop.settings import limits
from clearprop.train import PARAMETERS, EpochEnded

IRIS, KINDS = load_iris(return_X_y=True)
IRIS = StandardScaler().fit_transform(IRIS)
NAMES = np.array(["setosa", "versicolor", "virginica"])[KINDS]
X, Y = load_diabetes(return_X_y=True)
X, Y = StandardScaler().fit_transform(X), (Y - Y.mean()) / Y.std()


def test_a_fit_is_that_of_the_model_with_the_same_settings():
    ours = cp.NeuralRegressor(width=7, epochs=3, batch_size=50, random_state=4, optimizer=cp.Adam(0.01)).fit(X, Y)
    layers = [cp.Dense(7, "relu", penalty=cp.L2(1e-4)), cp.Dense(1, penalty=cp.L2(1e-4))]
    model = cp.Model(layers, "squared_error", cp.Adam(0.01), dtype="float64", seed=ours.model_.seed)
    model.fit(X, Y, epochs=3, batch_size=50, progress="quiet")
    np.testing.assert_array_equal(ours.predict(X), model.predict(X)[:, 0])


def test_initialisers_that_look_at_the_data_see_it():
    network = [cp.Dense(7, "relu", weights="lsuv")]
    fitted = cp.NeuralRegressor(network=network, epochs=1, optimizer=cp.SGD(0.0), random_state=0).fit(X, Y)
    assert (X @ fitted.model_.parameters["dense1.W"]).std() == pytest.approx(1.0, rel=1e-9)


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy"])
@pytest.mark.parametrize("labels", [NAMES, NAMES == "setosa"], ids=["three", "two"])
def test_classifier(loss, labels):
    settings = {"layers": 2, "width": 16, "epochs": 60, "learning_rate": 0.02, "random_state": 0}
    fitted = cp.NeuralClassifier(loss=loss, **settings).fit(IRIS, labels)
    assert fitted.predict(IRIS).dtype == labels.dtype
    assert fitted.score(IRIS, labels) > 0.9
    np.testing.assert_allclose(fitted.predict_proba(IRIS).sum(axis=1), 1.0)
    np.testing.assert_allclose(np.exp(fitted.predict_log_proba(IRIS)), fitted.predict_proba(IRIS))


TRAINED = {"epochs": 60, "learning_rate": 0.01, "random_state": 0}


CLASSIFYING = [name for name, kind in losses.LOSSES.items() if kind.task == "classification"]


@pytest.mark.parametrize("loss", CLASSIFYING)
@pytest.mark.parametrize("labels", [NAMES, NAMES == "setosa"], ids=["three", "two"])
def test_every_loss_of_classes(loss, labels):
    fitted = cp.NeuralClassifier(loss=loss, **TRAINED).fit(IRIS, labels)
    assert fitted.score(IRIS, labels) > 0.9
    names = fitted.classes_
    if losses.LOSSES[loss].probabilities:
        np.testing.assert_allclose(fitted.predict_proba(IRIS).sum(axis=1), 1.0)
        assert not hasattr(fitted, "decision_function")
        return
    assert not hasattr(fitted, "predict_proba")
    scores = fitted.decision_function(IRIS)
    assert scores.shape == ((len(IRIS),) if len(names) == 2 else (len(IRIS), len(names)))
    chosen = (scores > 0).astype(int) if len(names) == 2 else scores.argmax(axis=1)
    np.testing.assert_array_equal(names[chosen], fitted.predict(IRIS))
    assert CalibratedClassifierCV(fitted, cv=2).fit(IRIS, labels).predict_proba(IRIS).shape == (len(IRIS), len(names))


LABELS = np.stack([KINDS == 0, KINDS > 0, IRIS[:, 0] > 0], axis=1).astype(int)
SEVERAL = [name for name in CLASSIFYING if losses.LOSSES[name].answers]


class TestSeveralLabels:
    @pytest.mark.parametrize("loss", [*SEVERAL, "auto"])
    @pytest.mark.parametrize("count", [2, 3])
    def test_every_loss_that_takes_them(self, loss, count, tmp_path):
        labels = LABELS[:, :count]
        fitted = cp.NeuralClassifier(loss=loss, **TRAINED).fit(IRIS, labels)
        predicted = fitted.predict(IRIS)
        assert (predicted == labels).mean() > 0.9
        np.testing.assert_array_equal(fitted.classes_, range(count))
        save(fitted, tmp_path / "labels.model")
        np.testing.assert_array_equal(load(tmp_path / "labels.model").predict(IRIS), predicted)
        if fitted.model_.loss.probabilities:
            np.testing.assert_array_equal(fitted.predict_proba(IRIS) > 0.5, predicted)
        else:
            scores = fitted.decision_function(IRIS)
            assert scores.shape == labels.shape
            assert label_ranking_average_precision_score(labels, scores) > 0.9

    def test_their_fit_is_that_of_the_model(self):
        ours = cp.NeuralClassifier(width=7, epochs=3, random_state=4, penalty=0.0).fit(IRIS, LABELS)
        layers = [cp.Dense(7, "relu"), cp.Dense(3)]
        model = cp.Model(layers, "binary_cross_entropy", dtype="float64", seed=ours.model_.seed)
        model.fit(IRIS, LABELS, epochs=3, batch_size=150, progress="quiet")
        np.testing.assert_array_equal(ours.predict_proba(IRIS), model.predict(IRIS))

    def test_held_out_they_are_scored(self):
        settings = {"validation_fraction": 0.2, "scoring": "accuracy", "random_state": 0}
        fitted = cp.NeuralClassifier(epochs=30, learning_rate=0.02, **settings).fit(IRIS, LABELS)
        assert fitted.validation_scores_[-1] > 0.8

    @pytest.mark.parametrize("loss", ["cross_entropy", "multi_margin"])
    def test_losses_of_one_label_are_refused(self, loss):
        with pytest.raises(SettingsError, match="which one of several classes"):
            cp.NeuralClassifier(loss=loss).fit(IRIS, LABELS)

    def test_other_numbers_are_refused(self):
        with pytest.raises(DataError, match="answers of 0 and 1"):
            cp.NeuralClassifier().fit(IRIS, LABELS + 1)
        with pytest.raises(DataError, match=r"\(n, 3\)"):
            cp.NeuralClassifier(epochs=1).fit(IRIS, LABELS, X_val=IRIS, y_val=LABELS[:, :2])


def test_log_probabilities_are_those_of_cross_entropy():
    one, other = (
        cp.NeuralClassifier(loss=loss, **TRAINED).fit(IRIS, NAMES)
        for loss in ("cross_entropy", "negative_log_likelihood")
    )
    np.testing.assert_allclose(one.predict_proba(IRIS), other.predict_proba(IRIS), rtol=1e-6, atol=1e-12)


def test_a_loss_of_another_task_is_refused():
    with pytest.raises(cp.SettingsError, match=r"does classification.*Huber.*such as cross_entropy"):
        cp.NeuralClassifier(loss="huber").fit(IRIS, NAMES)
    with pytest.raises(cp.SettingsError, match=r"does regression.*Hinge.*such as squared_error"):
        cp.NeuralRegressor(loss="hinge").fit(X, Y)
    zero_to_one = (IRIS - IRIS.min(0)) / np.ptp(IRIS, 0)
    rebuilt = cp.NeuralTransformer(loss="binary_cross_entropy", epochs=2).fit(zero_to_one)
    assert 0 < rebuilt.inverse_transform(rebuilt.transform(zero_to_one)).min() < 1


class TestDistributions:
    x = np.random.default_rng(0).uniform(-2, 2, (2000, 1))
    spread = 0.1 + 0.2 * abs(x[:, 0])
    y = np.sin(x[:, 0]) + spread * np.random.default_rng(1).normal(size=len(x))

    @pytest.mark.parametrize("loss", [cp.Quantile([0.05, 0.5, 0.95]), "gaussian_likelihood"], ids=str)
    def test_intervals_hold_as_many_as_they_say_and_widen_with_the_spread(self, loss):
        fitted = cp.NeuralRegressor(loss=loss, **TRAINED).fit(self.x, self.y)
        low, high = fitted.predict_interval(self.x, 0.9).T
        assert np.mean((low < self.y) & (self.y < high)) == pytest.approx(0.9, abs=0.03)
        true_width = 2 * 1.645 * self.spread
        assert np.corrcoef(high - low, true_width)[0, 1] > 0.8
        assert abs(fitted.predict(self.x) - np.sin(self.x[:, 0])).mean() < 0.1
        np.testing.assert_array_equal(fitted.predict_interval(self.x), np.stack([low, high], axis=1))

    def test_scores_and_metrics_are_of_the_median_or_the_mean(self):
        for loss in ("quantile", "gaussian_likelihood"):
            fitted = cp.NeuralRegressor(loss=loss, scoring="r2", validation_fraction=0.2, patience=3, **TRAINED)
            fitted.fit(self.x, self.y)
            expected = r2_score(self.y, fitted.predict_quantiles(self.x, [0.5])[:, 0])
            assert fitted.score(self.x, self.y) == pytest.approx(expected)
            assert fitted.model_.evaluate(self.x, self.y, metrics=["r2"])["r2"] == pytest.approx(expected)

    def test_quantiles_are_those_of_the_loss_or_lie_between_them(self):
        fitted = cp.NeuralRegressor(loss=cp.Quantile((0.1, 0.9)), epochs=2, random_state=0).fit(self.x, self.y)
        low, high = fitted.predict_quantiles(self.x).T
        np.testing.assert_array_equal(np.column_stack([low, high]), fitted.model_.predict(self.x))
        np.testing.assert_allclose(fitted.predict(self.x), (low + high) / 2)
        np.testing.assert_allclose(fitted.predict_quantiles(self.x, [0.3])[:, 0], 0.75 * low + 0.25 * high)
        for wrong in ([0.05], [0.95]):
            with pytest.raises(cp.SettingsError, match=r"from 0\.1 to 0\.9, and none"):
                fitted.predict_quantiles(self.x, wrong)

    def test_a_normal_distribution_has_every_quantile_of_several_numbers(self):
        both = np.column_stack([self.y, -self.y])
        fitted = cp.NeuralRegressor(loss="gaussian_likelihood", epochs=2, random_state=0).fit(self.x, both)
        prediction = fitted.model_.predict(self.x)
        expected = [norm.ppf(level, prediction[:, :2], prediction[:, 2:]) for level in (0.01, 0.3)]
        np.testing.assert_allclose(fitted.predict_quantiles(self.x, [0.01, 0.3]), np.stack(expected, axis=-1))
        np.testing.assert_array_equal(fitted.predict(self.x), prediction[:, :2])
        assert fitted.predict_interval(self.x, 0.5).shape == (len(self.x), 2, 2)

    @pytest.mark.parametrize("wrong", [0, 1, -0.1, 2, float("nan"), "0.5", True])
    def test_what_is_no_probability_is_refused(self, wrong):
        fitted = cp.NeuralRegressor(loss="gaussian_likelihood", epochs=1).fit(self.x, self.y)
        with pytest.raises(cp.SettingsError, match="coverage"):
            fitted.predict_interval(self.x, wrong)
        with pytest.raises(cp.SettingsError, match="quantiles"):
            fitted.predict_quantiles(self.x, [wrong])

    def test_only_losses_of_distributions_have_them(self):
        assert not hasattr(cp.NeuralRegressor(), "predict_interval")
        assert hasattr(cp.NeuralRegressor(loss="quantile"), "predict_quantiles")

    def test_quantiles_of_several_numbers_are_refused(self):
        with pytest.raises(cp.SettingsError, match="MultiOutputRegressor"):
            cp.NeuralRegressor(loss="quantile", epochs=1).fit(self.x, np.column_stack([self.y, self.y]))


def test_class_weight_is_a_sample_weight_by_label():
    settings = {"epochs": 5, "random_state": 0}
    by_class = cp.NeuralClassifier(class_weight={"setosa": 3.0}, **settings).fit(IRIS, NAMES)
    by_sample = cp.NeuralClassifier(**settings).fit(IRIS, NAMES, sample_weight=np.where(KINDS == 0, 3.0, 1.0))
    plain = cp.NeuralClassifier(**settings).fit(IRIS, NAMES)
    np.testing.assert_array_equal(by_class.predict_proba(IRIS), by_sample.predict_proba(IRIS))
    assert abs(by_class.predict_proba(IRIS) - plain.predict_proba(IRIS)).max() > 1e-4


@pytest.mark.parametrize("several", [False, True])
def test_regressor_keeps_the_form_of_the_target(several):
    target = np.column_stack([Y, -Y]) if several else Y
    fitted = cp.NeuralRegressor(epochs=60, random_state=0, learning_rate=0.01).fit(X, target)
    assert fitted.predict(X).shape == target.shape
    assert fitted.score(X, target) > 0.5


@pytest.mark.parametrize(("given", "dtype", "expected"), [(np.float32, "auto", "f4"), (np.float64, "float32", "f4")])
def test_dtype(given, dtype, expected):
    fitted = cp.NeuralRegressor(epochs=2, dtype=dtype).fit(X.astype(given), Y)
    assert fitted.model_.dtype == np.dtype(expected).name
    assert fitted.predict(X).dtype == np.dtype(expected)


def test_number_and_width_of_layers_are_searched_as_whole_numbers():
    ranges = {"layers": randint(1, 4), "width": randint(4, 20), "learning_rate": [0.01, 0.02]}
    search = RandomizedSearchCV(cp.NeuralRegressor(epochs=5), ranges, n_iter=3, cv=2, random_state=0).fit(X, Y)
    best = search.best_estimator_
    assert len(best.model_.network.layers) == best.layers + 1
    assert best.model_.network.layers[0].units == best.width


def test_early_end_by_any_scorer_takes_the_best_weights():
    scorer = make_scorer(r2_score)
    settings = {"validation_fraction": 0.3, "patience": 5, "learning_rate": 0.02, "random_state": 0}
    fitted = cp.NeuralRegressor(scoring=scorer, epochs=500, **settings).fit(X, Y)
    scores = fitted.validation_scores_
    assert fitted.n_iter_ == len(scores) < 500
    assert int(np.argmax(scores)) == len(scores) - 6
    given = cp.NeuralRegressor(scoring="r2", epochs=80, patience=3, learning_rate=0.02, random_state=0)
    given.fit(X[:300], Y[:300], X_val=X[300:], y_val=Y[300:])
    assert given.score(X[300:], Y[300:]) == pytest.approx(max(given.validation_scores_))


def test_without_a_scorer_it_is_minus_the_validation_loss():
    fitted = cp.NeuralClassifier(epochs=4, validation_fraction=0.2, random_state=0).fit(IRIS, NAMES)
    assert fitted.validation_scores_ == [-loss for loss in fitted.history_["val_loss"]]
    assert cp.NeuralClassifier(epochs=1).fit(IRIS, NAMES).validation_scores_ is None


def test_a_validation_set_may_have_weights():
    weight = np.random.default_rng(0).uniform(size=len(X) - 300)
    fitted = cp.NeuralRegressor(epochs=2, random_state=0, scoring="r2")
    fitted.fit(X[:300], Y[:300], X_val=X[300:], y_val=Y[300:], sample_weight_val=weight)
    assert fitted.validation_scores_[-1] == pytest.approx(
        r2_score(Y[300:], fitted.predict(X[300:]), sample_weight=weight)
    )
    error = np.square(fitted.predict(X[300:]) - Y[300:])
    assert fitted.history_["val_loss"][-1] == pytest.approx(np.average(error, weights=weight))


@pytest.mark.parametrize("given", [{"X_val": X}, {"y_val": Y}])
def test_half_a_validation_set_is_refused(given):
    with pytest.raises(SettingsError, match="give both X_val and y_val, or neither"):
        cp.NeuralRegressor(epochs=1).fit(X, Y, **given)


def test_a_learning_rate_goes_to_the_optimiser_inside():
    wrapped = optim.ClipByNorm(optim.Lookahead(cp.Adam(0.5)))
    one = cp.NeuralRegressor(optimizer=wrapped, learning_rate=0.01, epochs=2, random_state=0).fit(X, Y)
    other = cp.NeuralRegressor(
        optimizer=optim.ClipByNorm(optim.Lookahead(cp.Adam(0.01))), epochs=2, random_state=0
    ).fit(X, Y)
    np.testing.assert_array_equal(one.predict(X), other.predict(X))
    assert optim.ParameterGroups(cp.SGD(), [("*.b", cp.SGD(0.1))]).with_learning_rate(2.0) == optim.ParameterGroups(
        cp.SGD(2.0), [("*.b", cp.SGD(0.1))]
    )


AVERAGING = [
    optim.ExponentialAverage(cp.Adam(0.05)),
    optim.WeightAverage(cp.SGD(0.01)),
    optim.ScheduleFree(),
    optim.Lookahead(cp.Adam(0.05), every=7),
]


@pytest.mark.parametrize("optimizer", AVERAGING, ids=lambda optimizer: type(optimizer).__name__)
class TestAveragesOfWeights:
    """What an optimiser averages is what is scored, kept and predicted with, as by `Model.fit`."""

    def test_a_fit_ends_with_them(self, optimizer):
        ours = cp.NeuralRegressor(width=7, epochs=3, batch_size=50, optimizer=optimizer, penalty=0.0, random_state=4)
        ours.fit(X[:300], Y[:300], X_val=X[300:], y_val=Y[300:])
        model = cp.Model([cp.Dense(7, "relu"), cp.Dense(1)], optimizer=optimizer, dtype="float64", seed=ours._seed)
        model.fit(X[:300], Y[:300], epochs=3, batch_size=50, progress="quiet")
        np.testing.assert_array_equal(ours.predict(X), model.predict(X)[:, 0])
        assert ours.model_.evaluate(X[300:], Y[300:])["loss"] == ours.history_["val_loss"][-1]

    @pytest.mark.parametrize("patience", [None, 2])
    def test_a_scorer_scores_them_and_patience_keeps_the_best(self, optimizer, patience):
        fitted = cp.NeuralRegressor(epochs=40, scoring="r2", patience=patience, optimizer=optimizer, random_state=0)
        fitted.fit(X[:300], Y[:300], X_val=X[300:], y_val=Y[300:])
        expected = [1 - loss / Y[300:].var() for loss in fitted.history_["val_loss"]]
        np.testing.assert_allclose(fitted.validation_scores_, expected, rtol=1e-9)
        kept = fitted.validation_scores_[-1] if patience is None else max(fitted.validation_scores_)
        assert fitted.score(X[300:], Y[300:]) == pytest.approx(kept, rel=1e-9)


def test_what_a_scorer_raises_is_raised():
    def broken(estimator, features, target):
        raise RuntimeError("no score today")

    with pytest.raises(RuntimeError, match="no score today"):
        cp.NeuralRegressor(scoring=broken, validation_fraction=0.2, epochs=3).fit(X, Y)


def test_a_label_that_only_the_validation_set_has_is_refused():
    with pytest.raises(cp.DataError, match="virginica"):
        cp.NeuralClassifier(epochs=1).fit(IRIS[:100], NAMES[:100], X_val=IRIS[100:], y_val=NAMES[100:])


def test_callbacks_receive_the_events():
    seen = []
    cp.NeuralRegressor(epochs=3, callbacks=[seen.append]).fit(X, Y)
    assert [event.epoch for event in seen if isinstance(event, EpochEnded)] == [1, 2, 3]


NEURAL = (cp.NeuralClassifier, cp.NeuralRegressor, cp.NeuralTransformer)
FREE = {"activation", "loss", "optimizer", "schedule", "scoring", "random_state", "backend", "class_weight"}
"""Chosen by name, or checked by scikit-learn."""


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        pytest.param(kind, name, value, id=f"{kind.__name__}.{name}={value!r}")
        for kind in NEURAL
        for name, allowed in limits(kind).items()
        for value in allowed.wrong
    ],
)
def test_a_wrong_value_names_the_setting_what_it_may_be_and_what_came(kind, name, value):
    with pytest.raises(cp.SettingsError) as caught:
        kind(**{name: value}).fit(X, Y > 0)
    assert str(caught.value) == f"{kind.__name__}: {name} {limits(kind)[name].words}, received {value!r}"


@pytest.mark.parametrize("kind", NEURAL)
def test_every_setting_is_limited(kind):
    limited = limits(kind)
    assert set(kind().get_params()) - FREE == set(limited)
    assert all(limited[name].holds(getattr(kind(), name)) for name in limited)
    for name in set(limited) & set(PARAMETERS):
        assert limited[name].words.startswith(PARAMETERS[name].words)


def test_a_list_of_layers_is_sent_to_network():
    with pytest.raises(cp.SettingsError, match=r"several widths.* give network=\[Dense\(32.*received \[32, 16\]$"):
        cp.NeuralClassifier(layers=[32, 16]).fit(X, Y > 0)


@pytest.mark.parametrize("settings", [{"loss": "no"}, {"optimizer": "no"}, {"schedule": "no"}, {"activation": "no"}])
def test_wrong_names(settings):
    with pytest.raises(cp.SettingsError, match="there is no"):
        cp.NeuralRegressor(**settings).fit(X, Y)


def test_patience_needs_a_validation_set():
    with pytest.raises(cp.SettingsError, match="validation_fraction"):
        cp.NeuralRegressor(patience=3).fit(X, Y)


@pytest.mark.parametrize("optimizer", ["lbfgs", "conjugate_gradient", "newton_cg", "levenberg_marquardt"])
def test_optimizers_of_all_samples_at_once(optimizer):
    fitted = cp.NeuralRegressor(width=4, optimizer=optimizer, penalty=0.0, epochs=15, random_state=0).fit(X, Y)
    model = cp.Model([cp.Dense(4, "relu"), cp.Dense(1)], optimizer=optimizer, dtype="float64", seed=fitted.model_.seed)
    model.fit(X, Y, epochs=15, progress="quiet")
    np.testing.assert_array_equal(fitted.predict(X), model.predict(X)[:, 0])
    assert fitted.score(X, Y) > 0.5
    with pytest.raises(cp.SettingsError, match="leave out learning_rate"):
        cp.NeuralRegressor(optimizer=optimizer, learning_rate=0.1).fit(X, Y)


def test_transformer_goes_to_codes_and_back():
    data = X[:, :3] @ np.random.default_rng(0).normal(size=(3, 8))
    data /= data.std()
    auto = cp.NeuralTransformer(n_components=3, layers=0, epochs=400, learning_rate=0.01, penalty=0.0, random_state=0)
    codes = auto.fit_transform(data)
    assert codes.shape == (len(data), 3)
    rebuilt = auto.inverse_transform(codes)
    np.testing.assert_array_equal(rebuilt, auto.model_.predict(data))
    assert auto.score(data) == pytest.approx(-np.mean((rebuilt - data) ** 2))
    assert auto.score(data) > -0.01
    assert auto.get_feature_names_out().tolist() == [f"neuraltransformer{i}" for i in range(3)]
    with pytest.raises(cp.ShapeError, match="3 numbers"):
        auto.inverse_transform(codes[:, :2])
