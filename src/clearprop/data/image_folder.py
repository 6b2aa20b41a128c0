"""Which image files a folder holds, and of which class and part each is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clearprop.data.decode_image import SUFFIXES
from clearprop.data.printable import listed, printable
from clearprop.errors import DataError

_Steps = tuple[str, ...]

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


def find_labelled(folder: Path) -> Found:
    """Find folder/CLASS/... or folder/train/CLASS/..., with test and validation beside train.

    Raises:
        DataError: there are no images in class folders.
    """
    files = _files(folder)
    starts = _starts(folder, files)
    used = {part: [file for file in files if _has_class(file, start)] for part, start in starts.items()}
    unused = _unused(files, set().union(*used.values()))
    for part, those in used.items():
        if not those:
            which = f" for the {part} part" if len(used) > 1 else ""
            raise DataError(
                f"{printable(folder, 200)}: there are no images in class folders{which}: expected "
                f"folder/class/image.png, or folder/train/class/image.png{_there(unused)}"
            )
    parts = {
        part: tuple(ImageFile(folder.joinpath(*file), file[len(starts[part])]) for file in those)
        for part, those in used.items()
    }
    notes = (f"not used: {unused}",) if unused else ()
    return Found(parts, (*notes, *_empty_classes(folder, starts, used)))


def find_all(folder: Path) -> Found:
    """Find the images anywhere in a folder, without classes; raises DataError if there are none."""
    files = _files(folder)
    images = [file for file in files if _is_image(file)]
    unused = _unused(files, set(images))
    if not images:
        raise DataError(f"{printable(folder, 200)} holds no images{_there(unused)}")
    found = tuple(ImageFile(folder.joinpath(*file)) for file in images)
    return Found({"train": found}, (f"not used: {unused}",) if unused else ())


def _files(folder: Path) -> list[_Steps]:
    """Return every file in a folder, by the names that lead to it, in order."""
    found: list[_Steps] = []
    for where, _, names in os.walk(folder):
        start = Path(where).relative_to(folder).parts
        found += [(*start, name) for name in names]
    return sorted(found)


def _is_image(file: _Steps) -> bool:
    return os.path.splitext(file[-1])[1].lower() in SUFFIXES


def _has_class(file: _Steps, start: _Steps) -> bool:
    return file[: len(start)] == start and len(file) > len(start) + 1 and _is_image(file)


def _starts(folder: Path, files: list[_Steps]) -> dict[str, _Steps]:
    """Return the folder of each part: the sub-folders if there is one for training, or the folder as a whole."""
    named = {other.name: _PARTS[other.name.lower()] for other in folder.iterdir() if _is_part(other)}
    training = [name for name, part in named.items() if part == "train"]
    # a folder with images of its own is a class that is called train
    if not training or any(len(file) == 2 and file[0] == training[0] and _is_image(file) for file in files):
        return {"train": ()}
    if len(set(named.values())) < len(named):
        names = listed(sorted(named))
        raise DataError(f"{printable(folder, 200)}: of the folders {names} two are for the same part; join them")
    return {part: (name,) for name, part in sorted(named.items())}


def _is_part(folder: Path) -> bool:
    return folder.name.lower() in _PARTS and folder.is_dir()


def _empty_classes(folder: Path, starts: dict[str, _Steps], used: dict[str, list[_Steps]]) -> Iterator[str]:
    """Yield a note on the folders that stand where those of classes do and hold no images."""
    empty = []
    for part, start in starts.items():
        full = {file[: len(start) + 1] for file in used[part]}
        here = sorted((*start, other.name) for other in folder.joinpath(*start).iterdir() if other.is_dir())
        empty += ["/".join(steps) for steps in here if steps not in full]
    if empty:
        yield f"no images of the classes {listed(empty, 5)}, which are left out"


def _there(unused: str) -> str:
    return f"; there are {unused}" if unused else ""


def _unused(files: list[_Steps], used: set[_Steps]) -> str:
    """Say which files are left."""
    others = ["/".join(file) for file in files if file not in used]
    return f"{len(others)} other files ({listed(others[:5])})" if others else ""
