"""Initialisers that look at the data: a new model's first fit hands them samples before the first step."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clearprop.errors import SettingsError
from clearprop.nn.initializers.initializer import Array, Initializer
from clearprop.nn.initializers.structured import Orthogonal
from clearprop.randomness import Key
from clearprop.settings import real


class DataDriven(Initializer):
    """An initialiser whose values are fitted to samples, layer by layer, in the order of the network.

    Calling it gives the values before any data is seen; `adapt` what becomes of them.
    """

    @abstractmethod
    def adapt(self, values: Array, z: Array, target: Array) -> Array:
        """Return new values of the parameter.

        Args:
            values: the parameter.
            z: what the layer gives for the samples with it, before the activation (n, ..., units).
            target: the samples' targets, as the loss takes them.
        """


@dataclass(frozen=True)
class LSUV(DataDriven):
    """Layer-sequential unit variance: orthogonal weights, divided by the deviation of z (Mishkin and Matas, 2016).

    Since z is linear in W, one division is exact where the biases start at 0.
    """

    gain: float = real(1.0, "(0, inf)")

    def __call__(self, key: Key, shape: Sequence[int], fan_in: int, fan_out: int) -> Array:
        """Return an orthogonal matrix."""
        return Orthogonal()(key, shape, fan_in, fan_out)

    def adapt(self, values: Array, z: Array, target: Array) -> Array:
        """Return values gain / std(z); as they are where z does not vary."""
        spread = float(np.std(z, dtype=np.float64))
        return values * (self.gain / spread) if spread > 0 else values


@dataclass(frozen=True)
class ClassPrior(DataDriven):
    """An output's bias from how frequent each class is, so that training starts from the prior (Lin et al., 2017).

    For class indices, or probabilities (n, k) of k > 1 classes that add up to 1, b_k = log p_k with
    p_k = (count_k + 1) / (n + classes); for questions with the answers 0 and 1, b_k = log(p_k / (1 - p_k)) with
    p_k = (count_k + 1) / (n + 2).
    """

    def __call__(self, key: Key, shape: Sequence[int], fan_in: int, fan_out: int) -> Array:
        """Return zeros."""
        return np.zeros(shape)

    def adapt(self, values: Array, z: Array, target: Array) -> Array:
        """Return the log prior, or the log odds, of each output."""
        (units,) = values.shape
        if target.dtype.kind in "iu":
            counts = np.bincount(target.ravel(), minlength=units)
            if len(counts) != units:
                raise SettingsError(f"ClassPrior: {units} outputs stand for classes, received {len(counts)} classes")
            return np.asarray(np.log((counts + 1.0) / (target.size + units)))
        rows = target.reshape(-1, target.shape[-1]).astype(np.float64)
        if rows.shape[1] != units:
            raise SettingsError(f"ClassPrior: {units} outputs need as many targets, received {rows.shape[1]}")
        if units > 1 and np.allclose(rows.sum(axis=1), 1.0, atol=1e-3):
            return np.asarray(np.log((rows.sum(axis=0) + 1.0) / (len(rows) + units)))
        p = (rows.sum(axis=0) + 1.0) / (len(rows) + 2.0)
        return np.asarray(np.log(p) - np.log1p(-p))


@dataclass(frozen=True)
class TargetMean(DataDriven):
    """An output's bias at the mean of the target, for a regression whose target was not standardised.

    For losses that compare each output with a target as it is, such as the squared error. The outputs of `Poisson`,
    `GaussianLikelihood` and `Quantile` are logarithms, variances and differences: give those `Fill(value)`.
    """

    def __call__(self, key: Key, shape: Sequence[int], fan_in: int, fan_out: int) -> Array:
        """Return zeros."""
        return np.zeros(shape)

    def adapt(self, values: Array, z: Array, target: Array) -> Array:
        """Return the mean of each target."""
        rows = target.reshape(len(target), -1).astype(np.float64)
        if rows.shape[1:] != values.shape:
            raise SettingsError(f"TargetMean: {values.size} outputs need as many targets, received {rows.shape[1]}")
        return np.asarray(rows.mean(axis=0))
