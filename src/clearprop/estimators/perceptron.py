"""scikit-learn's multilayer perceptrons with clearprop's programs for their arithmetic.

The classes inherit from scikit-learn's, so that parameters, checks, messages, attributes and the rules for stopping are
its own; what is put in the place of its methods is the loop over batches, the gradient and the prediction. Sparse input
goes scikit-learn's way, which never makes it dense.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn import neural_network
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network._multilayer_perceptron import BaseMultilayerPerceptron
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer
from sklearn.utils.validation import validate_data

from clearprop.estimators.programs import Perceptron
from clearprop.estimators.work import Work, as_data

Array = np.ndarray[Any, Any]
_ROWS = 4096


class _Programs(BaseMultilayerPerceptron):  # type: ignore[misc]
    """What is put in the place of scikit-learn's methods of the same names."""

    _no_improvement_count: int

    def _perceptron(self, dtype: Any = None) -> Perceptron:
        """Return the programs of this network."""
        units = (self.coefs_[0].shape[0], *(coef.shape[1] for coef in self.coefs_))
        return Perceptron(units, self.activation, self.out_activation_, str(np.dtype(dtype or self.coefs_[0].dtype)))

    def _forward_pass_fast(self, X: Any, check_input: bool = True) -> Array:
        """Return the output of the network for each row."""
        if check_input:
            X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        if issparse(X):
            return np.asarray(super()._forward_pass_fast(X, check_input=False))
        dtype = np.float32 if X.dtype == self.coefs_[0].dtype == np.float32 else np.float64
        net = self._perceptron(dtype)
        run, arrays = net.prediction(), self.coefs_ + self.intercepts_
        inputs = {name: np.asarray(array, dtype) for name, array in zip(net.names, arrays, strict=True)}
        X = np.asarray(X, dtype, order="C")
        parts = [run(inputs | {"x": X[start : start + _ROWS]})["prediction"] for start in range(0, len(X), _ROWS)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _backprop(self, X: Any, y: Array, sample_weight: Array | None, *workspace: Any) -> Any:
        """Return the loss, and its gradient by the weights and by the biases of each layer."""
        if issparse(X):
            return super()._backprop(X, y, sample_weight, *workspace)
        net = self._perceptron()
        inputs = as_data(X, y, sample_weight, net.dtype) | {"alpha": np.asarray(self.alpha, np.float64)}
        inputs |= dict(zip(net.names, self.coefs_ + self.intercepts_, strict=True))
        results = net.gradients(sample_weight is not None)(inputs)
        gradients = [results[f"grad.{name}"] for name in net.names]
        layers = len(self.coefs_)
        return float(results["cost"]), gradients[:layers], gradients[layers:]

    def _fit_stochastic(self, X: Any, y: Array, sample_weight: Array | None, *workspace: Any) -> None:
        """Train by batches; the last of the workspace tells whether it is for one epoch (`partial_fit`)."""
        if issparse(X):
            super()._fit_stochastic(X, y, sample_weight, *workspace)
            return
        incremental = workspace[-1]
        if not incremental or not hasattr(self, "_optimizer"):
            self._optimizer = self._new_optimizer()
        if self.early_stopping and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        train, held_out = (X, y, sample_weight), (None, None, None)
        if self.early_stopping:
            train, held_out = self._hold_out(X, y, sample_weight)
        try:
            with Work(self._perceptron(), self, *train) as work:
                self._run_epochs(work, held_out, 1 if incremental else self.max_iter, incremental)
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=2)
        if self.early_stopping:
            self.coefs_, self.intercepts_ = self._best_coefs, self._best_intercepts

    def _run_epochs(self, work: Work, held_out: tuple[Any, ...], epochs: int, incremental: bool) -> None:
        """Train and keep the books, epoch after epoch, until training ends."""
        self.n_iter_ = 0
        for _ in range(epochs):
            self.loss_ = work.epoch()
            self.n_iter_ += 1
            self.t_ += len(work.order)
            self.loss_curve_.append(self.loss_)
            if self.verbose:
                print(f"Iteration {self.n_iter_}, loss = {self.loss_:.8f}")
            if self.early_stopping:
                work.show()
            self._update_no_improvement_count(self.early_stopping, *held_out)
            self._optimizer.iteration_ends(self.t_)
            if self._no_improvement_count > self.n_iter_no_change:
                if self._optimizer.trigger_stopping(self._why_stop(), self.verbose):
                    return
                self._no_improvement_count = 0
        if not incremental and self.n_iter_ == self.max_iter:
            text = f"Maximum iterations ({self.max_iter}) reached and the optimization hasn't converged yet."
            warnings.warn(f"Stochastic Optimizer: {text}", ConvergenceWarning, stacklevel=2)

    def _why_stop(self) -> str:
        watched = "Validation score" if self.early_stopping else "Training loss"
        since = f"for {self.n_iter_no_change} consecutive epochs."
        return f"{watched} did not improve more than tol={self.tol:f} {since}"

    def _new_optimizer(self) -> Any:
        """Return scikit-learn's optimiser, which holds the slots and the learning rate between fits."""
        params, rate = self.coefs_ + self.intercepts_, self.learning_rate_init
        if self.solver == "adam":
            return AdamOptimizer(params, rate, self.beta_1, self.beta_2, self.epsilon)
        return SGDOptimizer(params, rate, self.learning_rate, self.momentum, self.nesterovs_momentum, self.power_t)

    def _hold_out(self, X: Array, y: Array, weight: Array | None) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Split off the validation part: X, y and weights to train on, and the same to score."""
        arrays = (X, y) if weight is None else (X, y, weight)
        parts = train_test_split(
            *arrays,
            random_state=self._random_state,
            test_size=self.validation_fraction,
            stratify=y if is_classifier(self) and self.n_outputs_ == 1 else None,
        )
        train, held_out = parts[::2], parts[1::2]
        if len(held_out[0]) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        if is_classifier(self):
            held_out[1] = self._label_binarizer.inverse_transform(held_out[1])
        none = () if weight is not None else (None,)
        return (*train, *none), (*held_out, *none)


class MLPClassifier(_Programs, neural_network.MLPClassifier):  # type: ignore[misc]
    """scikit-learn's MLPClassifier, trained by clearprop's compiled programs.

    Parameters, defaults, attributes, methods and results are those of `sklearn.neural_network.MLPClassifier`, which
    documents them: with the same `random_state` the first weights and the order of the samples are the same, and in
    float64 the losses agree to rounding.
    """


class MLPRegressor(_Programs, neural_network.MLPRegressor):  # type: ignore[misc]
    """scikit-learn's MLPRegressor, trained by clearprop's compiled programs.

    Parameters, defaults, attributes, methods and results are those of `sklearn.neural_network.MLPRegressor`, which
    documents them: with the same `random_state` the first weights and the order of the samples are the same, and in
    float64 the losses agree to rounding.
    """
