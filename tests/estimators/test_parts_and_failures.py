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


class TestNumbersToValidateWith:
    """Targets of a validation set have the shape of those of training, and are never folded into it."""

    TWO = X[:, :2]

    @pytest.mark.parametrize(
        ("target", "given", "words"),
        [
            (TWO, TWO.T, r"have shape \(2, 90\): give them for its 90 samples as in training, as \(90, 2\)"),
            (X[:, 0], TWO[:45], r"have shape \(45, 2\): .* as \(90,\)"),
            (X[:, 0], X[:5, 0], r"have shape \(5,\)"),
            (TWO, X[:, 0], r"have shape \(90,\)"),
        ],
    )
    def test_another_shape(self, target, given, words):
        with pytest.raises(cp.DataError, match=words):
            cp.NeuralRegressor(**SETTINGS).fit(X, target, X_val=X, y_val=given)

    def test_the_same_as_of_training(self):
        flat = cp.NeuralRegressor(**SETTINGS).fit(X, X[:, 0], X_val=X[:20], y_val=X[:20, 0])
        column = cp.NeuralRegressor(**SETTINGS).fit(X, X[:, 0], X_val=X[:20], y_val=X[:20, :1])
        assert column.validation_scores_ == flat.validation_scores_
        both = cp.NeuralRegressor(**SETTINGS).fit(X, self.TWO, X_val=X[:20], y_val=self.TWO[:20])
        loss = ((both.predict(X[:20]) - self.TWO[:20]) ** 2).mean()
        assert both.history_["val_loss"][-1] == pytest.approx(loss, rel=1e-5)


def test_a_fraction_that_cannot_be_held_out():
    labels = np.arange(90) // 2  # two of each class, and fewer rows held out than classes
    with pytest.raises(cp.DataError, match=r"^validation_fraction=0.1 of these samples cannot be held out: .*X_val"):
        cp.NeuralClassifier(**SETTINGS, validation_fraction=0.1).fit(X, labels)


def test_settings_of_validation_that_have_no_use_or_are_unknown():
    with pytest.raises(cp.SettingsError, match="sample_weight_val weighs a validation set: give X_val and y_val"):
        cp.NeuralRegressor(**SETTINGS).fit(X, X[:, 0], sample_weight_val=np.ones(3))
    with pytest.raises(ValueError, match="scoring"):
        cp.NeuralClassifier(**SETTINGS, scoring="acuracy").fit(X, LABELS)


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
