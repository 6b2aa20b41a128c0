"""scikit-learn as a side."""

from __future__ import annotations

import time
import warnings

from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor
from threadpoolctl import threadpool_limits

from clearprop.bench.images import ImageWorkload
from clearprop.bench.machine import count_of
from clearprop.bench.sequences import SequenceWorkload
from clearprop.bench.sides import Predict, Train, Unavailable
from clearprop.bench.workloads import Data, Workload


class ScikitLearn:
    """scikit-learn's perceptron. A fit is of whole epochs, so a few steps are an epoch over a part of the samples.

    Args:
        threads: of the BLAS below it; None leaves them as they are.
    """

    name = "scikit-learn"

    def __init__(self, threads: int | None = None) -> None:
        self.threads = threads
        self.form = "" if threads is None else count_of(threads)

    def _estimator(self, workload: Workload, epochs: int) -> MLPClassifier | MLPRegressor:
        if isinstance(workload, ImageWorkload):
            raise Unavailable("scikit-learn has no convolution")
        if isinstance(workload, SequenceWorkload):
            raise Unavailable("scikit-learn has no layers of sequences")
        if workload.dropout:
            raise Unavailable("scikit-learn has no dropout")
        if workload.norm:
            raise Unavailable("scikit-learn has no batch normalisation")
        kind = MLPRegressor if workload.classes is None else MLPClassifier
        return kind(
            hidden_layer_sizes=workload.sizes[1:-1],
            activation=workload.activation,
            alpha=0.0,
            batch_size=workload.batch,
            learning_rate_init=workload.rate,
            max_iter=epochs,
            n_iter_no_change=epochs,
            tol=0.0,
            random_state=0,
        )

    def _fit(self, workload: Workload, data: Data, epochs: int) -> tuple[MLPClassifier | MLPRegressor, float]:
        estimator = self._estimator(workload, epochs)
        start = time.perf_counter()
        with warnings.catch_warnings(), threadpool_limits(self.threads, "blas"):
            warnings.simplefilter("ignore", ConvergenceWarning)
            estimator.fit(*data)
        return estimator, time.perf_counter() - start

    def prepare(self, workload: Workload, data: Data) -> Train:
        """Return what a fit of some epochs more takes longer than one of a single epoch."""
        self._estimator(workload, 1)

        def train(steps: int) -> float:
            rows = min(workload.rows, max(steps * workload.batch, workload.classes or 1))
            part = (data[0][:rows], data[1][:rows])
            steps_per_epoch = -(-rows // workload.batch)
            epochs = max(1, round(steps / steps_per_epoch))
            _, once = self._fit(workload, part, 1)
            _, longer = self._fit(workload, part, 1 + epochs)
            return max(longer - once, 0.0) / (epochs * steps_per_epoch)

        return train

    def predictor(self, workload: Workload, data: Data) -> Predict:
        """Return `predict_proba`, or `predict` of values."""
        rows = max(workload.batch, workload.classes or 1)
        estimator, _ = self._fit(workload, (data[0][:rows], data[1][:rows]), 1)
        predict: Predict = estimator.predict if workload.classes is None else estimator.predict_proba
        return predict
