"""Image files into arrays: all of one shape, decoded by several threads, in a fixed order."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from clearprop.data.columns import Array
from clearprop.data.dataset import Dataset
from clearprop.data.decode_image import BadImageError, Header, decode, pillow, read_header
from clearprop.data.image_folder import Found, ImageFile, find_all, find_labelled
from clearprop.data.image_settings import ImageForm, ImageSettings
from clearprop.data.printable import printable
from clearprop.data.storage import empty, take_rows
from clearprop.errors import DataError

Item = TypeVar("Item")
Result = TypeVar("Result")

TARGET = "class"
_SHOWN = 10
_RUN = 32
"""How many files a thread takes at a time: handing over a single small one takes as long as reading it."""
_LARGE, _SIZED = 1 << 14, 100
"""Files of so many bytes on average, measured on about so many, are shared by threads: two take 0.5 of the time of one
for JPEG of 20 kB, 1.0 of it at 6 kB, and 1.4 of it for PNG of 0.5 kB.
"""
_BYTES = 4
"""Of a pixel as training takes it."""


@dataclass(frozen=True)
class _Bad:
    """A file that cannot be used, and why."""

    file: ImageFile
    reason: str


@dataclass(frozen=True)
class _Read:
    """The images of a part: their pixels, uint8 (n, height, width, channels), and their files."""

    pixels: Array
    files: tuple[ImageFile, ...]


def read_image_folder(folder: Path, settings: ImageSettings, *, labelled: bool) -> Dataset:
    """Read folder/CLASS/..., or folder/train/CLASS/... with test and validation beside it.

    Args:
        folder: where the images lie.
        settings: how they are read.
        labelled: whether classes are wanted; without, all images anywhere in the folder are one set.

    Raises:
        DataError: there are no images, or bad ones and `bad_images` is "stop"; they are named.
        SettingsError: Pillow is not installed.
    """
    found = find_labelled(folder) if labelled else find_all(folder)
    return _read(folder.name or "images", folder, found, settings)


def read_image(path: Path, settings: ImageSettings) -> Dataset:
    """Read one image file as a set of one sample without a target; raises as `read_image_folder` does."""
    return _read(path.name, path.parent, Found({"train": (ImageFile(path),)}, ()), settings)


def _read(name: str, folder: Path, found: Found, settings: ImageSettings) -> Dataset:
    pillow("Image")
    bad: list[_Bad] = []
    headers = _headers([file for files in found.parts.values() for file in files], bad)
    form = _form(headers, settings, bad)
    _stop_if(bad, folder, settings)
    odd = {other.file for other in bad}
    usable = [file for file in headers if file not in odd]
    mapped = len(usable) * int(np.prod(form.shape)) * _BYTES > settings.memory
    digest = hashlib.sha256(repr(form).encode())
    known = {file.path for file in usable}
    parts = {
        part: _decoded([file for file in files if file.path in known], form, mapped, folder, digest.update, bad)
        for part, files in found.parts.items()
    }
    _stop_if(bad, folder, settings)
    _check_enough(parts, bad, folder)
    train = parts["train"]
    return Dataset(
        printable(name),
        train.pixels,
        _labels(train),
        None if _labels(train) is None else TARGET,
        test=_with_labels(parts.get("test")),
        validation=_with_labels(parts.get("validation")),
        notes=(_words(form, headers, settings, mapped), *found.notes, *_left_out(bad, folder)),
        fingerprint=digest.hexdigest(),
        form=form,
        files=tuple(str(file.path.relative_to(folder)) for file in train.files),
    )


def _headers(files: Sequence[ImageFile], bad: list[_Bad]) -> dict[ImageFile, Header]:
    headers = {}
    for file, header in zip(files, _in_threads(lambda file: read_header(file.path), files, 1), strict=True):
        if isinstance(header, BadImageError):
            bad.append(_Bad(file, str(header)))
        else:
            headers[file] = header
    return headers


def _threads(files: Sequence[ImageFile]) -> int:
    """Return how many threads decode: Pillow leaves others their turn while it decodes, which pays in large files."""
    sizes = [file.path.stat().st_size for file in files[:: max(len(files) // _SIZED, 1)] if file.path.exists()]
    return (os.cpu_count() or 1) if sum(sizes) >= _LARGE * len(sizes) else 1


def _in_threads(work: Callable[[Item], Result], items: Sequence[Item], threads: int) -> list[Result | BadImageError]:
    """Return what `work` gives for each item, in order."""

    def guarded(item: Item) -> Result | BadImageError:
        try:
            return work(item)
        except BadImageError as error:
            return error

    def run(start: int) -> list[Result | BadImageError]:
        return [guarded(item) for item in items[start : start + _RUN]]

    with ThreadPoolExecutor(threads) as pool:
        return list(itertools.chain.from_iterable(pool.map(run, range(0, len(items), _RUN))))


def _form(headers: dict[ImageFile, Header], settings: ImageSettings, bad: list[_Bad]) -> ImageForm:
    """Return the form of all images; those of an odd size become bad if none is asked for."""
    if not headers:
        return ImageForm(1, 1, 1, settings.resize)
    grey = settings.color == "grey" or (settings.color == "auto" and all(header.grey for header in headers.values()))
    size = settings.height_and_width
    if size is None:
        size, count = Counter((header.height, header.width) for header in headers.values()).most_common(1)[0]
        for file, header in headers.items():
            if (header.height, header.width) != size:
                reason = f"it has {header.height} x {header.width} pixels, and {count} have {size[0]} x {size[1]}"
                bad.append(_Bad(file, f"{reason}; a size for all (size, --size) would do"))
    return ImageForm(*size, 1 if grey else 3, settings.resize)


def _decoded(
    files: Sequence[ImageFile],
    form: ImageForm,
    mapped: bool,
    folder: Path,
    add_to_digest: Callable[[bytes], None],
    bad: list[_Bad],
) -> _Read:
    pixels = empty((len(files), *form.shape), np.uint8, mapped=mapped)

    def one(place: int) -> bytes:
        pixels[place], content = decode(files[place].path, form)
        return hashlib.sha256(content).digest()

    good = []
    for place, digest in enumerate(_in_threads(one, range(len(files)), _threads(files))):
        if isinstance(digest, BadImageError):
            bad.append(_Bad(files[place], str(digest)))
            continue
        good.append(place)
        add_to_digest(str(files[place].path.relative_to(folder)).encode("utf-8", "surrogateescape") + b"\0" + digest)
    kept = pixels if len(good) == len(files) else take_rows(pixels, np.asarray(good, np.int64))
    return _Read(kept, tuple(files[place] for place in good))


def _check_enough(parts: dict[str, _Read], bad: list[_Bad], folder: Path) -> None:
    for part, read in parts.items():
        if not read.files:
            raise DataError(f"{printable(folder, 200)}: no image of the {part} part can be used; {_named(bad, folder)}")


def _labels(read: _Read) -> Array | None:
    labels = [file.label for file in read.files]
    return None if None in labels else np.asarray(labels)


def _with_labels(read: _Read | None) -> tuple[Array, Array] | None:
    labels = None if read is None else _labels(read)
    return None if read is None or labels is None else (read.pixels, labels)


def _words(form: ImageForm, headers: dict[ImageFile, Header], settings: ImageSettings, mapped: bool) -> str:
    color = "grey" if form.channels == 1 else "rgb"
    words = f"images of {form.height} x {form.width} pixels, {color}"
    others = sum((header.height, header.width) != (form.height, form.width) for header in headers.values())
    if settings.size is not None and others:
        words += f"; {others} of another size: {form.resize}"
    return f"{words}; kept in temporary files, being more than {settings.memory} bytes" if mapped else words


def _stop_if(bad: list[_Bad], folder: Path, settings: ImageSettings) -> None:
    if bad and settings.bad_images == "stop":
        raise DataError(
            f"{printable(folder, 200)}: {_named(bad, folder)}. Mend or remove them, or leave such files out "
            "(bad_images='skip', --bad-images skip)"
        )


def _left_out(bad: list[_Bad], folder: Path) -> tuple[str, ...]:
    return (f"left out: {_named(bad, folder)}",) if bad else ()


def _named(bad: list[_Bad], folder: Path) -> str:
    shown = [f"{printable(item.file.path.relative_to(folder), 100)}: {item.reason}" for item in bad[:_SHOWN]]
    more = f" and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    return f"{len(bad)} images cannot be used ({'; '.join(shown)}{more})"
