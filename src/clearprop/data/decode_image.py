"""One image file as an array of bytes, through Pillow; nothing in a file is trusted, and nothing in it is run."""

from __future__ import annotations

import importlib
import io
import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

import numpy as np

from clearprop.data.columns import Array
from clearprop.data.image_settings import ImageForm
from clearprop.data.printable import printable
from clearprop.errors import SettingsError

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Result = TypeVar("Result")

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"})
"""The names of files that are taken for images end like this."""

MOST_PIXELS = 1 << 26
"""Images with more pixels are bad: decoding one would take half a gigabyte."""

_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")  # none that starts another program, as EPS does
_GREY = ("1", "L", "LA", "La")
_ORIENTATION, _ON_ITS_SIDE = 0x0112, (5, 6, 7, 8)
_WITH_TAGS, _CHECKSUM = (b"eXIf", b"tEXt", b"zTXt", b"iTXt"), 4
"""The chunks of a PNG that may hold EXIF, and how many bytes are between a chunk and the next one."""
_FULL = 1 << 16


class BadImageError(Exception):
    """A file cannot be used; the message says why."""


@dataclass(frozen=True)
class Header:
    """What the start of a file says: its size when upright, and whether it is grey."""

    height: int
    width: int
    grey: bool


@cache
def pillow(part: str) -> Any:
    """Return a module of Pillow, imported when images are first read; raises SettingsError if it is not installed."""
    try:
        return importlib.import_module(f"PIL.{part}")
    except ImportError as error:
        raise SettingsError("images need Pillow, which is not installed: pip install clearprop[images]") from error


def read_header(path: Path) -> Header:
    """Read the size and the kind of an image without decoding it; raises BadImageError."""
    try:
        with path.open("rb") as stream:
            return _guarded(_header, stream)
    except OSError as error:
        raise _unreadable(error) from error


def decode(path: Path, form: ImageForm) -> tuple[Array, bytes]:
    """Return an image as uint8 (height, width, channels), and the content of its file; raises BadImageError.

    The first frame of an animation; upright, by EXIF; transparent pixels over black; the colours of a palette; CMYK and
    the like converted to RGB; 16-bit values divided by 256.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _unreadable(error) from error
    return _guarded(lambda opened: _decoded(opened, form), io.BytesIO(content)), content


def _unreadable(error: OSError) -> BadImageError:
    return BadImageError(f"it cannot be read: {printable(error.strerror or error)}")


def _guarded(read: Callable[[Picture], Result], stream: IO[bytes]) -> Result:
    if not stream.read(1):
        raise BadImageError("it is empty")
    stream.seek(0)
    module = pillow("Image")
    try:
        with module.open(stream, formats=_FORMATS) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                raise BadImageError(f"{opened.height} x {opened.width} pixels are more than {MOST_PIXELS}")
            return read(opened)
    except (BadImageError, MemoryError):
        raise
    except module.UnidentifiedImageError as error:
        raise BadImageError("it is no image of a known format") from error
    except Exception as error:  # Pillow's readers raise many kinds for what a damaged file says
        raise BadImageError(f"it is damaged: {printable(error, 100)}") from error


def _header(opened: Picture) -> Header:
    width, height = opened.size
    if _tags(opened).get(_ORIENTATION) in _ON_ITS_SIDE:
        width, height = height, width
    return Header(height, width, opened.mode in _GREY or opened.mode.startswith("I"))


def _tags(opened: Picture) -> Mapping[int, Any]:
    """Return what EXIF says, by number.

    A PNG may have its tags after the pixels, and Pillow decodes these on the way; here they are passed over.
    """
    if opened.format != "PNG":
        return opened.getexif()
    _read_after_pixels(opened)
    tags: Mapping[int, Any] = pillow("Image").Image.getexif(opened)
    return tags


def _read_after_pixels(opened: Any) -> None:
    """Let Pillow read what may say how a PNG is turned, as it does after decoding: to the next frame or the end."""
    if not opened.tile:
        return  # there are no pixels, as decoding will find
    stream = opened.fp
    stream.seek(opened.tile[0][2] - 8)  # the first chunk of pixels, which has a length and a name before them
    while len(start := stream.read(8)) == 8:
        length, name = struct.unpack(">I4s", start)
        if name == b"IEND" or (name == b"fcTL" and opened.is_animated):
            return
        if name in _WITH_TAGS:
            opened.png.call(name, stream.tell(), length)
            length = 0
        stream.seek(length + _CHECKSUM, os.SEEK_CUR)


def _decoded(opened: Picture, form: ImageForm) -> Array:
    opened.load()
    image = _over_black(_upright(_eight_bits(opened)))
    mode = "L" if form.channels == 1 else "RGB"
    image = image if image.mode == mode else image.convert(mode)
    return np.asarray(_resized(image, form), dtype=np.uint8).reshape(form.shape)


def _eight_bits(image: Picture) -> Picture:
    """Bring values of 16 bits to 8."""
    if image.mode == "F":
        raise BadImageError("it holds numbers without a range: save it with 8 or 16 bits")
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image)
    if values.size and not (values.min() >= 0 and values.max() < _FULL):
        raise BadImageError("it holds whole numbers beyond 16 bits: save it with 8 or 16 bits")
    result: Picture = pillow("Image").fromarray((values // 256).astype(np.uint8))
    result.info["exif"] = image.getexif().tobytes()
    return result


def _upright(image: Picture) -> Picture:
    if image.getexif().get(_ORIENTATION, 1) == 1:
        return image
    turned: Picture = pillow("ImageOps").exif_transpose(image)
    return turned


def _over_black(image: Picture) -> Picture:
    if not image.has_transparency_data:
        return image
    seen = image.convert("RGBA")
    module = pillow("Image")
    combined: Picture = module.alpha_composite(module.new("RGBA", seen.size, (0, 0, 0, 255)), seen)
    return combined


def _resized(image: Picture, form: ImageForm) -> Picture:
    size, bilinear = (form.width, form.height), pillow("Image").Resampling.BILINEAR
    if image.size == size:
        return image
    if form.resize == "stretch":
        return image.resize(size, bilinear)
    fit = getattr(pillow("ImageOps"), {"crop": "fit", "pad": "pad"}[form.resize])
    resized: Picture = fit(image, size, bilinear)
    return resized
