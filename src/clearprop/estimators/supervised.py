"""The classifier and the regressor over any network, loss, optimiser and schedule."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self, cast

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils import metaestimators
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d

from clearprop.errors import DataError, SettingsError
from clearprop.estimators.neural import Array, Neural, Part, checked_weight
from clearprop.losses import (
    BinaryCrossEntropy,
    BinaryLoss,
    ClassLoss,
    DistributionLoss,
    Loss,
    NegativeLogLikelihood,
)
from clearprop.nn import Dense
from clearprop.settings import within


def _of_task(estimator: Neural, task: str) -> Loss:
    """Return the estimator's loss; `SettingsError` if it is one of another task."""
    loss = estimator._chosen_loss
    if loss.task not in (task, "auto"):
        raise SettingsError(
            f"{type(estimator).__name__} does {task}, and {loss!r} is a loss of {loss.task}: choose another, such as "
            f"{estimator._usual_loss}"
        )
    return loss


@dataclass(eq=False, repr=False, kw_only=True)
class Supervised(Neural):
    """What the classifier and the regressor share: a fit to targets."""

    _numeric: ClassVar[bool] = False

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Train on samples X (n, features) with targets y: labels or numbers, (n,), or several a sample, (n, k).

        X_val and y_val are a validation set, in place of a part that is held out. `sample_weight` weighs that part too.
        A fit that raises leaves the estimator as it was before.

        Raises:
            SettingsError: a setting has a value that is not allowed, or does not fit the others.
            DataError: the targets of the validation set do not fit those of training.
            DivergedError: the loss became non-finite.
        """
        with self._fitting():
            if (X_val is None) != (y_val is None):
                raise SettingsError("a validation set has features and targets: give both X_val and y_val, or neither")
            if X_val is None and sample_weight_val is not None:
                raise SettingsError("sample_weight_val weighs a validation set: give X_val and y_val too")
            given = None if X_val is None else (X_val, y_val, sample_weight_val)
            train, held_out = self._parts(X, y, sample_weight, given)
            checks = {"reset": True, "multi_output": True, "y_numeric": self._numeric}
            X, y = self._validated(train[0], train[1], **checks)
            if y.ndim == 2 and y.shape[1] == 1:
                y = column_or_1d(y, warn=True)
            self._several = y.ndim == 2
            task = self._learn(X, y, checked_weight(train[2], X))
            model = self._model([*self._hidden(), task.last], task.loss, X.dtype)
            scored = None if held_out is None else self._encoded(held_out)
            return self._train(model, (X, task.target, task.weight), scored, held_out)

    @abstractmethod
    def _learn(self, X: Array, y: Array, weight: Any) -> _Task:
        """Return what is to be learnt from targets y, and keep what `predict` needs to know of them."""

    @abstractmethod
    def _encoded(self, part: Part) -> Part:
        """Return a validation part as the model takes it."""


class _Task(NamedTuple):
    """Targets as the loss takes them, weights, the layer that gives the outputs, and the loss."""

    target: Array
    weight: Any
    last: Dense
    loss: Loss


_FINAL: dict[type[Loss], str] = {NegativeLogLikelihood: "log_softmax"}
"""The activation of the outputs where a loss does not take them as they are."""


def _predicts_probabilities(classifier: NeuralClassifier) -> bool:
    """Tell whether the loss has probabilities; else it has scores, and scikit-learn asks for `decision_function`."""
    return classifier._chosen_loss.probabilities


def _predicts_scores(classifier: NeuralClassifier) -> bool:
    return not classifier._chosen_loss.probabilities


@dataclass(eq=False, repr=False, kw_only=True)
class NeuralClassifier(ClassifierMixin, Supervised):  # type: ignore[misc]  # as `Neural`
    """A classifier over any network; its loss "auto" is cross-entropy, and binary cross-entropy of several labels.

    Labels (n, labels) of 0 and 1 say which of several hold, none or all of them: they are learnt by binary
    cross-entropy and its kin, or by `MultiLabelMargin`, which only ranks them.

    With a loss that has no probabilities, such as the hinge, it has `decision_function` in place of `predict_proba`.
    The settings are those of `Neural`, and:

    Attributes:
        class_weight: a weight for each class by its label, or "balanced", in training alone.
        classes_: the labels, in the order of the probabilities.
        model_: the fitted `Model`.
        history_: what the fit recorded, epoch by epoch.
        validation_scores_: one an epoch, where there is a validation set.
        n_iter_: the number of epochs.
    """

    _usual_loss: ClassVar[str] = "cross_entropy"
    class_weight: Mapping[Any, float] | str | None = None
    _several = False

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn may ask of it: several labels a sample too."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    @metaestimators.available_if(_predicts_probabilities)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class (n, classes), which add up to 1 unless several labels may hold."""
        given = self._scores(X)
        if self._several:
            return given
        return given / given.sum(axis=1, keepdims=True) if isinstance(self.model_.loss, BinaryLoss) else given

    @metaestimators.available_if(_predicts_probabilities)  # type: ignore[untyped-decorator]
    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithm of the probabilities."""
        return np.asarray(np.log(self.predict_proba(X)))

    @metaestimators.available_if(_predicts_scores)  # type: ignore[untyped-decorator]
    def decision_function(self, X: Any) -> Array:
        """Return a score for each class (n, classes); of two, how far the second is above the first, (n,)."""
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 and not self._several else scores

    def predict(self, X: Any) -> Array:
        """Return each sample's label of the highest probability or score; of several labels 0 or 1 each."""
        scores = self._scores(X)
        if self._several:
            return np.asarray(scores > 0.5, np.int64)
        return np.asarray(self.classes_[scores.argmax(axis=1)])

    def _scores(self, X: Any) -> Array:
        """Return what the loss predicts for each class (n, classes)."""
        check_is_fitted(self)
        given = self.model_.predict(self._validated(X))
        return np.concatenate([1 - given, given], axis=1) if given.shape[1] < len(self.classes_) else given

    def _learn(self, X: Array, y: Array, weight: Any) -> _Task:
        codes = self._learn_classes(y)
        if self.class_weight is not None:
            weight = compute_sample_weight(self.class_weight, y) * (1 if weight is None else weight)
        loss = self._checked_loss()
        units = len(self.classes_) if self._several else loss.outputs_for(len(self.classes_))
        return _Task(self._target(codes, X), weight, self._dense(units, _FINAL.get(type(loss))), loss)

    def _learn_classes(self, y: Array) -> Array:
        """Keep the labels, and return each sample's index among them, or which of several hold."""
        check_classification_targets(y)
        if not self._several:
            self.classes_, codes = np.unique(y, return_inverse=True)
            return codes
        self.classes_ = np.arange(y.shape[1])
        return _answers(y, self.classes_)

    def _checked_loss(self) -> Loss:
        """Return the loss; `SettingsError` if it is of another task, or of one label where several may hold."""
        loss = _of_task(self, "classification")
        if self._several and isinstance(self.loss, str) and self.loss == "auto":
            return BinaryCrossEntropy()
        if self._several and isinstance(loss, ClassLoss):
            raise SettingsError(
                f"{loss!r} asks which one of several classes, and of these labels several may hold: choose another, "
                "such as binary_cross_entropy or multi_label_margin"
            )
        return loss

    def _target(self, codes: Array, X: Array) -> Array:
        """Return the targets that the loss takes: class indices, an answer for each sample, or one for each class."""
        loss = self._chosen_loss
        if self._several:
            return codes.astype(X.dtype)
        if isinstance(loss, BinaryLoss) and len(self.classes_) <= 2:
            return codes[:, None].astype(X.dtype)
        if loss.answers or (isinstance(loss, ClassLoss) and not loss.hard):
            return np.eye(len(self.classes_), dtype=X.dtype)[codes]
        return codes

    def _encoded(self, part: Part) -> Part:
        X, labels = self._validated(part[0]), np.asarray(part[1])
        if self._several:
            return X, self._target(_answers(labels, self.classes_), X), part[2]
        if labels.ndim != 1 and labels.shape[1:] != (1,):
            raise DataError(
                f"the labels of the validation set have shape {labels.shape}, and training has one label a sample: "
                "give them as (n,)"
            )
        labels = labels.ravel()
        codes = np.searchsorted(self.classes_, labels)
        if not (self.classes_[np.minimum(codes, len(self.classes_) - 1)] == labels).all():
            unknown = sorted(set(labels.tolist()) - set(self.classes_.tolist()))
            raise DataError(f"the validation set has labels that training has not: {unknown}")
        return X, self._target(codes, X), part[2]

    def _strata(self, y: Any) -> Any:
        return None if np.ndim(y) == 2 and np.shape(y)[1] > 1 else y


def _answers(labels: Array, classes: Array) -> Array:
    """Return labels (n, labels) of 0 and 1; `DataError` if they are something else."""
    if labels.shape != (len(labels), len(classes)) or not np.isin(labels, (0, 1)).all():
        raise DataError(
            f"several labels a sample are answers of 0 and 1, (n, {len(classes)}), received {labels.dtype} of shape "
            f"{labels.shape}: turn lists of labels into such by scikit-learn's MultiLabelBinarizer"
        )
    return labels


def _predicts_distributions(regressor: NeuralRegressor) -> bool:
    """Tell whether the loss has quantiles; else the methods that give them are not there, as scikit-learn has it."""
    return isinstance(regressor._chosen_loss, DistributionLoss)


@dataclass(eq=False, repr=False, kw_only=True)
class NeuralRegressor(RegressorMixin, Supervised):  # type: ignore[misc]  # as `Neural`
    """A regressor over any network, of one number or of several; its loss "auto" is the squared error.

    With the loss `Quantile` or `GaussianLikelihood` it predicts the median or the mean, and `predict_quantiles` and
    `predict_interval` tell how far off the truth may be; a Gaussian wants standardised targets. The settings are
    those of `Neural`.

    Attributes:
        model_: the fitted `Model`.
        history_: what the fit recorded, epoch by epoch.
        validation_scores_: one an epoch, where there is a validation set.
        n_iter_: the number of epochs.
    """

    _numeric: ClassVar[bool] = True

    def predict(self, X: Any) -> Array:
        """Return the numbers predicted for each sample: (n,), or (n, outputs); of distributions the median or mean."""
        check_is_fitted(self)
        values = self.model_.loss.point(self.model_.predict(self._validated(X)))
        return values if self._several else values[:, 0]

    @metaestimators.available_if(_predicts_distributions)  # type: ignore[untyped-decorator]
    def predict_quantiles(self, X: Any, quantiles: Sequence[float] | None = None) -> Array:
        """Return quantiles of what each sample's number may be: (n, quantiles), or (n, outputs, quantiles).

        Args:
            X: the samples.
            quantiles: which ones, in (0, 1). Without them those of the loss `Quantile`, and of `GaussianLikelihood` the
                median and an interval of 90 % around it. One between two that are learnt is interpolated.

        Raises:
            SettingsError: quantiles do not lie in (0, 1), or the loss `Quantile` was not asked to learn one so far out.
        """
        check_is_fitted(self)
        loss = cast(DistributionLoss, self.model_.loss)
        prediction = self.model_.predict(self._validated(X))
        levels = loss.levels if quantiles is None else tuple(quantiles)
        if not levels or not all(within(level, "(0, 1)") for level in levels):
            raise SettingsError(f"quantiles are numbers in (0, 1), received {quantiles!r}")
        values = np.stack([loss.quantile(prediction, level) for level in levels], axis=-1)
        return values if self._several else values[:, 0]

    @metaestimators.available_if(_predicts_distributions)  # type: ignore[untyped-decorator]
    def predict_interval(self, X: Any, coverage: float | None = None) -> Array:
        """Return the ends of an interval that may hold each sample's number: (n, 2), or (n, outputs, 2).

        Args:
            X: the samples.
            coverage: the probability that it does; as much lies below as above. Without it, the interval runs from the
                first to the last of the quantiles that `predict_quantiles` gives.

        Raises:
            SettingsError: the coverage is no probability, or the loss `Quantile` was not asked to learn such ends.
        """
        if coverage is None:
            return np.asarray(self.predict_quantiles(X)[..., [0, -1]])
        if not within(coverage, "(0, 1)"):
            raise SettingsError(f"coverage lies in (0, 1), received {coverage!r}")
        return np.asarray(self.predict_quantiles(X, ((1 - coverage) / 2, (1 + coverage) / 2)))

    def _learn(self, X: Array, y: Array, weight: Any) -> _Task:
        target = y.reshape(len(y), -1).astype(X.dtype)
        loss = _of_task(self, "regression")
        self._n_targets = target.shape[1]
        return _Task(target, weight, self._dense(loss.outputs_for(target.shape[1])), loss)

    def _encoded(self, part: Part) -> Part:
        X = self._validated(part[0])
        numbers = np.asarray(part[1], X.dtype)
        whole = (len(X), self._n_targets)
        wanted = whole if self._several else whole[:1]
        if numbers.shape not in (wanted, whole):
            raise DataError(
                f"the targets of the validation set have shape {numbers.shape}: give them for its {len(X)} samples as "
                f"in training, as {wanted}"
            )
        return X, numbers.reshape(whole), part[2]
