"""What the estimators over any network share: their settings, and a fit of a `Model` with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from operator import index
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.metrics import check_scoring
from sklearn.model_selection import train_test_split
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.validation import _check_sample_weight, validate_data

from clearprop.compile import DEFAULT_BACKEND
from clearprop.display import progress
from clearprop.errors import DataError, SettingsError
from clearprop.estimators.watch import Watch
from clearprop.losses import Loss
from clearprop.losses import loss as loss_of
from clearprop.model import Model
from clearprop.model.fitting import make_training
from clearprop.nn import L2, Dense, Dropout, Layer
from clearprop.ops import Tensor
from clearprop.optim import Optimizer, Schedule, WholeBatch
from clearprop.optim import optimizer as optimizer_of
from clearprop.settings import Allowed, check_settings, field, flag
from clearprop.train import PARAMETERS, FitSettings, Listener

Array = np.ndarray[Any, Any]
_LAYERS = replace(
    PARAMETERS["layers"],
    words=f"{PARAMETERS['layers'].words} (for hidden layers of several widths, or of other kinds, give "
    "network=[Dense(32, 'relu'), Dense(16, 'relu')])",
)
_NETWORK = Allowed(
    "is a layer, or several one after another, or None",
    lambda value: value is None or isinstance(value, Layer) or (_is_list(value) and bool(len(value))),
    (3, (), "relu"),
)
_CALLBACKS = Allowed(
    "are functions", lambda value: _is_list(value) and all(map(callable, value)), (3, "print", [3], print)
)
Part = tuple[Any, Any, Any]
"""X, y and a weight for each sample, or None."""


@dataclass(eq=False, repr=False, kw_only=True)
class Neural(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """The settings of every neural estimator, and how it is fitted.

    Attributes:
        layers, width: how many hidden layers there are, and how many units each has.
        activation: of the hidden layers: a name, a layer without parameters, or a function of a tensor.
        penalty: the factor of the L2 penalty on the weights of the layers that are made here.
        dropout: the rate of the dropout after each hidden layer; 0 leaves it out.
        network: the hidden layers, in place of the five settings above: a layer, or several one after another.
        loss: a loss or its name; "auto" is the estimator's own.
        optimizer: an optimiser or its name.
        learning_rate: the optimiser's, in place of its default; of groups it is that of all other parameters.
        schedule: what the learning rate is multiplied by: a schedule or its name.
        epochs: passes over the samples.
        batch_size: samples a step; "auto" is 200, or all if there are fewer.
        validation_fraction: the part of the samples that is held out for validation, if `fit` is not given any.
        scoring: how the validation set is scored each epoch: a scorer, its name, or None for minus the loss.
        patience: end after so many epochs without a better score, with the best epoch's weights; None never does.
        callbacks: functions that are called with each event of the training (see `clearprop.train`).
        dtype: "float32", "float64", or "auto": the input's, where it is one of these, and else float64.
        random_state: of the first weights, the held out part, the order of the samples, and dropout.
        backend: what runs the programs.
        verbose: whether progress is shown.
    """

    _usual_loss: ClassVar[str] = "squared_error"
    layers: int = field(_LAYERS, 1)
    width: int = field(PARAMETERS["width"], 100)
    activation: Any = "relu"
    penalty: float = field(PARAMETERS["penalty"], 1e-4)
    dropout: float = field(PARAMETERS["dropout"], 0.0)
    network: Layer | Sequence[Layer] | None = field(_NETWORK, None)  # noqa: RUF009 - a dataclass field
    loss: str | Loss | Callable[[Tensor, Tensor], Tensor] = "auto"
    optimizer: str | Optimizer | WholeBatch = "adam"
    learning_rate: float | None = field(PARAMETERS["learning_rate"].or_else(None), None)
    schedule: str | Schedule | Callable[[int], float] = "constant"
    epochs: int = field(PARAMETERS["epochs"], 200)
    batch_size: int | str = field(PARAMETERS["batch_size"].or_else("auto"), "auto")
    validation_fraction: float = field(PARAMETERS["validation_fraction"], 0.0)
    scoring: str | Callable[..., float] | None = None
    patience: int | None = field(PARAMETERS["patience"].or_else(None), None)
    callbacks: Sequence[Listener] = field(_CALLBACKS, ())
    dtype: str = field(PARAMETERS["dtype"].or_else("auto"), "auto")
    random_state: int | np.random.RandomState | None = None
    backend: str = DEFAULT_BACKEND
    verbose: bool = flag(False)

    @property
    def _chosen_loss(self) -> Loss:
        return loss_of(self._usual_loss if isinstance(self.loss, str) and self.loss == "auto" else self.loss)

    def _hidden(self) -> tuple[Layer, ...]:
        """Return the hidden layers."""
        if self.network is not None:
            return (self.network,) if isinstance(self.network, Layer) else tuple(self.network)
        layers: list[Layer] = []
        for _ in range(index(self.layers)):
            layers.append(self._dense(self.width, self.activation))
            if self.dropout:
                layers.append(Dropout(self.dropout))
        return tuple(layers)

    def _dense(self, units: int, activation: Any = None) -> Dense:
        return Dense(index(units), activation, penalty=L2(self.penalty) if self.penalty else ())

    def _optimizer(self) -> Optimizer | WholeBatch:
        chosen = optimizer_of(self.optimizer)
        if self.learning_rate is None:
            return chosen
        if isinstance(chosen, WholeBatch):
            raise SettingsError(f"{type(chosen).__name__} finds its own steps: leave out learning_rate")
        return chosen.with_learning_rate(self.learning_rate)

    def _dtypes(self) -> Any:
        """Return the dtype that X is brought to, or those it may have."""
        return (np.float64, np.float32) if self.dtype == "auto" else np.dtype(self.dtype)

    def _validated(self, X: Any, y: Any = "no_validation", reset: bool = False, **checks: Any) -> Any:
        return validate_data(self, X, y, dtype=self._dtypes(), reset=reset, **checks)

    def _parts(self, X: Any, y: Any, weight: Any, given: Part | None) -> tuple[Part, Part | None]:
        """Return what to train on, and what to score: what is given, a part that is held out, or nothing."""
        if given is not None:
            return (X, y, weight), given
        if not self.validation_fraction:
            if self.patience is not None:
                raise SettingsError("patience watches a validation set: give validation_fraction, or one to fit")
            return (X, y, weight), None
        random_state = check_random_state(self._seed)
        arrays = (X, y) if weight is None else (X, y, np.asarray(weight))
        check_consistent_length(*arrays)
        settings = {"random_state": random_state, "stratify": self._strata(y)}
        try:
            parts = train_test_split(*arrays, test_size=self.validation_fraction, **settings)
        except ValueError as error:
            raise DataError(
                f"validation_fraction={self.validation_fraction} of these samples cannot be held out: "
                f"{str(error).rstrip('.')}. Give another fraction, or a validation set as X_val and y_val"
            ) from error
        train, held_out = parts[::2], parts[1::2]
        none = () if weight is not None else (None,)
        return (*train, *none), (*held_out, *none)

    def _strata(self, y: Any) -> Any:
        return None

    def _train(self, model: Model, train: Part, held_out: Part | None, score_with: Part | None) -> Self:
        """Fit a model to encoded samples, and keep it with what the fit recorded.

        Args:
            model: the model, not yet fitted.
            train, held_out: encoded samples.
            score_with: the validation part as it was given, for the scorer.
        """
        samples = model.samples(*train)
        batch_size = min(200, len(samples)) if self.batch_size == "auto" else index(self.batch_size)  # type: ignore[arg-type]
        settings = FitSettings(epochs=index(self.epochs), batch_size=batch_size, seed=model.seed)
        validation = None if held_out is None else model.samples(*held_out)
        training = make_training(model, samples, validation, settings, None, False)
        watch = None if score_with is None else self._watch(model, lambda: training.evaluated, score_with)
        shown = progress("auto" if self.verbose else "quiet")
        training.listeners += [listener for listener in (watch, shown, *self.callbacks) if listener is not None]
        self.model_ = model  # scorers predict with it while it is trained
        try:
            self.history_ = training.run()
        finally:
            if shown is not None:
                shown.close()
        if watch is not None and watch.error is not None:
            raise watch.error
        best = watch.parameters if watch is not None else {}
        model.parameters = best or training.result
        self.validation_scores_ = None if watch is None else watch.scores
        self.n_iter_ = len(self.history_)
        return self

    def _watch(self, model: Model, parameters: Callable[[], dict[str, Array]], part: Part) -> Watch:
        X, y, weight = part
        scorer = None if self.scoring is None else check_scoring(self, self.scoring)

        def score(event: Any) -> float:
            if scorer is None:
                return -float(event.record["val_loss"])
            model.parameters = parameters()
            return float(scorer(self, X, y) if weight is None else scorer(self, X, y, sample_weight=weight))

        return Watch(score, parameters, self.patience)

    def _model(self, layers: Sequence[Layer], loss: Loss, dtype: Any) -> Model:
        """Return a model of these layers with this estimator's settings."""
        settings = {"schedule": self.schedule, "dtype": str(dtype), "seed": self._seed, "backend": self.backend}
        return Model(layers, loss, self._optimizer(), **settings)  # type: ignore[arg-type]

    @contextmanager
    def _fitting(self) -> Iterator[None]:
        """Check the settings and draw the seed of everything random in the fit; one that raises leaves no trace.

        Raises:
            SettingsError: a setting has a value that is not allowed.
        """
        before = dict(self.__dict__)
        try:
            check_settings(self)
            if self.scoring is not None:  # also where nothing is held out to be scored
                check_scoring(self, self.scoring)
            self._seed = int(check_random_state(self.random_state).randint(2**31 - 1))
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def checked_weight(weight: Any, X: Array) -> Any:
    """Return weights as scikit-learn checks them."""
    return None if weight is None else _check_sample_weight(weight, X, dtype=X.dtype, ensure_non_negative=True)
