"""Which image files a folder holds, and of which class and part each is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from clearprop.data.decode_image import SUFFIXES
from clearprop.data.printable import listed, printable
from clearprop.errors import DataError

_PARTS = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
}


@dataclass(frozen=True)
class ImageFile:
    """An image file: where it is, and its class if it lies in the folder of one."""

    path: Path
    label: str | None = None


@dataclass(frozen=True)
class Found:
    """The image files of a folder, each part in a fixed order: by class, then by path.

    Attributes:
        parts: "train", and "test" and "validation" where there are such sub-folders.
        notes: what else lies there, and is not used.
    """

    parts: dict[str, tuple[ImageFile, ...]]
    notes: tuple[str, ...]


def is_image(path: Path) -> bool:
    """Tell whether a file is an image by its name."""
    return path.suffix.lower() in SUFFIXES


def find_labelled(folder: Path) -> Found:
    """Find folder/CLASS/... or folder/train/CLASS/..., with test and validation beside train.

    Raises:
        DataError: there are no images in class folders.
    """
    parts = _parts(folder)
    found = {part: _labelled(other) for other, part in parts.items()}
    unused = _unused(folder, [file.path for files in found.values() for file in files])
    for part, files in found.items():
        if not files:
            raise DataError(
                f"{printable(folder, 200)}: there are no images in class folders{_of(part, found)}: expected "
                f"folder/class/image.png, or folder/train/class/image.png{unused}"
            )
    return Found(found, (f"not used{unused}",) if unused else ())


def find_all(folder: Path) -> Found:
    """Find the images anywhere in a folder, without classes; raises DataError if there are none."""
    files = tuple(ImageFile(path) for path in _images(folder))
    unused = _unused(folder, [file.path for file in files])
    if not files:
        raise DataError(f"{printable(folder, 200)} holds no images{unused}")
    return Found({"train": files}, (f"not used{unused}",) if unused else ())


def _parts(folder: Path) -> dict[Path, str]:
    """Return the folder of each part: the sub-folders if there is one for training, or the folder as a whole."""
    parts = {other: _PARTS[other.name.lower()] for other in _folders(folder) if other.name.lower() in _PARTS}
    training = [other for other, part in parts.items() if part == "train"]
    if not training or any(map(is_image, _files(training[0]))):  # the latter is a class that is called train
        return {folder: "train"}
    if len(set(parts.values())) < len(parts):
        names = listed([other.name for other in parts])
        raise DataError(f"{printable(folder, 200)}: of the folders {names} two are for the same part; join them")
    return parts


def _of(part: str, found: dict[str, tuple[ImageFile, ...]]) -> str:
    return f" for the {part} part" if len(found) > 1 else ""


def _labelled(folder: Path) -> tuple[ImageFile, ...]:
    return tuple(ImageFile(path, other.name) for other in _folders(folder) for path in _images(other))


def _folders(folder: Path) -> list[Path]:
    return sorted(other for other in folder.iterdir() if other.is_dir())


def _files(folder: Path) -> list[Path]:
    return [other for other in folder.iterdir() if other.is_file()]


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if is_image(path) and path.is_file())


def _unused(folder: Path, used: Iterable[Path]) -> str:
    """Say which files are left."""
    known = set(used)
    others = sorted(path for path in folder.rglob("*") if path.is_file() and path not in known)
    if not others:
        return ""
    return f": {len(others)} other files ({listed([str(path.relative_to(folder)) for path in others[:5]])})"
