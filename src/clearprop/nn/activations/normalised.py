"""Activations over the last axis: softmax and its kin."""

from __future__ import annotations

from dataclasses import dataclass

from clearprop import ops
from clearprop.nn.activations.activation import Activation
from clearprop.ops import Tensor


@dataclass(frozen=True)
class Softmax(Activation):
    """a_j = exp(z_j) / sum_k exp(z_k) over the last axis.

    For training a classifier leave it out: cross-entropy takes the logits z, in its safe form.
    """

    name: str | None = None

    def function(self, z: Tensor) -> Tensor:
        """Write softmax(z) over the last axis."""
        return ops.softmax(z, -1)


@dataclass(frozen=True)
class LogSoftmax(Activation):
    """a_j = z_j - log sum_k exp(z_k) over the last axis, for the loss "negative_log_likelihood"."""

    name: str | None = None

    def function(self, z: Tensor) -> Tensor:
        """Write log softmax(z) over the last axis."""
        return ops.log_softmax(z, -1)


@dataclass(frozen=True)
class Softmin(Activation):
    """a_j = exp(-z_j) / sum_k exp(-z_k) over the last axis: softmax(-z), the smallest number gets the most."""

    name: str | None = None

    def function(self, z: Tensor) -> Tensor:
        """Write softmax(-z) over the last axis."""
        return ops.softmax(-z, -1)
