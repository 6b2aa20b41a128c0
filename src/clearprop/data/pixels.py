"""Pixels that are bytes, as numbers from 0 to 1."""

from clearprop.data.columns import Array

PIXEL = 255.0
"""What the bytes of pixels are divided by."""


def notes_on_pixels(pixels: Array) -> tuple[str, ...]:
    """Return a note on pixels that are to be divided by 255, as in training, and look as if they had been."""
    if pixels.dtype.kind == "f" and pixels.size and float(pixels.max()) <= 1:
        return ("the pixels are at most 1, and training had bytes from 0 to 255: they look scaled already",)
    return ()
