"""Estimators written to model files and read back: the same answers, and the same model for `clearprop.load`."""

import json
from functools import cache

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError

import clearprop as cp
from clearprop.estimators import files, load, save

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]
CASES = {
    "binary": (cp.MLPClassifier(max_iter=5, random_state=0), X, Y == 1),
    "strings": (cp.MLPClassifier((8, 4), max_iter=5, early_stopping=True, random_state=np.int64(3)), X, NAMES),
    "multilabel": (cp.MLPClassifier(max_iter=5, activation="tanh"), X, np.eye(3, dtype=int)[Y]),
    "lbfgs": (cp.MLPClassifier(solver="lbfgs", max_iter=5), X, Y),
    "regressor": (cp.MLPRegressor(max_iter=5, random_state=0), X.astype(np.float32), X[:, :2]),
    "poisson": (cp.MLPRegressor("poisson", max_iter=5, random_state=0), X, Y),
    "neural": (cp.NeuralClassifier(epochs=3, class_weight={"setosa": 2.0}, optimizer=cp.SGD(0.1)), X, NAMES),
    "own network": (cp.NeuralRegressor(epochs=3, network=[cp.Dense(5, "tanh"), cp.Dropout(0.1)]), X, Y),
    "transformer": (cp.NeuralTransformer(epochs=3, random_state=1), X, Y),
}


@cache
def fitted(name):
    """The estimator of a case, fitted once."""
    estimator, features, target = CASES[name]
    return estimator.fit(features, target)


def answers(estimator, samples):
    """Everything an estimator says of samples."""
    methods = ("predict", "predict_proba", "transform")
    return {method: getattr(estimator, method)(samples) for method in methods if hasattr(estimator, method)}


@pytest.mark.parametrize("name", CASES)
def test_round_trip(name, tmp_path):
    before = fitted(name)
    save(before, tmp_path / "estimator.safetensors")
    after = load(tmp_path / "estimator.safetensors")
    assert type(after) is type(before)
    samples = X.astype(np.float32) if name == "regressor" else X
    expected = answers(before, samples)
    assert expected
    for method, values in answers(after, samples).items():
        assert values.dtype == expected[method].dtype
        np.testing.assert_array_equal(values, expected[method])
    for key, value in vars(before).items():
        if isinstance(value, (int, float, str, list)) and key.endswith("_"):
            np.testing.assert_equal(getattr(after, key), value, err_msg=key)
    clone(after)


@pytest.mark.parametrize("name", CASES)
def test_the_file_is_a_model_too(name, tmp_path):
    save(fitted(name), tmp_path / "estimator.safetensors")
    model = cp.load(tmp_path / "estimator.safetensors")
    if name == "poisson":
        np.testing.assert_array_equal(model.predict(X)[:, 0], fitted(name).predict(X))
    if name in ("lbfgs", "strings", "neural"):
        np.testing.assert_array_equal(model.predict(X), fitted(name).predict_proba(X))


def test_what_was_read_goes_on_training(tmp_path):
    save(fitted("binary"), tmp_path / "estimator.safetensors")
    again = load(tmp_path / "estimator.safetensors")
    steps = again.t_
    again.partial_fit(X, Y == 1)
    assert again.t_ == steps + len(X)


def test_feature_names_are_kept(tmp_path):
    frame = pytest.importorskip("pandas").DataFrame(X, columns=list("abcd"))
    save(cp.NeuralClassifier(epochs=2).fit(frame, Y), tmp_path / "estimator.safetensors")
    again = load(tmp_path / "estimator.safetensors")
    assert again.feature_names_in_.tolist() == list("abcd")
    again.predict(frame)


def test_wrong_uses_are_refused(tmp_path):
    with pytest.raises(NotFittedError):
        save(cp.MLPClassifier(), tmp_path / "a")
    with pytest.raises(cp.SettingsError, match="MLPClassifier"):
        save(object(), tmp_path / "a")
    model = cp.Model([cp.Dense(1)])
    model.init((4,))
    model.save(tmp_path / "a")
    with pytest.raises(cp.FileFormatError, match="no estimator"):
        load(tmp_path / "a")


def test_a_damaged_description_is_refused(tmp_path, monkeypatch):
    save(fitted("binary"), tmp_path / "a")
    arrays, description = files.read_arrays(tmp_path / "a", "model")
    for damage in (
        {"class": "os.system"},
        {"params": {"no": 1}},
        {"learnt": 3},
        {"arrays": {"classes_": ["|V8", [1]]}},
    ):
        broken = json.loads(json.dumps(description))
        broken["estimator"] |= damage
        monkeypatch.setattr(files, "read_arrays", lambda *_, broken=broken: (arrays, broken))
        with pytest.raises(cp.FileFormatError, match="cannot be used"):
            load(tmp_path / "a")
