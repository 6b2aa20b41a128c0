"""scikit-learn's contract: its own checks, and its tools around our estimators."""

import pickle
import threading

import joblib
import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.ensemble import BaggingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import clearprop as cp

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning"),
]

X, Y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)
CLASSIFIERS = [
    cp.MLPClassifier(max_iter=40, random_state=0, learning_rate_init=0.01),
    cp.NeuralClassifier(epochs=40, random_state=0, learning_rate=0.01),
]
CHECKED = [
    cp.MLPClassifier(max_iter=100),
    cp.MLPRegressor(max_iter=100),
    cp.NeuralClassifier(epochs=100),
    cp.NeuralRegressor(epochs=100),
    cp.NeuralTransformer(epochs=100),
]
each_classifier = pytest.mark.parametrize("classifier", CLASSIFIERS, ids=lambda e: type(e).__name__)


@parametrize_with_checks(CHECKED)
@pytest.mark.filterwarnings("default")
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@each_classifier
def test_pipeline_search_and_scores(classifier):
    pipeline = make_pipeline(StandardScaler(), classifier)
    assert cross_val_score(pipeline, X, Y, cv=3).mean() > 0.85
    name = "max_iter" if isinstance(classifier, cp.MLPClassifier) else "epochs"
    for search in (GridSearchCV, HalvingGridSearchCV):
        found = search(pipeline, {f"{type(classifier).__name__.lower()}__{name}": [1, 40]}, cv=2).fit(X, Y)
        assert found.best_params_ == {f"{type(classifier).__name__.lower()}__{name}": 40}


@each_classifier
def test_calibration_and_bagging(classifier):
    calibrated = CalibratedClassifierCV(classifier, cv=3).fit(X, Y)
    np.testing.assert_allclose(calibrated.predict_proba(X).sum(axis=1), 1.0)
    assert calibrated.score(X, Y) > 0.85
    assert BaggingClassifier(classifier, n_estimators=3, random_state=0).fit(X, Y).score(X, Y) > 0.85


@each_classifier
@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_processes_and_threads_give_the_same_bits(classifier, backend):
    alone = clone(classifier).fit(X, Y).predict_proba(X)
    with joblib.parallel_config(backend=backend, n_jobs=2):
        results = joblib.Parallel()(joblib.delayed(clone(classifier).fit)(X, Y) for _ in range(2))
    for fitted in results:
        np.testing.assert_array_equal(fitted.predict_proba(X), alone)


def test_threads_may_fit_at_once():
    results = {}

    def work(number):
        results[number] = cp.MLPClassifier(max_iter=20, random_state=number % 2).fit(X, Y).loss_curve_

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results[0] == results[2] != results[1] == results[3]


@pytest.mark.parametrize("estimator", CHECKED, ids=lambda e: type(e).__name__)
def test_pickles_hold_no_code_and_say_the_same(estimator):
    fitted = clone(estimator).fit(X, Y)
    method = "predict" if hasattr(fitted, "predict") else "transform"
    before = getattr(fitted, method)(X)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(getattr(again, method)(X), before)


def test_metadata_is_routed():
    weight = np.where(Y == 0, 5.0, 1.0)
    for classifier in CLASSIFIERS:
        plain = clone(classifier).fit(X, Y, sample_weight=weight).predict_proba(X)
        with sklearn.config_context(enable_metadata_routing=True):
            step = clone(classifier).set_fit_request(sample_weight=True)
            routed = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), step).fit(
                X, Y, sample_weight=weight
            )
            np.testing.assert_allclose(routed.predict_proba(X), plain, atol=1e-6)


def test_pandas_output():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcd"), index=np.arange(150) + 7)
    code = cp.NeuralTransformer(epochs=2).set_output(transform="pandas").fit_transform(frame)
    assert code.columns.tolist() == ["neuraltransformer0", "neuraltransformer1"]
    assert (code.index == frame.index).all()
