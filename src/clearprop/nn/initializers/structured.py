"""Initialisers of matrices with a structure: orthogonal and sparse."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clearprop.errors import ShapeError
from clearprop.nn.initializers.initializer import Array, Initializer
from clearprop.randomness import Key
from clearprop.settings import real


@dataclass(frozen=True)
class Orthogonal(Initializer):
    """gain times a matrix whose columns are orthonormal, or its rows where they are fewer (Saxe et al., 2014).

    Uniform over such matrices: the Q of a normal matrix, with the signs of R's diagonal (Mezzadri, 2007). More than two
    dimensions are read as (all but the last, last).
    """

    gain: float = real(1.0, "(0, inf)")

    def __call__(self, key: Key, shape: Sequence[int], fan_in: int, fan_out: int) -> Array:
        """Return gain times a random orthogonal matrix."""
        if len(shape) < 2:
            raise ShapeError(f"Orthogonal makes matrices, received the shape {tuple(shape)}")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(key.generator().standard_normal((max(rows, columns), min(rows, columns))))
        q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
        return self.gain * (q if rows >= columns else q.T).reshape(shape)


@dataclass(frozen=True)
class Sparse(Initializer):
    """Normal, with the part `sparsity` of each unit's incoming weights set to 0 (Martens, 2010).

    Of each column of W (inputs, units), ceil(sparsity inputs) weights are 0.
    """

    sparsity: float = real(0.9, "[0, 1]")
    std: float = real(0.05, "(0, inf)")

    def __call__(self, key: Key, shape: Sequence[int], fan_in: int, fan_out: int) -> Array:
        """Return draws from N(0, std^2) and zeros."""
        if len(shape) != 2:
            raise ShapeError(f"Sparse makes matrices, received the shape {tuple(shape)}")
        generator = key.generator()
        values = generator.normal(0.0, self.std, shape)
        zeros = math.ceil(self.sparsity * shape[0])
        order = np.argsort(generator.random(shape), axis=0)
        np.put_along_axis(values, order[:zeros], 0.0, axis=0)
        return values
