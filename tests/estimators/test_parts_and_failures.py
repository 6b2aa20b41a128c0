"""Fits of the neural estimators with a validation part of another form, and fits that fail."""

import contextlib
import copy

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

import clearprop as cp
from clearprop.display import Display

R = np.random.default_rng(0)
X = R.normal(size=(90, 3))
LABELS = np.array(["low", "middle", "high"])[np.digitize(X[:, 0], [-0.5, 0.5])]
SETTINGS = {"width": 8, "epochs": 3, "random_state": 0}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
class TestLabelsAsAColumn:
    """Labels (n, 1) are those of (n,), held out or not."""

    @pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy"])
    @pytest.mark.parametrize("labels", [LABELS, LABELS == "low"], ids=["three", "two"])
    @pytest.mark.parametrize("scoring", [None, "accuracy"])
    def test_a_part_that_is_held_out(self, loss, labels, scoring):
        settings = SETTINGS | {"loss": loss, "scoring": scoring, "validation_fraction": 0.2}
        flat = cp.NeuralClassifier(**settings).fit(X, labels)
        column = cp.NeuralClassifier(**settings).fit(X, labels[:, None])
        np.testing.assert_array_equal(column.predict_proba(X), flat.predict_proba(X))
        assert column.validation_scores_ == flat.validation_scores_

    def test_a_part_that_is_given(self):
        flat = cp.NeuralClassifier(**SETTINGS).fit(X, LABELS, X_val=X[:20], y_val=LABELS[:20])
        column = cp.NeuralClassifier(**SETTINGS).fit(X, LABELS, X_val=X[:20], y_val=LABELS[:20, None])
        assert column.history_["val_loss"] == flat.history_["val_loss"]

    def test_several_columns_are_refused(self):
        both = np.stack([LABELS, LABELS], axis=1)
        with pytest.raises(cp.DataError, match=r"have shape \(90, 2\), and training has one label a sample"):
            cp.NeuralClassifier(**SETTINGS).fit(X, LABELS, X_val=X, y_val=both)


def interrupted(event):
    raise KeyboardInterrupt


def no_score(estimator, features, target=None):
    raise RuntimeError("no score today")


FAILING = [
    pytest.param({"optimizer": cp.SGD(1e300)}, cp.DivergedError, id="it diverges"),
    pytest.param({"scoring": no_score, "validation_fraction": 0.2}, RuntimeError, id="its scorer raises"),
    pytest.param({"callbacks": [interrupted]}, KeyboardInterrupt, id="it is interrupted"),
    pytest.param({"patience": 3}, cp.SettingsError, id="its settings do not fit"),
]


@pytest.mark.parametrize("kind", [cp.NeuralClassifier, cp.NeuralRegressor, cp.NeuralTransformer])
@pytest.mark.parametrize(("wrong", "error"), FAILING)
class TestAFitThatRaises:
    def test_leaves_what_the_fit_before_learnt(self, kind, wrong, error):
        fitted = kind(**SETTINGS).fit(X, LABELS == "low").set_params(**wrong)
        before, predicted = dict(vars(fitted)), fitted.model_.predict(X)
        epochs = copy.deepcopy(fitted.history_.epochs)
        with pytest.raises(error):
            fitted.fit(X[:, :2], np.arange(len(X)) % 5)
        assert set(vars(fitted)) == set(before)
        assert all(vars(fitted)[name] is value for name, value in before.items())
        np.testing.assert_array_equal(fitted.model_.predict(X), predicted)
        assert fitted.history_.epochs == epochs

    def test_leaves_an_estimator_that_was_not_fitted_so(self, kind, wrong, error):
        estimator = kind(**SETTINGS).set_params(**wrong)
        with pytest.raises(error):
            estimator.fit(X, LABELS == "low")
        with pytest.raises(NotFittedError):
            check_is_fitted(estimator)
        assert vars(estimator) == vars(kind(**SETTINGS).set_params(**wrong))


@pytest.mark.parametrize("wrong", [{"callbacks": [interrupted]}, {"optimizer": cp.SGD(1e300)}, {}])
def test_the_display_is_closed_in_any_case(wrong, monkeypatch):
    class Shown(Display):
        closed = False

        def __call__(self, event):
            """Show nothing."""

        def close(self):
            self.closed = True

    shown = Shown()
    monkeypatch.setattr("clearprop.estimators.neural.progress", {"auto": shown}.get)
    estimator = cp.NeuralRegressor(verbose=True, **SETTINGS).set_params(**wrong)
    with contextlib.suppress(KeyboardInterrupt, cp.DivergedError):
        estimator.fit(X, X[:, 0])
    assert shown.closed
