"""Layers that move the pixels of images at random, in training only: flips, shifts, crops, affine maps, cutout.

They stand first in a network. Every sample has draws of its own, new at each step: a pure function of the seed, the
step and the sample's place in the batch. They are part of the compiled step, whose threads share their work.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

from clearprop import ops
from clearprop.errors import ShapeError
from clearprop.nn.context import hyper, is_training, random_uniform
from clearprop.nn.layer import Tensors
from clearprop.nn.noise import Noise
from clearprop.ops import Tensor
from clearprop.settings import flag, real, whole


class Augmentation(Noise):
    """A layer that changes images at random in training, and passes them on otherwise.

    It takes images (n, height, width, channels), or grey ones (n, height, width), and gives the same rank.
    """

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return the images, in training the changed ones."""
        if x.rank not in (3, 4):
            raise ShapeError(f"{type(self).__name__} takes images (n, height, width) or (n, height, width, channels)")
        images = x if x.rank == 4 else ops.reshape(x, (*x.shape, 1))
        result = self.disturbed(images) if is_training() else self.undisturbed(images)
        return ops.label(result, "a") if x.rank == 4 else ops.label(ops.reshape(result, result.shape[:3]), "a")

    def undisturbed(self, x: Tensor) -> Tensor:
        """Return images (n, height, width, channels) as inference sees them."""
        return x

    @abstractmethod
    def disturbed(self, x: Tensor) -> Tensor:
        """Return images (n, height, width, channels) changed at random."""


@dataclass(frozen=True)
class RandomFlip(Augmentation):
    """In training, mirrors each image left to right, and top to bottom where asked, each with probability 1/2."""

    horizontal: bool = flag(True)
    vertical: bool = flag(False)
    name: str | None = None

    def disturbed(self, x: Tensor) -> Tensor:
        """Return each image, or its mirror image."""
        rows = self._mirrored(x, 1, self.vertical, "upside_down")
        columns = self._mirrored(x, 2, self.horizontal, "mirrored")
        return pixels_at(x, rows, columns)

    def _mirrored(self, x: Tensor, axis: int, wanted: bool, word: str) -> Tensor:
        places = _along(x, axis)
        if not wanted:
            return places
        chosen = ops.name(random_uniform((x.shape[0], 1, 1)) < 0.5, word)
        return ops.where(chosen, _length(x, axis) - 1 - places, places)


@dataclass(frozen=True)
class RandomShift(Augmentation):
    """In training, shifts each image by whole pixels: up to `height` up or down, `width` to the left or right.

    Every shift is equally likely. What comes in from outside is 0.
    """

    height: int = whole(2, 0)
    width: int = whole(2, 0)
    name: str | None = None

    def disturbed(self, x: Tensor) -> Tensor:
        """Return the shifted images."""
        rows = _along(x, 1) - _whole_draw(x, 2 * self.height + 1, "down") + self.height
        columns = _along(x, 2) - _whole_draw(x, 2 * self.width + 1, "right") + self.width
        return pixels_at(x, rows, columns)


@dataclass(frozen=True)
class RandomCrop(Augmentation):
    """In training, cuts a window of a size out of each image, anywhere; otherwise the window in the middle.

    Before that the images get `padding` zeros on each side, as for CIFAR-10, where windows of 32 x 32 are cut out of
    images padded by 4 (He et al., 2016); the window in the middle is then the image itself.
    """

    height: int = whole(28, 1)
    width: int = whole(28, 1)
    padding: int = whole(2, 0)
    name: str | None = None

    def disturbed(self, x: Tensor) -> Tensor:
        """Return a window of each image."""
        high, wide = self._room(x)
        top = _whole_draw(x, high + 1, "top") - self.padding
        left = _whole_draw(x, wide + 1, "left") - self.padding
        return pixels_at(x, _grid(self.height, 1) + top, _grid(self.width, 2) + left)

    def undisturbed(self, x: Tensor) -> Tensor:
        """Return the window in the middle of each image."""
        top, left = (room // 2 for room in self._room(x))
        edge = (0, self.padding, self.padding, 0)
        return ops.pad(x, edge, edge)[:, top : top + self.height, left : left + self.width]

    def _room(self, x: Tensor) -> tuple[int, int]:
        """Return how far down and to the right the window can lie."""
        high, wide = (_length(x, axis) + 2 * self.padding for axis in (1, 2))
        if high < self.height or wide < self.width:
            raise ShapeError(f"a window of {self.height} x {self.width} does not fit into {high} x {wide} pixels")
        return high - self.height, wide - self.width


@dataclass(frozen=True)
class RandomAffine(Augmentation):
    """In training, turns, scales, shears and shifts each image about its middle, with bilinear interpolation.

    An input pixel that lies at q from the middle, as (row, column), comes to p = s R(a) K(b) q + t:

    * R(a) turns anticlockwise by a, uniform in [-rotation, rotation], in degrees;
    * s = (1 + scale)^u with u uniform in [-1, 1], so that larger and smaller are alike;
    * K(b) adds tan(b) times the row to the column, b uniform in [-shear, shear], in degrees;
    * t is uniform in [-shift, shift] times height and width.

    The value at p is interpolated at q = K(-b) R(-a) (p - t) / s between the four pixels around it, with zeros outside
    of the image: `scipy.ndimage.affine_transform` with order 1 and mode "grid-constant" gives the same.
    """

    rotation: float = real(10.0, "[0, 180]")
    scale: float = real(0.1, "[0, inf)")
    shear: float = real(0.0, "[0, 90)")
    shift: float = real(0.0, "[0, 1]")
    name: str | None = None

    def disturbed(self, x: Tensor) -> Tensor:
        """Return the images turned, scaled, sheared and shifted."""
        angle = ops.name(self._draw(x, "rotation", math.pi / 180), "angle")
        slope = ops.name(self._draw(x, "shear", math.pi / 180), "slant")
        shrink = ops.name(ops.exp(-_symmetric(x) * _setting(x, ops.log(1.0 + hyper("scale", self.scale)))), "shrink")
        high, wide = _length(x, 1), _length(x, 2)
        down = ops.name(self._draw(x, "shift", high), "down")
        right = ops.name(self._draw(x, "shift", wide), "right")
        row = shrink * (ops.astype(_along(x, 1), x.dtype) - 0.5 * (high - 1) - down)
        column = shrink * (ops.astype(_along(x, 2), x.dtype) - 0.5 * (wide - 1) - right)
        sine, cosine = ops.sin(angle), ops.cos(angle)
        upright = cosine * row + sine * column
        across = cosine * column - sine * row - ops.sin(slope) / ops.cos(slope) * upright
        return interpolated(x, upright + 0.5 * (high - 1), across + 0.5 * (wide - 1))

    def _draw(self, x: Tensor, setting: str, unit: float) -> Tensor:
        amount = hyper(setting, getattr(self, setting))
        return _symmetric(x) * (_setting(x, amount) * unit)


@dataclass(frozen=True)
class Cutout(Augmentation):
    """In training, sets a square of `size` x `size` pixels of each image to zero (DeVries and Taylor, 2017).

    Its middle is any pixel of the image, so that a part of it may lie outside.
    """

    size: int = whole(8, 1)
    name: str | None = None

    def disturbed(self, x: Tensor) -> Tensor:
        """Return the images with a square of each cut out."""
        rows = self._covered(x, 1, "top")
        columns = self._covered(x, 2, "left")
        hole = ops.logical_and(rows, columns)
        return ops.where(ops.reshape(hole, (*hole.shape, 1)), 0.0, x)

    def _covered(self, x: Tensor, axis: int, word: str) -> Tensor:
        first = _whole_draw(x, _length(x, axis), word) - self.size // 2
        places = _along(x, axis)
        return ops.logical_and(first <= places, places < first + self.size)


def pixels_at(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return x[i, rows, columns] for every image i, and 0 where that is outside of the image.

    Args:
        x: images (n, height, width, channels).
        rows, columns: int64, of shapes that broadcast to (n, new height, new width).
    """
    high, wide = _length(x, 1), _length(x, 2)
    inside = ops.logical_and(_within(rows, high), _within(columns, wide))
    image = ops.reshape(ops.arange(x.shape[0], "int64"), (x.shape[0], 1, 1))
    place = ops.where(inside, (image * high + rows) * wide + columns, 0)
    picked = ops.take(ops.reshape(x, (-1, x.shape[3])), place)
    return ops.where(ops.reshape(inside, (*inside.shape, 1)), picked, 0.0)


def interpolated(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return images at places between pixels: bilinear, and with zeros outside of the image.

    With r, c the whole parts of a row and a column, and f, g the rests, this is (1 - f) (1 - g) x[r, c] +
    (1 - f) g x[r, c + 1] + f (1 - g) x[r + 1, c] + f g x[r + 1, c + 1].

    Args:
        x: images (n, height, width, channels).
        rows, columns: of x's dtype, (n, new height, new width).
    """
    (r, f), (c, g) = _parts(rows, _length(x, 1)), _parts(columns, _length(x, 2))
    total = (1.0 - f) * (1.0 - g) * pixels_at(x, r, c) + (1.0 - f) * g * pixels_at(x, r, c + 1)
    return total + f * (1.0 - g) * pixels_at(x, r + 1, c) + f * g * pixels_at(x, r + 1, c + 1)


def _parts(places: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Return the whole parts of places, and the rests as (..., 1); what is far outside comes to just outside."""
    near = ops.clip(places, -1.0, float(length))
    # a conversion to whole numbers cuts towards 0, so it is made where there are no negative numbers
    whole_part = ops.astype(near + 1.0, "int64") - 1
    return whole_part, ops.reshape(near - ops.astype(whole_part, places.dtype), (*places.shape, 1))


def _length(x: Tensor, axis: int) -> int:
    length = x.shape[axis]
    assert isinstance(length, int)  # the batch is the first axis
    return length


def _grid(length: int, axis: int) -> Tensor:
    """0, 1, ... along an axis of (n, height, width)."""
    return ops.reshape(ops.arange(length, "int64"), (1, length, 1) if axis == 1 else (1, 1, length))


def _along(x: Tensor, axis: int) -> Tensor:
    return _grid(_length(x, axis), axis)


def _within(places: Tensor, length: int) -> Tensor:
    return ops.logical_and(places >= 0, places < length)


def _whole_draw(x: Tensor, count: int, word: str) -> Tensor:
    """One of 0, 1, ..., count - 1 for each image, int64 (n, 1, 1)."""
    draw = ops.astype(random_uniform((x.shape[0], 1, 1)), "float64")  # in float64 the product stays below count
    return ops.name(ops.astype(draw * float(count), "int64"), word)


def _symmetric(x: Tensor) -> Tensor:
    """Uniform in [-1, 1) for each image, (n, 1, 1), in x's dtype."""
    return ops.astype(2.0 * random_uniform((x.shape[0], 1, 1)) - 1.0, x.dtype)


def _setting(x: Tensor, value: Tensor) -> Tensor:
    return ops.astype(value, x.dtype)
