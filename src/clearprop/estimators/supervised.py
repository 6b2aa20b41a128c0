"""The classifier and the regressor over any network, loss, optimiser and schedule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d

from clearprop.errors import DataError
from clearprop.estimators.neural import Array, Neural, Part, checked_weight
from clearprop.losses import BinaryCrossEntropy, Loss


@dataclass(eq=False, repr=False, kw_only=True)
class NeuralClassifier(ClassifierMixin, Neural):  # type: ignore[misc]
    """A classifier over any network; its loss "auto" is cross-entropy.

    The settings are those of `Neural`, and:

    Attributes:
        class_weight: a weight for each class by its label, or "balanced".
        classes_: the labels, in the order of the probabilities.
        model_: the fitted `Model`.
        history_: what the fit recorded, epoch by epoch.
        validation_scores_: one an epoch, where there is a validation set.
        n_iter_: the number of epochs.
    """

    class_weight: Mapping[Any, float] | str | None = None

    def fit(self, X: Any, y: Any, sample_weight: Any = None, X_val: Any = None, y_val: Any = None) -> NeuralClassifier:
        """Train on samples X (n, features) with labels y (n,), validated on X_val and y_val where they are given."""
        self._draw_seed()
        given = None if X_val is None else (X_val, y_val)
        train, held_out = self._parts(X, y, sample_weight, given)
        X, y = self._validated(train[0], train[1], reset=True)
        check_classification_targets(y)
        self.classes_, codes = np.unique(column_or_1d(y, warn=True), return_inverse=True)
        weight = checked_weight(train[2], X)
        if self.class_weight is not None:
            weight = compute_sample_weight(self.class_weight, y) * (1 if weight is None else weight)
        loss = self._loss("cross_entropy")
        model = self._model([*self._hidden(), self._dense(self._outputs(loss))], loss, X.dtype)
        scored = None if held_out is None else self._encoded(held_out)
        self._train(model, (X, self._target(codes, X), weight), scored, held_out)
        return self

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class (n, classes), which add up to 1."""
        check_is_fitted(self)
        given = self.model_.predict(self._validated(X))
        if given.shape[1] < len(self.classes_):
            return np.concatenate([1 - given, given], axis=1)
        binary = isinstance(self.model_.loss, BinaryCrossEntropy) and len(self.classes_) > 1
        return given / given.sum(axis=1, keepdims=True) if binary else given

    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithm of the probabilities."""
        return np.asarray(np.log(self.predict_proba(X)))

    def predict(self, X: Any) -> Array:
        """Return the most probable label of each sample."""
        probabilities = self.predict_proba(X)
        return np.asarray(self.classes_[probabilities.argmax(axis=1)])

    def _outputs(self, loss: Loss) -> int:
        if isinstance(loss, BinaryCrossEntropy) and len(self.classes_) <= 2:
            return 1
        return len(self.classes_)

    def _target(self, codes: Array, X: Array) -> Array:
        if not isinstance(self._loss("cross_entropy"), BinaryCrossEntropy):
            return codes
        return (np.eye(len(self.classes_))[codes] if len(self.classes_) > 2 else codes[:, None]).astype(X.dtype)

    def _encoded(self, part: Part) -> Part:
        """Return a validation part as the model takes it."""
        X, labels = self._validated(part[0]), np.asarray(part[1])
        codes = np.searchsorted(self.classes_, labels)
        if not (self.classes_[np.minimum(codes, len(self.classes_) - 1)] == labels).all():
            unknown = sorted(set(labels.tolist()) - set(self.classes_.tolist()))
            raise DataError(f"the validation set has labels that training has not: {unknown}")
        return X, self._target(codes, X), part[2]

    def _strata(self, y: Any) -> Any:
        return y


@dataclass(eq=False, repr=False, kw_only=True)
class NeuralRegressor(RegressorMixin, Neural):  # type: ignore[misc]
    """A regressor over any network, of one number or of several; its loss "auto" is the squared error.

    The settings are those of `Neural`.

    Attributes:
        model_: the fitted `Model`.
        history_: what the fit recorded, epoch by epoch.
        validation_scores_: one an epoch, where there is a validation set.
        n_iter_: the number of epochs.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None, X_val: Any = None, y_val: Any = None) -> NeuralRegressor:
        """Train on samples X (n, features) with numbers y (n,) or (n, outputs)."""
        self._draw_seed()
        given = None if X_val is None else (X_val, y_val)
        train, held_out = self._parts(X, y, sample_weight, given)
        X, y = self._validated(train[0], train[1], reset=True, multi_output=True, y_numeric=True)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        self._several = y.ndim == 2
        y = y.reshape(len(y), -1).astype(X.dtype)
        model = self._model([*self._hidden(), self._dense(y.shape[1])], self._loss("squared_error"), X.dtype)
        scored = None if held_out is None else self._encoded(held_out)
        self._train(model, (X, y, checked_weight(train[2], X)), scored, held_out)
        return self

    def predict(self, X: Any) -> Array:
        """Return the numbers predicted for each sample: (n,), or (n, outputs)."""
        check_is_fitted(self)
        values = self.model_.predict(self._validated(X))
        return values if self._several else values[:, 0]

    def _encoded(self, part: Part) -> Part:
        """Return a validation part as the model takes it."""
        X = self._validated(part[0])
        return X, np.asarray(part[1], X.dtype).reshape(len(X), -1), part[2]
