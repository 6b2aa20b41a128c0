"""Images scaled, centred or whitened with statistics of the training part."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from clearprop.data.column_encoder import ColumnReport
from clearprop.data.columns import Array
from clearprop.data.dataset import Features
from clearprop.data.image_settings import ImageForm
from clearprop.data.pixels import PIXEL, notes_on_pixels
from clearprop.data.saved_state import SavedState
from clearprop.data.storage import blocks, empty, is_mapped
from clearprop.data.table import Table
from clearprop.errors import DataError, FileFormatError, SettingsError

SCALINGS = ("pixels", "whole", "channel", "pixel", "pca", "zca")
MOST_WHITENED = 1 << 12
"""The most numbers an image may have to be whitened: the matrix holds the square of that."""

_LEAST = 1e-9
"""A deviation this much smaller than the mean is what rounding makes of none."""
_WHITENING = ("pca", "zca")
_AXES_OF_ONE = {"whole": 3, "channel": 2, "pixel": 0}
"""How many of the axes (height, width, channels) share their statistics."""


@dataclass(frozen=True)
class ImageFeatures:
    """Images (n, height, width, channels), or grey ones (n, height, width), as numbers for a network.

    If they are bytes in training, all are divided by 255; then

    * pixels: nothing more;
    * whole, channel, pixel: (x - mean) / scale with the mean and the standard deviation over the training part: one of
      each in all, one a channel, or one for every number of an image (where nothing varies, the scale is 1);
    * zca: U diag(l + epsilon)^(-1/2) U^T (x - mean), U and l being the eigenvectors and eigenvalues of the covariance
      of whole images, and the mean is that of every pixel: what comes out is uncorrelated, and looks like the image
      (Bell and Sejnowski, 1997; Krizhevsky, 2009);
    * pca: diag(l + epsilon)^(-1/2) U^T (x - mean), a vector, its components from the largest l to the least.

    Attributes:
        scaling: one of these.
        sample_shape: the shape of one raw image.
        unit: what raw numbers are divided by: 255 if they were bytes in training, else 1.
        epsilon: added to the eigenvalues, so that directions in which training did not vary are not blown up.
        arrays: mean, scale, or for whitening mean and matrix, by name.
        source: how files become such images, if they came from files.
    """

    scaling: str
    sample_shape: tuple[int, ...]
    unit: float
    epsilon: float = 0.0
    arrays: dict[str, Array] = field(default_factory=dict)
    source: ImageForm | None = None
    form: ClassVar[str] = "image"

    @classmethod
    def fit(
        cls, images: Features, scaling: str, epsilon: float = 0.01, source: ImageForm | None = None
    ) -> ImageFeatures:
        """Return the scaling of a training part.

        Args:
            images: uint8, or other finite numbers, which are taken as they are; of rank 3 or 4.
            scaling: one of `SCALINGS`.
            epsilon: for whitening, on the scale of pixels from 0 to 1.
            source: how files became these images.

        Raises:
            DataError: these are no images, or not finite, or all alike.
            SettingsError: the scaling is unknown, epsilon not above 0, or the images are too large to be whitened.
        """
        array = _checked(images)
        shape = array.shape[1:]
        if scaling not in SCALINGS:
            raise SettingsError(f"scaling is {scaling!r}: expected one of {', '.join(SCALINGS)}")
        unit = PIXEL if array.dtype == np.uint8 else 1.0
        if scaling == "pixels":
            return cls(scaling, shape, unit, source=source)
        if scaling in _WHITENING:
            return cls(scaling, shape, unit, epsilon, _whitening(array, unit, scaling, epsilon), source)
        return cls(scaling, shape, unit, arrays=_moments(array, unit, _kept(shape, scaling)), source=source)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one encoded sample."""
        return (int(np.prod(self.sample_shape)),) if self.scaling == "pca" else self.sample_shape

    def encode(self, features: Features, dtype: str) -> tuple[Array, tuple[str, ...]]:
        """Return the encoded images (n, *shape), in a file where the raw ones are, and notes on what was unusual."""
        array = _checked(features)
        if array.shape[1:] != self.sample_shape:
            raise DataError(f"images of shape {array.shape[1:]}: expected {self.sample_shape}, as in training")
        encoded = empty((len(array), *self.shape), dtype, mapped=is_mapped(array))
        for rows in blocks(encoded):
            encoded[rows] = self._encoded(array[rows], dtype)
        return encoded, () if self.unit == 1 else notes_on_pixels(array)

    def _encoded(self, images: Array, dtype: str) -> Array:
        if self.scaling == "pixels":
            return _scaled(images, self.unit, dtype)
        if self.scaling in _WHITENING:
            centred = _scaled(images, self.unit, "float64").reshape(len(images), -1) - self.arrays["mean"]
            return np.asarray(centred @ self.arrays["matrix"]).reshape(len(images), *self.shape)
        return np.asarray((_scaled(images, self.unit, "float64") - self.arrays["mean"]) / self.arrays["scale"])

    def reports(self) -> list[ColumnReport]:
        """Return one report on the images."""
        words = {
            "pixels": "",
            "whole": ", standardised with one mean and one scale",
            "channel": ", each channel standardised",
            "pixel": ", each pixel standardised",
            "pca": f", PCA whitening, epsilon {self.epsilon:g}",
            "zca": f", ZCA whitening, epsilon {self.epsilon:g}",
        }
        start = "x" if self.unit == 1 else f"x / {self.unit:g}"
        width = int(np.prod(self.shape, dtype=np.int64))
        return [ColumnReport(f"images {self.sample_shape}", "array", start + words[self.scaling], 0, 0, width)]

    def notes(self) -> tuple[str, ...]:
        """Return nothing: images leave nothing to be told."""
        return ()

    def to_dict(self) -> dict[str, Any]:
        """Return the scaling as JSON, without the arrays."""
        source = None if self.source is None else self.source.to_dict()
        return {
            "form": self.form,
            "scaling": self.scaling,
            "sample_shape": list(self.sample_shape),
            "unit": self.unit,
            "epsilon": self.epsilon,
            "source": source,
        }

    @classmethod
    def from_dict(cls, content: object, arrays: dict[str, Array]) -> ImageFeatures:
        """Read what `to_dict` gave, and the arrays; raises FileFormatError."""
        names = ("form", "scaling", "sample_shape", "unit", "epsilon", "source")
        state = SavedState(content, "the images' encoding", names)
        source = state.raw("source")
        encoder = cls(
            state.choice("scaling", SCALINGS),
            state.counts("sample_shape"),
            state.positive("unit"),
            state.number("epsilon"),
            arrays,
            None if source is None else ImageForm.from_dict(source),
        )
        state.require(len(encoder.sample_shape) in (2, 3), "images of rank 2 or 3")
        encoder._check_arrays()
        return encoder

    def _check_arrays(self) -> None:
        size = int(np.prod(self.sample_shape))
        wanted: dict[str, tuple[int, ...]] = {}
        if self.scaling in _WHITENING:
            wanted = {"mean": (size,), "matrix": (size, size)}
        elif self.scaling != "pixels":
            shape = _kept(self.sample_shape, self.scaling)
            wanted = {"mean": shape, "scale": shape}
        found = {name: array.shape for name, array in self.arrays.items()}
        finite = all(array.dtype == np.float64 and np.isfinite(array).all() for array in self.arrays.values())
        if found != wanted or not finite:
            raise FileFormatError(f"the images' encoding has arrays {found}, expected {wanted}; the file is damaged")


def _checked(features: Features) -> Array:
    if isinstance(features, Table) or features.ndim not in (3, 4) or features.dtype.kind not in "biuf":
        what = "a table" if isinstance(features, Table) else f"{features.dtype} of shape {features.shape}"
        raise DataError(f"received {what}: expected images (n, height, width) or (n, height, width, channels)")
    if features.dtype.kind == "f" and not all(np.isfinite(features[rows]).all() for rows in blocks(features)):
        raise DataError("the images hold numbers that are not finite: correct or leave them out")
    return features


def _kept(shape: tuple[int, ...], scaling: str) -> tuple[int, ...]:
    return shape[_AXES_OF_ONE[scaling] :]


def _scaled(images: Array, unit: float, dtype: str) -> Array:
    return np.asarray(np.divide(images, unit, dtype=dtype, casting="unsafe"))


def _moments(array: Array, unit: float, shape: tuple[int, ...]) -> dict[str, Array]:
    """Mean and standard deviation over all axes but the last ones, which `shape` has; in two passes, in float64."""
    axes = tuple(range(array.ndim - len(shape)))
    count = array.size // max(int(np.prod(shape, dtype=np.int64)), 1)
    mean = (
        sum((_scaled(array[rows], unit, "float64").sum(axis=axes) for rows in blocks(array)), np.zeros(shape)) / count
    )
    squares = (np.square(_scaled(array[rows], unit, "float64") - mean).sum(axis=axes) for rows in blocks(array))
    scale = np.sqrt(sum(squares, np.zeros(shape)) / count)
    varies = scale > _LEAST * np.abs(mean)
    if not varies.any():
        raise DataError("all images are alike: there is nothing to learn from")
    return {"mean": np.asarray(mean), "scale": np.where(varies, scale, 1.0)}


def _whitening(array: Array, unit: float, scaling: str, epsilon: float) -> dict[str, Array]:
    size = int(np.prod(array.shape[1:]))
    if not (isinstance(epsilon, float | int) and 0 < epsilon < np.inf):
        raise SettingsError(f"epsilon is a finite number above 0, received {epsilon!r}")
    if size > MOST_WHITENED:
        raise SettingsError(
            f"images of {size} numbers are too large to be whitened (at most {MOST_WHITENED}): choose a smaller size"
        )
    mean = _moments(array, unit, array.shape[1:])["mean"].reshape(-1)
    covariance = np.zeros((size, size))
    for rows in blocks(array):
        centred = _scaled(array[rows], unit, "float64").reshape(-1, size) - mean
        covariance += centred.T @ centred
    values, vectors = np.linalg.eigh(covariance / len(array))
    scaled = vectors / np.sqrt(np.maximum(values, 0.0) + epsilon)
    matrix = scaled[:, ::-1] if scaling == "pca" else scaled @ vectors.T
    return {"mean": mean, "matrix": np.ascontiguousarray(matrix)}
