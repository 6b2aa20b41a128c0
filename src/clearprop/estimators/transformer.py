"""The autoencoder as a transformer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted

from clearprop.errors import ShapeError
from clearprop.estimators.neural import Array, Neural, checked_weight
from clearprop.losses import Loss, SquaredError
from clearprop.model import Model
from clearprop.nn import Layer, Sequential
from clearprop.nn.layer import part
from clearprop.settings import field
from clearprop.train import PARAMETERS


@dataclass(eq=False, repr=False, kw_only=True)
class NeuralTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Neural):  # type: ignore[misc]
    """An autoencoder: a code of a few numbers, from which a network of the same hidden layers rebuilds the sample.

    The settings are those of `Neural` (the hidden layers are the encoder's; the decoder has them in reverse), and:

    Attributes:
        n_components: how many numbers the code has.
        model_: the fitted `Model`, from samples to samples.
        encoder_, decoder_: its two halves, models by themselves.
        history_: what the fit recorded, epoch by epoch.
        validation_scores_: one an epoch, where there is a validation set.
        n_iter_: the number of epochs.
    """

    n_components: int = field(PARAMETERS["width"], 2)

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, X_val: Any = None, sample_weight_val: Any = None
    ) -> NeuralTransformer:
        """Train on samples X (n, features); y is not used. A fit that raises leaves the estimator as it was before.

        Raises:
            SettingsError: a setting has a value that is not allowed, or does not fit the others.
            DivergedError: the loss became non-finite.
        """
        with self._fitting():
            train, held_out = self._parts(
                X, X, sample_weight, None if X_val is None else (X_val, X_val, sample_weight_val)
            )
            X = self._validated(train[0], reset=True)
            hidden, loss = self._hidden(), self._chosen_loss
            encoder = Sequential(*hidden, self._dense(self.n_components), name="encoder")
            decoder = Sequential(*reversed(hidden), self._dense(X.shape[1]), name="decoder")
            model = self._model([encoder, decoder], loss, X.dtype)
            scored = None
            if held_out is not None:
                rows = self._validated(held_out[0])
                scored = (rows, rows, held_out[2])
            self._train(model, (X, X, checked_weight(train[2], X)), scored, held_out)
            self._n_features_out = int(self.n_components)
            self._divide()
        return self

    def transform(self, X: Any) -> Array:
        """Return the code of each sample, (n, n_components)."""
        check_is_fitted(self)
        return self.encoder_.predict(self._validated(X))

    def inverse_transform(self, X: Any) -> Array:
        """Return the sample rebuilt from each code, (n, features)."""
        check_is_fitted(self)
        codes = check_array(X, dtype=self.decoder_.dtype)
        if codes.shape[1] != self._n_features_out:
            raise ShapeError(f"a code has {self._n_features_out} numbers, received {codes.shape[1]}")
        return self.decoder_.predict(codes)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return minus the mean loss of the rebuilt samples."""
        check_is_fitted(self)
        X = self._validated(X)
        return -self.model_.evaluate(X, X, sample_weight=sample_weight)["loss"]

    def _divide(self) -> None:
        """Make models of the two halves of the fitted model."""
        encoder, decoder = self.model_.network.layers
        self.encoder_ = self._half(encoder, self.n_features_in_, SquaredError())  # a code is the output as it is
        self.decoder_ = self._half(decoder, self._n_features_out, self.model_.loss)

    def _half(self, layers: Layer, inputs: int, loss: Loss) -> Model:
        """Return one half of the fitted model as a model of its own."""
        half = self._model([layers], loss, self.model_.dtype)
        half.init((inputs,))
        name = str(layers.name)
        half.set_parameters({f"{name}.{key}": array for key, array in part(self.model_.parameters, name).items()})
        return half
