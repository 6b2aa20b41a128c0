"""A fit of a perceptron by batches at work: scikit-learn's order, optimiser and sums around a stepper."""

from __future__ import annotations

import warnings
from types import TracebackType
from typing import Any

import numpy as np
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer

from clearprop.estimators.programs import Perceptron

Array = np.ndarray[Any, Any]

STRETCH_STEPS = 1024
"""The most steps that run without Python in between: Ctrl-C waits for no more."""


def as_data(X: Any, y: Any, weight: Any, dtype: str) -> dict[str, Array]:
    """Return the data that a step takes, by name."""
    data = {"x": X, "y": y} if weight is None else {"x": X, "y": y, "weight": weight}
    return {name: np.asarray(array, dtype, order="C") for name, array in data.items()}


class Work:
    """Steps on an estimator's parameters; on leaving they are the estimator's again, whatever happened.

    Args:
        net: the network.
        estimator: a perceptron of scikit-learn's, with its parameters and optimiser.
        X, y, weight: the samples to train on.

    Attributes:
        order: the rows, as the epoch at work takes them.
    """

    def __init__(self, net: Perceptron, estimator: Any, X: Array, y: Array, weight: Array | None) -> None:
        self._estimator, self._optimizer = estimator, estimator._optimizer
        self._parameters = dict(zip(net.names, estimator.coefs_ + estimator.intercepts_, strict=True))
        self._weight = weight
        self.order = np.arange(len(X))
        self._batch_size = _batch_size(estimator.batch_size, len(X))
        inputs = as_data(X, y, weight, net.dtype) | {"alpha": np.asarray(estimator.alpha, np.float64)}
        inputs |= {name: np.asarray(array, net.dtype) for name, array in (self._parameters | self._slots()).items()}
        inputs |= {name: np.asarray(value, np.float64) for name, value in self._hyper().items()}
        self._stepper = net.step(weight is not None, self._update).start(inputs, self._batch_size)

    def __enter__(self) -> Work:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.show()
        self._keep_slots()

    def show(self) -> None:
        """Copy the parameters as they are to the estimator's."""
        for name, array in self._parameters.items():
            np.copyto(array, self._stepper.state[name])

    def epoch(self) -> float:
        """Train on every sample once, and return the mean loss."""
        if self._estimator.shuffle:
            moves = np.arange(len(self.order))
            self._estimator._random_state.shuffle(moves)  # as sklearn.utils.shuffle does, at a seventh of its cost
            self.order = self.order[moves]
        self._check_weights()
        total, batches = 0.0, -(-len(self.order) // self._batch_size)
        for first in range(0, batches, STRETCH_STEPS):
            count = min(STRETCH_STEPS, batches - first)
            varying = {"learning_rate": self._rates(count)}
            (total,) = self._stepper.run(first, count, varying, total, self.order).losses
        return total / len(self.order)

    @property
    def _adam(self) -> bool:
        return isinstance(self._optimizer, AdamOptimizer)

    @property
    def _update(self) -> str:
        return "adam" if self._adam else "nesterov" if self._optimizer.nesterov else "momentum"

    def _hyper(self) -> dict[str, float]:
        optimizer = self._optimizer
        if self._adam:
            own = {"beta1": optimizer.beta_1, "beta2": optimizer.beta_2, "epsilon": optimizer.epsilon}
        else:
            own = {"momentum": optimizer.momentum}
        return own | {"learning_rate": optimizer.learning_rate}

    def _rates(self, steps: int) -> Array:
        """Return the learning rates of the next steps, and count them as scikit-learn's optimiser does."""
        optimizer = self._optimizer
        if not self._adam:
            return np.full(steps, optimizer.learning_rate)
        t = np.arange(optimizer.t + 1, optimizer.t + steps + 1)
        rates = optimizer.learning_rate_init * np.sqrt(1 - optimizer.beta_2**t) / (1 - optimizer.beta_1**t)
        optimizer.t += steps
        optimizer.learning_rate = rates[-1]
        return np.asarray(rates, np.float64)

    def _slots(self) -> dict[str, Array]:
        """Return the optimiser's slots by the names that the step has for them."""
        optimizer = self._optimizer
        kinds = {"m": optimizer.ms, "v": optimizer.vs} if self._adam else {"velocity": optimizer.velocities}
        return {
            f"{name}.{slot}": array
            for slot, arrays in kinds.items()
            for name, array in zip(self._parameters, arrays, strict=True)
        }

    def _keep_slots(self) -> None:
        for slot, attribute in (("m", "ms"), ("v", "vs")) if self._adam else (("velocity", "velocities"),):
            own = [self._stepper.state[f"{name}.{slot}"].copy() for name in self._parameters]
            setattr(self._optimizer, attribute, own)

    def _check_weights(self) -> None:
        """Refuse a batch of samples that do not count, as numpy.average does for scikit-learn."""
        if self._weight is not None:
            starts = np.arange(0, len(self.order), self._batch_size)
            if not np.add.reduceat(self._weight[self.order], starts).all():
                raise ZeroDivisionError("Weights sum to zero, can't be normalized")


def _batch_size(asked: Any, samples: int) -> int:
    if asked == "auto":
        return min(200, samples)
    if asked > samples:
        warnings.warn(
            "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=2
        )
    return int(np.clip(asked, 1, samples))
