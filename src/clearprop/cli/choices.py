"""What a training run was asked for: every choice in one record, kept in the run's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from clearprop.compile import DEFAULT_BACKEND
from clearprop.data import Dataset, ImageForm, ImageSettings, bundled_names, load
from clearprop.data.decode_image import SUFFIXES
from clearprop.data.image_settings import DEFAULT_MEMORY
from clearprop.data.read_idx import is_idx
from clearprop.data.source_file import head
from clearprop.errors import DataError, FileFormatError
from clearprop.model import Run

_SECTION = "command"


@dataclass(frozen=True)
class Source:
    """Where data comes from and how to read it.

    Attributes:
        data: a bundled set's name, or a path.
        target, data_dir, delimiter, encoding: as `clearprop.data.load` takes them.
        no_header: whether the first line of a text file holds values; else that is detected.
        size, resize, color, bad_images, memory, layout: of images, as `clearprop.data.ImageSettings` takes them.
    """

    data: str
    target: str | None = None
    data_dir: str | None = None
    delimiter: str | None = None
    encoding: str | None = None
    no_header: bool = False
    size: tuple[int, ...] | None = None
    resize: str = "stretch"
    color: str = "auto"
    bad_images: str = "stop"
    memory: int = DEFAULT_MEMORY
    layout: str = "NHWC"

    @property
    def header(self) -> bool | None:
        """Whether there is a header, as `load` takes it."""
        return False if self.no_header else None

    @property
    def in_arrays(self) -> bool:
        """Whether the data is not one table in a file: a bundled set, .npz, .npy, IDX, or images."""
        path = Path(self.data)
        if self.data in bundled_names() or path.suffix.lower() in (".npz", ".npy", *SUFFIXES) or path.is_dir():
            return True
        return path.is_file() and is_idx(head(path, 4))

    @property
    def images(self) -> ImageSettings:
        """How images are read."""
        size = self.size if self.size is None or len(self.size) == 2 else self.size[0]
        return ImageSettings(size, self.resize, self.color, self.bad_images, self.memory, self.layout)

    def to_form(self, form: ImageForm | None) -> Source:
        """Return the same source, its images brought to the form of training."""
        if form is None:
            return self
        color = "grey" if form.channels == 1 else "rgb"
        return replace(self, size=(form.height, form.width), resize=form.resize, color=color)

    def load(self, require_target: bool = True) -> Dataset:
        """Read the data."""
        return load(
            self.data,
            target=self.target,
            data_dir=self.data_dir,
            delimiter=self.delimiter,
            encoding=self.encoding,
            header=self.header,
            require_target=require_target,
            images=self.images,
        )

    def located(self) -> Source:
        """Return the same source with absolute paths, so that it is found from any folder."""
        data = self.data if self.data in bundled_names() else str(Path(self.data).absolute())
        target = self.target
        if target is not None and self.in_arrays and Path(target).is_file():
            target = str(Path(target).absolute())
        folder = None if self.data_dir is None else str(Path(self.data_dir).absolute())
        return replace(self, data=data, target=target, data_dir=folder)


@dataclass(frozen=True)
class Choices:
    """How to train. None stands for what `defaults.complete` chooses; see `clearprop train --help`."""

    layers: tuple[int, ...] | None = None
    activation: str = "relu"
    optimizer: str = "adam"
    lr: float | None = None
    epochs: int | None = None
    batch_size: int | None = None
    dropout: float = 0.0
    l2: float | None = None
    l1: float = 0.0
    schedule: str | None = None
    loss: str = "auto"
    task: str = "auto"
    validation: float | None = None
    test: float = 0.2
    patience: int | None = None
    metrics: tuple[str, ...] = ()
    dtype: str = "float32"
    seed: int = 0
    checkpoint_every: int | None = None
    backend: str = DEFAULT_BACKEND
    scaling: str = "auto"
    epsilon: float = 0.01
    augment: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """Everything that a run's settings keep to train it again, to go on with it, or to find its test part.

    Attributes:
        source: the data.
        choices: how it was trained, complete.
        name: what the data is called.
        fingerprint: the content of the data, so that changed data is noticed.
    """

    source: Source
    choices: Choices
    name: str
    fingerprint: str

    def save(self, run: Run, more: Mapping[str, Any]) -> None:
        """Write the recipe to a run's settings, with more for people to read."""
        run.update_settings({_SECTION: asdict(self)} | dict(more))

    @classmethod
    def of(cls, run: Run) -> Recipe:
        """Read the recipe of a run.

        Raises:
            FileFormatError: there is no run, or it was not trained by the command line, or its settings are damaged.
        """
        settings = run.read_settings()
        if _SECTION not in settings:
            raise FileFormatError(
                f"{run.path} was not trained by `clearprop train`, so its data is not known: name the data"
            )
        where = f"{run.settings}"
        content = _mapping(settings[_SECTION], cls, where)
        source = Source(**_checked(_mapping(content["source"], Source, where, _SOURCE_UNWRITTEN), _SOURCE_TYPES, where))
        source = replace(source, size=None if source.size is None else tuple(source.size))
        choices = _checked(_mapping(content["choices"], Choices, where, _UNWRITTEN), _CHOICE_TYPES, where)
        choices |= {name: tuple(choices[name]) for name in ("layers", "metrics", "augment")}
        return cls(source, Choices(**choices), str(content["name"]), str(content["fingerprint"]))

    def load(self, data: str | None = None) -> Dataset:
        """Read the run's data, from where it was or from where it is now.

        Raises:
            DataError: it is not there, or it is not what the run was trained on.
        """
        if data is None and self.source.data not in bundled_names() and not Path(self.source.data).exists():
            raise DataError(
                f"the run's data, {self.source.data}, is no longer there: put it back (to go on training you can also "
                "name its new place: clearprop train DATA --resume RUN)"
            )
        dataset = (self.source if data is None else replace(self.source, data=data)).load()
        if dataset.fingerprint != self.fingerprint:
            raise DataError(
                f"{dataset.name} has changed since the run was trained: its content is not the same. "
                "Bring the earlier data back, or train a new run on this one"
            )
        return dataset


_WORD, _NUMBER, _COUNT, _NOTHING = (str,), (int, float), (int,), (type(None),)
_SOURCE_TYPES: dict[str, tuple[type, ...]] = dict.fromkeys((f.name for f in fields(Source)), (*_WORD, *_NOTHING))
_SOURCE_TYPES |= {"data": _WORD, "no_header": (bool,), "size": (list, *_NOTHING), "memory": _COUNT}
_CHOICE_TYPES: dict[str, tuple[type, ...]] = dict.fromkeys((f.name for f in fields(Choices)), _WORD)
_CHOICE_TYPES |= dict.fromkeys(("epochs", "batch_size", "seed"), _COUNT)
_CHOICE_TYPES |= dict.fromkeys(("patience", "checkpoint_every"), (*_COUNT, *_NOTHING))
_CHOICE_TYPES |= dict.fromkeys(("lr", "dropout", "l1", "l2", "validation", "test", "epsilon"), _NUMBER)
_CHOICE_TYPES |= dict.fromkeys(("layers", "metrics", "augment"), (list,))


_UNWRITTEN = {"backend": "reference", "scaling": "auto", "epsilon": 0.01, "augment": []}
_SOURCE_UNWRITTEN = {
    name: getattr(Source, name) for name in ("size", "resize", "color", "bad_images", "memory", "layout")
}
"""What runs of earlier versions, which do not say it, were trained with."""


def _mapping(content: Any, kind: type, where: str, unwritten: Mapping[str, Any] | None = None) -> dict[str, Any]:
    wanted = {field.name for field in fields(kind)}
    if isinstance(content, dict):
        content = dict(unwritten or {}) | content
    if not isinstance(content, dict) or set(content) != wanted:
        raise FileFormatError(f"{where} is damaged: expected {', '.join(sorted(wanted))}")
    return content


def _checked(content: dict[str, Any], types: Mapping[str, tuple[type, ...]], where: str) -> dict[str, Any]:
    for name, value in content.items():
        if not isinstance(value, types[name]):
            raise FileFormatError(f"{where} is damaged: {name} is {value!r}")
    return content
