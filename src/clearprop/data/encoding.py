"""`Encoding`: what training learned about the raw data, so that a prediction sees the same numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from clearprop.data.array_features import ArrayFeatures
from clearprop.data.column_encoder import ColumnReport
from clearprop.data.columns import DTYPES, KINDS, Array
from clearprop.data.dataset import Features
from clearprop.data.frames import features_of
from clearprop.data.image_features import SCALINGS, ImageFeatures
from clearprop.data.image_settings import ImageForm
from clearprop.data.inference import ColumnKind
from clearprop.data.labels_target import LabelsTarget
from clearprop.data.printable import listed, quoted
from clearprop.data.saved_state import SavedState
from clearprop.data.table import Table
from clearprop.data.table_features import TableFeatures
from clearprop.data.target_encoding import ClassTarget, NumberTarget, Task, guess_task
from clearprop.errors import DataError, SettingsError

FORMAT_VERSION = 1
_TARGETS: dict[str, type[ClassTarget | NumberTarget | LabelsTarget]] = {
    target.task: target for target in (ClassTarget, NumberTarget, LabelsTarget)
}
_TASKS = ("auto", *_TARGETS)
_AUTO = "auto"
_EPSILON = 0.01

Inputs: TypeAlias = TableFeatures | ArrayFeatures | ImageFeatures


@dataclass(frozen=True)
class Encoding:
    """Raw features and target as float arrays, and back; fitted on the training part only.

    Features of a table are encoded column by column: numbers standardised, booleans 0 and 1, words one-hot, dates as
    days and circles, missing values with an indicator (see `NumberColumn`, `BooleanColumn`, `CategoryColumn`,
    `DateColumn`); constant columns and identifiers are dropped, with a note. Features that are an array are scaled
    (`ArrayFeatures`), or as images, where a way to scale those is chosen (`ImageFeatures`). Labels become class
    indices, numbers of a target are standardised.

    What happens at prediction: columns are found by name, in any order; an absent one is a DataError, an extra
    one is ignored; a new category is encoded as none of the known ones; a missing value where training had none is
    taken as the mean or the most common value; a number that arrives as text is read, a word in its place is a
    DataError with column, place and value. `inspect` tells which of the tolerated cases occurred.

    What a column holds was decided in training, from all of its rows there. `kinds` keeps it, and a source that is read
    with it (`load`, `iter_tables`) gives each row the same values whatever rows stand beside it.

    Attributes:
        inputs, outputs: the encoders of features and target.
        target_name: the name of the target, a tuple of names for several, or None.
        dtype: of the encoded features and of regression targets.
        notes: what was decided when fitting, in words for the user.
        targets: what each target was read as, where it came as text; empty where that is not known.
    """

    inputs: Inputs
    outputs: ClassTarget | NumberTarget | LabelsTarget
    target_name: str | tuple[str, ...] | None
    dtype: str
    notes: tuple[str, ...]
    targets: tuple[ColumnKind | None, ...] = ()

    @classmethod
    def fit(
        cls,
        features: Features,
        target: Array,
        *,
        target_name: str | Sequence[str] | None = None,
        task: str = "auto",
        dtype: str = "float32",
        scaling: str = _AUTO,
        epsilon: float = _EPSILON,
        form: ImageForm | None = None,
    ) -> "Encoding":
        """Return the encoding of a training part.

        Args:
            features: a `Table`, a data frame, columns by name, or an array of numbers (n, ...).
            target: labels or numbers, (n,), or (n, k) for several numbers or answers.
            target_name: what to call the target in messages and reports.
            task: "classification", "regression", "multilabel" (several answers of two values each, as which
                classification of several targets is taken too), or "auto": text, booleans and few different whole
                numbers are classes (`guess_task` holds the exact rule); the notes say what was chosen and why.
            dtype: "float32" or "float64".
            scaling: how images are scaled: "pixels", "whole", "channel", "pixel", "pca" or "zca" (`ImageFeatures`);
                "auto" is "pixels" for image files, and for other arrays what `ArrayFeatures` finds.
            epsilon: for "pca" and "zca".
            form: how files became the images (`Dataset.form`); it is kept, so that a prediction can read files.

        Raises:
            DataError: features or target cannot be learned from; the message names row and column.
            SettingsError: `task`, `dtype`, `scaling` or `epsilon` is not one of the above.
        """
        _check_choice("task", task, _TASKS)
        _check_choice("dtype", dtype, DTYPES)
        _check_choice("scaling", scaling, (_AUTO, *SCALINGS))
        features, values = features_of(features), np.asarray(target)
        if values.ndim == 0 or len(values) != len(features):
            raise DataError(f"{len(features)} rows of features and a target of shape {values.shape}: expected as many")
        if not len(features):
            raise DataError("there are no rows to learn from")
        if values.ndim == 2 and values.shape[1] == 1 and task == "classification":
            values = values[:, 0]
        task = "multilabel" if values.ndim == 2 and task == "classification" else task
        name = target_name if isinstance(target_name, str) or target_name is None else tuple(target_name)
        outputs, note = _fit_target(values, _where(name), task)
        inputs: Inputs
        if scaling != _AUTO or form is not None:
            inputs = ImageFeatures.fit(features, "pixels" if scaling == _AUTO else scaling, epsilon, form)
        else:
            inputs = TableFeatures.fit(features) if isinstance(features, Table) else ArrayFeatures.fit(features)
        kinds = features.kinds if isinstance(features, Table) else {}
        targets = tuple(kinds.get(column) for column in _names(name)) if kinds else ()
        return cls(inputs, outputs, name, dtype, (note, *inputs.notes()), targets)

    @property
    def task(self) -> Task:
        """ "classification", "regression" or "multilabel"."""
        return self.outputs.task

    @property
    def classes(self) -> Array | None:
        """The raw labels in the order of the outputs; None where these are numbers or answers."""
        return self.outputs.classes

    @property
    def n_outputs(self) -> int:
        """The number of classes, or of targets."""
        return self.outputs.n_outputs

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one encoded sample."""
        return self.inputs.shape

    @property
    def form(self) -> ImageForm | None:
        """How image files become the arrays of training; None if it had none."""
        return self.inputs.source if isinstance(self.inputs, ImageFeatures) else None

    @property
    def kinds(self) -> dict[str, ColumnKind]:
        """What `load` and `iter_tables` are to read each column as, the target among them: what it was in training.

        Columns of training that are not used are read as text; there are none for features that are an array.
        """
        columns = self.inputs.kinds if isinstance(self.inputs, TableFeatures) else {}
        words = isinstance(self.outputs, ClassTarget) and self.outputs.kind == "text"
        targets = zip(_names(self.target_name), self.targets or (ColumnKind("text") if words else None,), strict=False)
        return columns | {name: kind for name, kind in targets if kind is not None}

    @property
    def arrays(self) -> dict[str, Array]:
        """What the encoding holds beside its JSON values, by name: means, scales and matrices of images."""
        return self.inputs.arrays if isinstance(self.inputs, ImageFeatures) else {}

    def features(self, features: Features) -> Array:
        """Return features encoded: (n, *input_shape), C-contiguous, of the encoding's dtype.

        Raises DataError, naming the place, for what the class docstring does not tolerate.
        """
        return self.inputs.encode(self._read(features), self.dtype)[0]

    def inspect(self, features: Features) -> tuple[str, ...]:
        """Return, in words, what is unusual about features and tolerated; raises what `features` raises."""
        return self.inputs.encode(self._read(features), self.dtype)[1]

    def _read(self, features: Features) -> Features:
        """Return features as a table or an array; `kinds` is only looked up for those that are neither yet."""
        return features if isinstance(features, Table | np.ndarray) else features_of(features, self.kinds)

    def target(self, target: Array) -> Array:
        """Return a target encoded.

        Classification: class indices, int64 (n,). Regression: (y - mean) / scale, (n, k), of the encoding's dtype;
        answers: 0 and 1, alike. Raises DataError for a label that is none of the classes, a missing value, a word for
        a number.
        """
        encoded = self.outputs.encode(np.asarray(target), _where(self.target_name))
        if self.task == "classification":
            return encoded
        with np.errstate(over="ignore"):
            numbers = np.ascontiguousarray(encoded, dtype=self.dtype)
        if not np.isfinite(numbers).all():
            row = int(np.argwhere(~np.isfinite(numbers))[0, 0])
            raise DataError(f"{_where(self.target_name)}, row {row + 1}: the number is too large for {self.dtype}")
        return numbers

    def decode(self, outputs: Array) -> Array:
        """Return outputs as labels or in the target's units.

        Classification: (n, classes) probabilities or scores -> (n,) labels, those of the highest score.
        Answers: (n, k) probabilities -> (n, k) of each column's two values.
        Regression: (n, k) -> float64 y = z * scale + mean, of shape (n,) if the target was, else (n, k).
        """
        return self.outputs.decode(np.asarray(outputs))

    def describe(self) -> list[ColumnReport]:
        """Return what became of each raw column, in order; one report for features that are an array."""
        return self.inputs.reports()

    def to_dict(self) -> dict[str, Any]:
        """Return the encoding as JSON values, without its `arrays`; floats survive exactly."""
        name = list(self.target_name) if isinstance(self.target_name, tuple) else self.target_name
        return {
            "version": FORMAT_VERSION,
            "inputs": self.inputs.to_dict(),
            "outputs": self.outputs.to_dict(),
            "target_name": name,
            "dtype": self.dtype,
            "notes": list(self.notes),
            "targets": [None if kind is None else vars(kind) for kind in self.targets],
        }

    @classmethod
    def from_dict(cls, content: object, arrays: Mapping[str, Array] | None = None) -> "Encoding":
        """Read what `to_dict` and `arrays` gave, the former through JSON or not.

        Raises FileFormatError, naming the field, for anything else: foreign, damaged, or of a newer version.
        """
        names = ("version", "inputs", "outputs", "target_name", "dtype", "notes", "targets")
        state = SavedState(content, "the encoding", names, {"targets": ()})
        state.require(state.count("version") == FORMAT_VERSION, f"version {FORMAT_VERSION}")
        name = state.raw("target_name")
        return cls(
            _inputs_from_dict(state.raw("inputs"), dict(arrays or {})),
            _target_from_dict(state.raw("outputs")),
            None
            if name is None
            else state.text("target_name")
            if isinstance(name, str)
            else state.texts("target_name"),
            state.choice("dtype", DTYPES),
            state.texts("notes"),
            tuple(map(_kind_from_dict, state.items("targets"))),
        )


def _inputs_from_dict(content: object, arrays: dict[str, Array]) -> Inputs:
    form = content.get("form") if isinstance(content, dict) else None
    if form == ImageFeatures.form:
        return ImageFeatures.from_dict(content, arrays)
    return TableFeatures.from_dict(content) if form == TableFeatures.form else ArrayFeatures.from_dict(content)


def _target_from_dict(content: object) -> ClassTarget | NumberTarget | LabelsTarget:
    task = content.get("task") if isinstance(content, dict) else None
    return _TARGETS.get(str(task), ClassTarget).from_dict(content)


def _kind_from_dict(content: object) -> ColumnKind | None:
    if content is None:
        return None
    state = SavedState(content, "the kind of a target", ("kind", "decimal"))
    kind: Any = state.choice("kind", KINDS)
    return ColumnKind(kind, state.decimal("decimal"))


def _fit_target(target: Array, where: str, task: str) -> tuple[ClassTarget | NumberTarget | LabelsTarget, str]:
    guess = guess_task(target)
    chosen: str = guess.task if task == "auto" else task
    note = f"task {guess.reason}" if task == "auto" else f"task {task}, as given"
    return _TARGETS[chosen].fit(target, where), note


def _names(target: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return () if target is None else (target,) if isinstance(target, str) else target


def _where(name: str | tuple[str, ...] | None) -> str:
    if name is None:
        return "the target"
    return f"the target {listed(_names(name))}"


def _check_choice(setting: Literal["task", "dtype", "scaling"], value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise SettingsError(f"{setting} is {quoted(value)}: expected one of {', '.join(choices)}")
