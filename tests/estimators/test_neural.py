"""The estimators over any network: their settings, validation, weights and callbacks."""

import numpy as np
import pytest
from scipy.stats import randint
from sklearn.datasets import load_diabetes, load_iris
from sklearn.metrics import make_scorer, r2_score
from sklearn.model_selection import RandomizedSearchCV
from sklearn.preprocessing import StandardScaler

import clearprop as cp
from clearprop.train import EpochEnded

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


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy"])
@pytest.mark.parametrize("labels", [NAMES, NAMES == "setosa"], ids=["three", "two"])
def test_classifier(loss, labels):
    settings = {"layers": 2, "width": 16, "epochs": 60, "learning_rate": 0.02, "random_state": 0}
    fitted = cp.NeuralClassifier(loss=loss, **settings).fit(IRIS, labels)
    assert fitted.predict(IRIS).dtype == labels.dtype
    assert fitted.score(IRIS, labels) > 0.9
    np.testing.assert_allclose(fitted.predict_proba(IRIS).sum(axis=1), 1.0)
    np.testing.assert_allclose(np.exp(fitted.predict_log_proba(IRIS)), fitted.predict_proba(IRIS))


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


@pytest.mark.parametrize(
    "settings",
    [
        {"width": 0},
        {"loss": "no"},
        {"dtype": "int8"},
        {"patience": 0, "validation_fraction": 0.5},
        {"epochs": 0},
        {"optimizer": "no"},
        {"learning_rate": -1.0},
    ],
)
def test_wrong_settings(settings):
    with pytest.raises(cp.SettingsError):
        cp.NeuralRegressor(**settings).fit(X, Y)


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
