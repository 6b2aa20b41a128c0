"""Fits of the neural estimators with a validation part of another form, and fits that fail."""

import numpy as np
import pytest

import clearprop as cp

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
