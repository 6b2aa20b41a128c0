"""What a training run was asked for: every choice in one record, kept in the run's settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from clearprop.cli.about import about
from clearprop.compile import BACKENDS, DEFAULT_BACKEND
from clearprop.data import (
    LEVELS,
    ColumnKind,
    Dataset,
    ImageForm,
    ImageSettings,
    Series,
    Text,
    bundled_names,
    load,
    read_text,
    series_of,
)
from clearprop.data.decode_image import SUFFIXES
from clearprop.data.image_features import SCALINGS
from clearprop.data.read_idx import is_idx
from clearprop.data.source_file import head
from clearprop.errors import DataError, FileFormatError, SettingsError
from clearprop.losses import (
    LOSSES,
    CrossEntropy,
    DistributionLoss,
    Focal,
    MultiLabelMargin,
    MultiMargin,
    OutputLoss,
    Poisson,
)
from clearprop.model import Run
from clearprop.nn import ACTIVATIONS, ARCHITECTURES, AUGMENTATIONS, GRU, INITIALIZERS, LSTM, Layer, SimpleRNN
from clearprop.optim import OPTIMIZERS, SCHEDULES, WHOLE_BATCH
from clearprop.settings import Allowed, field, flag, limits, number, whole_number, word
from clearprop.train import PARAMETERS

SECTION = "command"
_TEXT_FILES = (".txt", ".txt.gz")
TRANSFORMER = "transformer"
"""What a text may be learnt with in the place of recurrent layers."""
CELLS: dict[str, Callable[..., Layer]] = {"rnn": SimpleRNN, "lstm": LSTM, "gru": GRU}
"""The recurrent layers by the names of the option."""

_TEXT = Allowed("is a text", lambda value: isinstance(value, str), (3, None))
_OF_IMAGES = limits(ImageSettings)


@dataclass(frozen=True)
class Source:
    """Where data comes from and how to read it.

    Attributes:
        data: a bundled set's name, or a path.
        target, data_dir, delimiter, encoding: as `clearprop.data.load` takes them.
        header, no_header: whether the first line of a text file holds names, or values; else that is detected.
        size, resize, color, bad_images, memory, layout: of images, as `clearprop.data.ImageSettings` takes them.
    """

    data: str = field(_TEXT)
    target: str | None = field(_TEXT.or_else(None), None)
    data_dir: str | None = field(_TEXT.or_else(None), None)
    delimiter: str | None = field(_TEXT.or_else(None), None)
    encoding: str | None = field(_TEXT.or_else(None), None)
    header: bool = flag(False)
    no_header: bool = flag(False)
    size: int | tuple[int, int] | None = field(_OF_IMAGES["size"], ImageSettings.size)
    resize: str = field(_OF_IMAGES["resize"], ImageSettings.resize)
    color: str = field(_OF_IMAGES["color"], ImageSettings.color)
    bad_images: str = field(_OF_IMAGES["bad_images"], ImageSettings.bad_images)
    memory: int = field(_OF_IMAGES["memory"], ImageSettings.memory)
    layout: str = field(_OF_IMAGES["layout"], ImageSettings.layout)

    def is_text(self, task: str) -> bool:
        """Whether the data is a text to learn to write, by the task, or by the name of the file."""
        named = self.data.lower().endswith(_TEXT_FILES) and self.data not in bundled_names()
        as_table = self.target is not None or self.delimiter is not None or self.header or self.no_header
        return task == "text" or (task == "auto" and named and not as_table)

    def has_samples(self, choices: Choices) -> bool:
        """Tell whether the data are to be learnt as samples, neither as a text nor as series."""
        return not choices.forecast and choices.task != "series" and not self.is_text(choices.task)

    def load_for(self, choices: Choices, kinds: Mapping[str, ColumnKind] | None = None) -> Dataset | Text | Series:
        """Read the data as what is to be learnt: a text, series, or samples, with columns as `kinds` says.

        Raises:
            SettingsError: options of series are given, and no column to forecast.
        """
        if choices.forecast:
            return self.load_series((*choices.forecast, *choices.covariates), choices.time, kinds)
        if choices.task == "series":
            raise SettingsError("--task series needs the columns to tell: --forecast NAME[,NAME]")
        return self.load_text() if self.is_text(choices.task) else self.load(kinds=kinds)

    def load_text(self) -> Text:
        """Read the data as text."""
        return read_text(self.data, self.encoding)

    def load_series(
        self, columns: Sequence[str], time: str | None, kinds: Mapping[str, ColumnKind] | None = None
    ) -> Series:
        """Read columns of the data as series; any of a table's columns may be named, whatever it is called."""
        tabular = not self.in_arrays or Path(self.data).suffix.lower() == ".npz"
        dataset = self._read(() if tabular else None, False, kinds)
        with about(dataset.name):
            return series_of(dataset, columns, time)

    @property
    def has_header(self) -> bool | None:
        """Whether there is a header, as `load` takes it.

        Raises:
            SettingsError: both are said.
        """
        if self.header and self.no_header:
            raise SettingsError("--header and --no-header: line 1 holds either names or values; leave one of them out")
        return True if self.header else False if self.no_header else None

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
        return ImageSettings(**{name: getattr(self, name) for name in _OF_IMAGES})

    def to_form(self, form: ImageForm | None) -> Source:
        """Return the same source, its images brought to the form of training."""
        if form is None:
            return self
        color = "grey" if form.channels == 1 else "rgb"
        return replace(self, size=(form.height, form.width), resize=form.resize, color=color)

    def load(self, require_target: bool = True, kinds: Mapping[str, ColumnKind] | None = None) -> Dataset:
        """Read the data, with columns as `kinds` says."""
        return self._read(self.target, require_target, kinds)

    def _read(
        self, target: str | tuple[()] | None, require_target: bool, kinds: Mapping[str, ColumnKind] | None
    ) -> Dataset:
        return load(
            self.data,
            target=target,
            data_dir=self.data_dir,
            delimiter=self.delimiter,
            encoding=self.encoding,
            header=self.has_header,
            require_target=require_target,
            images=self.images,
            kinds=kinds,
        )

    def located(self) -> Source:
        """Return the same source with absolute paths, so that it is found from any folder."""
        data = self.data if self.data in bundled_names() else str(Path(self.data).absolute())
        target = self.target
        if target is not None and self.in_arrays and Path(target).is_file():
            target = str(Path(target).absolute())
        folder = None if self.data_dir is None else str(Path(self.data_dir).absolute())
        return replace(self, data=data, target=target, data_dir=folder)


def _is_tuple_of(value: Any, allowed: Callable[[Any], bool]) -> bool:
    return isinstance(value, tuple) and all(map(allowed, value))


def _names(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


_WIDTHS = Allowed("are widths", lambda value: _is_tuple_of(value, PARAMETERS["width"].holds), ((0,), "3", None))
_NAMES = Allowed(
    "is a list of names",
    lambda value: _is_tuple_of(value, _TEXT.holds),
    ((1,), "r2", None),
    read=_names,
)
_LAYERS = Allowed(
    "is a list of described layers",
    lambda value: _is_tuple_of(value, lambda layer: isinstance(layer, dict) and isinstance(layer.get("type"), str)),
    (("Dense",), {}, None),
)
DENSE = "mlp"
"""The architecture that `layers` gives the widths of."""
IMAGE_CHANGES = (*AUGMENTATIONS, "noise", "mixup")
"""What training may do to images at random."""
_RATE = PARAMETERS["learning_rate"]


def _is_rate(item: Any) -> bool:
    """Whether an item is PATTERN=RATE."""
    if not isinstance(item, str) or "=" not in item:
        return False
    try:
        return _RATE.holds(_RATE.read(item.rpartition("=")[2])) and not item.startswith("=")
    except ValueError:
        return False


_RATES = Allowed(
    "is a list of PATTERN=RATE, such as conv2d*=0.0001",
    lambda value: _is_tuple_of(value, _is_rate),
    (("conv2d1.W",), ("conv2d1.W=x",), "a=1", None),
    read=_names,
)
_AUGMENT = Allowed(
    f"is a list of names among {', '.join(IMAGE_CHANGES)}",
    lambda value: _is_tuple_of(value, word(*IMAGE_CHANGES).holds),
    (("blur",), "flip", None),
    read=_names,
)
TABLE_LOSSES = tuple(
    name
    for name, kind in LOSSES.items()
    if issubclass(kind, (OutputLoss, CrossEntropy, Focal, MultiMargin, MultiLabelMargin, DistributionLoss))
    and kind is not Poisson
)
"""The losses that fit one output a class or answer, or a standardised target, which is what the command builds."""
_OF_BIASES = ("class_prior", "target_mean")
"""The initialisers that make no weights. Of these the command offers the first: its targets are standardised."""


@dataclass(frozen=True)
class Choices:
    """How to train; what each may be is said here once, for the options and for the settings of a run.

    None and "auto" stand for what `defaults.complete` chooses; see `clearprop train --help`. With a `network`, which is
    the description of hidden layers, `arch` stays "auto".
    """

    arch: str = field(word("auto", DENSE, *ARCHITECTURES), "auto")
    network: tuple[dict[str, Any], ...] | None = field(_LAYERS.or_else(None), None)
    layers: tuple[int, ...] | None = field(_WIDTHS.or_else(None), None)
    activation: str | None = field(word(*ACTIVATIONS).or_else(None), None)
    weights: str = field(word("auto", *(name for name in INITIALIZERS if name not in _OF_BIASES)), "auto")
    output_bias: str = field(word("zeros", "class_prior"), "zeros")
    class_weight: str = field(word("none", "balanced"), "none")
    optimizer: str = field(word(*OPTIMIZERS, *WHOLE_BATCH), "adam")
    lr: float | None = field(PARAMETERS["learning_rate"].or_else(None), None)
    epochs: int | None = field(PARAMETERS["epochs"].or_else(None), None)
    batch_size: int | None = field(PARAMETERS["batch_size"].or_else(None), None)
    clip_norm: float | None = field(number("(0, inf)").or_else(None), None)
    dropout: float = field(PARAMETERS["dropout"], 0.0)
    l2: float | None = field(PARAMETERS["penalty"].or_else(None), None)
    l1: float = field(PARAMETERS["penalty"], 0.0)
    schedule: str | None = field(word(*SCHEDULES).or_else(None), None)
    loss: str = field(word("auto", *TABLE_LOSSES), "auto")
    task: str = field(word("auto", "classification", "regression", "multilabel", "text", "series"), "auto")
    validation: float | None = field(PARAMETERS["validation_fraction"].or_else(None), None)
    test: float = field(PARAMETERS["test_fraction"], 0.2)
    patience: int | None = field(PARAMETERS["patience"].or_else(None), None)
    metrics: tuple[str, ...] = field(_NAMES, ())
    dtype: str = field(PARAMETERS["dtype"], "float32")
    seed: int = field(PARAMETERS["seed"], 0)
    checkpoint_every: int | None = field(PARAMETERS["checkpoint_steps"].or_else(None), None)
    backend: str = field(word(DEFAULT_BACKEND, *BACKENDS), DEFAULT_BACKEND)
    scaling: str = field(word("auto", *SCALINGS), "auto")
    epsilon: float = field(number("(0, inf)"), 0.01)
    augment: tuple[str, ...] = field(_AUGMENT, ())
    cell: str | None = field(word(*CELLS, TRANSFORMER).or_else(None), None)
    units: int | None = field(PARAMETERS["width"].or_else(None), None)
    depth: int | None = field(whole_number(1).or_else(None), None)
    window: int | None = field(whole_number(1).or_else(None), None)
    level: str | None = field(word(*LEVELS).or_else(None), None)
    vocabulary: int | None = field(whole_number(1).or_else(None), None)
    stateful: bool = flag(False)
    forecast: tuple[str, ...] = field(_NAMES, ())
    covariates: tuple[str, ...] = field(_NAMES, ())
    time: str | None = field(_TEXT.or_else(None), None)
    horizon: int | None = field(whole_number(1).or_else(None), None)
    season: int | None = field(whole_number(1).or_else(None), None)
    start_from: str | None = field(_TEXT.or_else(None), None)
    new_head: bool = flag(False)
    freeze: tuple[str, ...] = field(_NAMES, ())
    rates: tuple[str, ...] = field(_RATES, ())

    @property
    def groups(self) -> list[tuple[str, float]]:
        """The patterns of parameters that have a learning rate of their own, and the rates."""
        return [(pattern, _RATE.read(rate)) for pattern, _, rate in (item.rpartition("=") for item in self.rates)]


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
        run.update_settings({SECTION: asdict(self)} | dict(more))

    @classmethod
    def of(cls, run: Run) -> Recipe:
        """Read the recipe of a run.

        Raises:
            FileFormatError: there is no run, or it was not trained by the command line, or its settings are damaged.
        """
        settings = run.read_settings()
        if SECTION not in settings:
            raise FileFormatError(
                f"{run.path} was not trained by `clearprop train`: go on in Python, or name data to evaluate or predict"
            )
        where = f"{run.settings}"
        content = _mapping(settings[SECTION], cls, where)
        source = _read(content["source"], Source, where, _SOURCE_UNWRITTEN)
        choices = _read(content["choices"], Choices, where, _UNWRITTEN)
        return cls(Source(**source), Choices(**choices), str(content["name"]), str(content["fingerprint"]))

    def load(self, data: str | None = None, kinds: Mapping[str, ColumnKind] | None = None) -> Dataset | Text | Series:
        """Read the run's data, from where it was or from where it is now, with columns as `kinds` says.

        Raises:
            DataError: it is not there, or it is not what the run was trained on.
        """
        if data is None and self.source.data not in bundled_names() and not Path(self.source.data).exists():
            raise DataError(
                f"the run's data, {self.source.data}, is no longer there: put it back, or name its new place: "
                "clearprop train DATA --resume RUN"
            )
        source = self.source if data is None else replace(self.source, data=data)
        dataset = source.load_for(self.choices, kinds)
        if dataset.fingerprint != self.fingerprint:
            raise DataError(
                f"{dataset.name} has changed since the run was trained: its content is not the same. "
                "Bring the earlier data back, or train a new run on this one"
            )
        return dataset

    def moved(self, data: str, name: str) -> Recipe:
        """Return the recipe for the same data in another place, under the name that it has there."""
        return replace(self, source=replace(self.source, data=data).located(), name=name)


_SOURCE_UNWRITTEN = {name: getattr(Source, name) for name in ("header", *_OF_IMAGES)}
RECURRENT = ("cell", "units", "depth", "window")
OF_TEXT = ("level", "vocabulary", "stateful")
OF_SERIES = ("forecast", "covariates", "time", "horizon", "season")
"""The choices that texts and series have in common, and those that each has alone."""
_OF_TRANSFER = ("start_from", "new_head", "freeze", "rates")
_LATER = (
    "network",
    "scaling",
    "epsilon",
    "augment",
    "weights",
    "output_bias",
    "class_weight",
    "clip_norm",
    *RECURRENT,
    *OF_TEXT,
    *OF_SERIES,
    *_OF_TRANSFER,
)
_UNWRITTEN = {"backend": "reference", "arch": DENSE} | {name: getattr(Choices, name) for name in _LATER}
"""What runs of earlier versions, which do not say it, were trained with."""


def _mapping(content: Any, kind: type, where: str, unwritten: Mapping[str, Any] | None = None) -> dict[str, Any]:
    wanted = {field.name for field in fields(kind)}
    if isinstance(content, dict):
        content = dict(unwritten or {}) | content
    if not isinstance(content, dict) or set(content) != wanted:
        raise FileFormatError(f"{where} is damaged: expected {', '.join(sorted(wanted))}")
    return content


def _read(content: Any, kind: type, where: str, unwritten: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a record that JSON kept, checked."""
    listed = _mapping(content, kind, where, unwritten)
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in listed.items()}
    for name, allowed in limits(kind).items():
        if not allowed.holds(values[name]):
            raise FileFormatError(f"{where} is damaged: {name} {allowed.words}, received {values[name]!r}")
    return values
