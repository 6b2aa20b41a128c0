"""Layers that change the colours of images at random, in training only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from clearprop import ops
from clearprop.errors import SettingsError, ShapeError
from clearprop.nn.augmentation import Augmentation, Cutout, RandomAffine, RandomCrop, RandomFlip, RandomShift
from clearprop.nn.context import hyper, random_normal, random_uniform
from clearprop.ops import Tensor
from clearprop.settings import Allowed, check_settings, field, real

_LUMA = (0.299, 0.587, 0.114)
"""The weights of red, green and blue in grey: ITU-R BT.601."""


@dataclass(frozen=True)
class ColorJitter(Augmentation):
    """In training, changes brightness, contrast and saturation of each image, in this order.

    With a factor f uniform in [1 - amount, 1 + amount) of its own for each of the three (Howard, 2013):

    * brightness: x becomes f x;
    * contrast: m + f (x - m) with the mean m of the image's grey values;
    * saturation: g + f (x - g) with the grey value g = 0.299 red + 0.587 green + 0.114 blue of the pixel.

    Images of another number of channels than three have the mean of their channels as grey value. What leaves the range
    of pixels is not cut off. For pixels from 0 to 1 brightness 0 is black; for standardised ones it is the mean.
    """

    brightness: float = real(0.2, "[0, 1]")
    contrast: float = real(0.2, "[0, 1]")
    saturation: float = real(0.2, "[0, 1]")
    name: str | None = None

    def disturbed(self, x: Tensor) -> Tensor:
        """Return the images with other brightness, contrast and saturation."""
        if self.brightness:
            x = x * self._factor(x, "brightness")
        if self.contrast:
            mean = ops.mean(_grey(x), (1, 2, 3), keepdims=True)
            x = mean + self._factor(x, "contrast") * (x - mean)
        if self.saturation and x.shape[3] != 1:
            grey = _grey(x)
            x = grey + self._factor(x, "saturation") * (x - grey)
        return x

    def _factor(self, x: Tensor, setting: str) -> Tensor:
        amount = ops.astype(hyper(setting, getattr(self, setting)), x.dtype)
        draw = ops.astype(2.0 * random_uniform((x.shape[0], 1, 1, 1)) - 1.0, x.dtype)
        return ops.name(1.0 + amount * draw, f"{setting}_factor")


def _grey(x: Tensor) -> Tensor:
    """Grey values (n, height, width, 1)."""
    if x.shape[3] != 3:
        return ops.mean(x, 3, keepdims=True)
    return ops.sum(x * ops.constant(np.asarray(_LUMA), x.dtype), 3, keepdims=True)


def _is_matrix(value: Any) -> bool:
    rows = isinstance(value, tuple) and len(value) > 0 and all(isinstance(row, tuple) for row in value)
    return rows and all(len(row) == len(value) and all(map(_is_finite, row)) for row in value)


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


_MATRIX = Allowed("is a square tuple of rows of finite numbers", _is_matrix, (1, (), ((1.0, 2.0),), None))
_SIZES = Allowed(
    "is a tuple of numbers of at least 0",
    lambda value: isinstance(value, tuple) and all(_is_finite(item) and item >= 0 for item in value),
    (1, (-1.0,), ("1",), None),
)
_RGB = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
_RGB_EIGENVALUES = (0.2175, 0.0188, 0.0045)


@dataclass(frozen=True)
class FancyPCA(Augmentation):
    """In training, shifts the colour of each image along the principal components of the colours of the data.

    x + P (a * l) at every pixel: P holds the eigenvectors of the covariance of the pixels' colours, l its eigenvalues,
    and a one normal number of deviation `std` for each component and image (Krizhevsky et al., 2012).

    Attributes:
        components: P by rows, a row a channel, a column a component.
        eigenvalues: l, one a component. `FancyPCA.of(images)` has both from images; the default is that of ImageNet's
            pixels from 0 to 1.
        std: the standard deviation of a.
    """

    components: tuple[tuple[float, ...], ...] = field(_MATRIX, _RGB)
    eigenvalues: tuple[float, ...] = field(_SIZES, _RGB_EIGENVALUES)
    std: float = real(0.1, "[0, inf)")
    name: str | None = None

    def __post_init__(self) -> None:
        # a model file holds lists
        object.__setattr__(self, "components", _tuples(self.components))
        object.__setattr__(self, "eigenvalues", _tuples(self.eigenvalues))
        check_settings(self)
        if len(self.eigenvalues) != len(self.components):
            raise SettingsError(
                f"FancyPCA: eigenvalues holds a number for each of the {len(self.components)} components, "
                f"received {self.eigenvalues!r}"
            )

    @classmethod
    def of(cls, images: Any, std: float = 0.1) -> FancyPCA:
        """Return the layer for the colours of images (n, height, width, channels), as they come to it.

        Raises:
            ShapeError: these are no images with channels.
        """
        array = np.asarray(images)
        if array.ndim != 4 or not array.size:
            raise ShapeError(f"FancyPCA.of takes images (n, height, width, channels), received shape {array.shape}")
        covariance = np.cov(array.reshape(-1, array.shape[3]).astype(np.float64), rowvar=False, bias=True)
        values, vectors = np.linalg.eigh(np.atleast_2d(covariance))  # from the least to the largest
        return cls(_tuples(vectors[:, ::-1].tolist()), _tuples(np.maximum(values[::-1], 0.0).tolist()), std)

    def disturbed(self, x: Tensor) -> Tensor:
        """Return the images, each with its colours shifted."""
        count = len(self.components)
        if x.shape[3] != count:
            raise ShapeError(f"FancyPCA has components of {count} channels, and the images have {x.shape[3]}")
        std = ops.astype(hyper("std", self.std), x.dtype)
        amounts = ops.name(std * ops.astype(random_normal((x.shape[0], count)), x.dtype), "amounts")
        scaled = ops.constant(np.asarray(self.components) * np.asarray(self.eigenvalues), x.dtype)
        shift = ops.matmul(amounts, ops.permute_dims(scaled))
        return x + ops.reshape(shift, (x.shape[0], 1, 1, count))


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value


AUGMENTATIONS: dict[str, type[Augmentation]] = {
    "flip": RandomFlip,
    "shift": RandomShift,
    "crop": RandomCrop,
    "affine": RandomAffine,
    "color": ColorJitter,
    "fancy_pca": FancyPCA,
    "cutout": Cutout,
}
"""The layers that change images at random in training, by name."""
