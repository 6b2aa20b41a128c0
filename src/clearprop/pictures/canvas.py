"""Figures, mosaics of images, and PNG files."""

from __future__ import annotations

import importlib
import io
import math
from pathlib import Path
from typing import Any

import numpy as np

from clearprop.errors import DataError, SettingsError
from clearprop.files import write_bytes

Array = np.ndarray[Any, Any]
_DOTS = 150


def new_figure(width: float, height: float) -> Any:
    """Return an empty matplotlib figure of a size in inches, which no window shows.

    Raises:
        SettingsError: matplotlib is not installed.
    """
    try:
        module = importlib.import_module("matplotlib.figure")
    except ImportError as error:
        raise SettingsError("pictures need matplotlib, which is not installed: pip install clearprop[plots]") from error
    return module.Figure(figsize=(width, height), layout="constrained")


def save(figure: Any, path: str | Path) -> None:
    """Write a figure to a PNG file, in full or not at all."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=_DOTS)
    write_bytes(Path(path), stream.getvalue())


def as_images(array: Array) -> Array:
    """Return images as (n, height, width, channels) with one channel or three, for the eye.

    Raises:
        DataError: these are no images.
    """
    images = array[..., None] if array.ndim == 3 else array
    if images.ndim != 4 or images.shape[3] not in (1, 3):
        raise DataError(
            f"samples of shape {array.shape[1:]} are no images: expected (height, width), or 1 or 3 channels at the end"
        )
    return images


def brightened(images: Array) -> Array:
    """Return images as floats from 0 to 1: bytes divided by 255, what lies beyond 0 and 1 brought into it."""
    if images.dtype == np.uint8:
        return images / 255.0
    low, high = min(float(images.min(initial=0.0)), 0.0), max(float(images.max(initial=0.0)), 1.0)
    return np.asarray((images - low) / (high - low), np.float64)


def mosaic(images: Array, columns: int | None = None) -> Array:
    """Put images (n, height, width, channels) side by side, with a white pixel between them: (h, w, channels)."""
    count, height, width, channels = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    result = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1, channels), np.nan)
    for place, image in enumerate(images):
        top, left = place // columns * (height + 1), place % columns * (width + 1)
        result[top : top + height, left : left + width] = image
    return result


def show(axes: Any, image: Array, **options: Any) -> None:
    """Draw one image (height, width, channels) on axes without ticks; missing pixels are white."""
    axes.set_axis_off()
    if image.shape[2] == 1:
        axes.imshow(image[..., 0], **({"cmap": "gray", "vmin": 0.0, "vmax": 1.0, "interpolation": "nearest"} | options))
    else:
        axes.imshow(np.where(np.isnan(image), 1.0, image), interpolation="nearest")
