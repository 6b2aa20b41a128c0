"""The target as numbers to train on, and outputs as labels or numbers again."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np

from clearprop.data.columns import Array, canonical, kind_of, text_of
from clearprop.data.inference import parse_number, parse_truth, whole_if_possible
from clearprop.data.printable import listed, quoted
from clearprop.data.saved_state import SavedState
from clearprop.data.statistics import statistics
from clearprop.data.table import Table
from clearprop.data.targets import refuse_missing
from clearprop.errors import DataError, FileFormatError

Task: TypeAlias = Literal["classification", "regression", "multilabel"]
ClassKind: TypeAlias = Literal["text", "integer", "float", "boolean"]

MOST_CLASSES = 20


@dataclass(frozen=True)
class TaskGuess:
    """A task and why it was chosen, in words for the user."""

    task: Task
    reason: str


def guess_task(target: Array) -> TaskGuess:
    """Return whether a target of shape (n,) or (n, k) is classes or numbers.

    Several targets are answers if all are 0 or 1, or text, or booleans, and else regression, as are numbers of which
    one is not whole. Text and booleans are classification. Whole numbers are classification if there are at most 20
    different ones and, on average, at least two rows of each (or only two different ones), else regression.
    """
    if target.ndim > 1 and target.shape[1] > 1 and (target.dtype.kind not in "iuf" or np.isin(target, (0, 1)).all()):
        reason = f"there are {target.shape[1]} targets of two values (give the task as regression to change that)"
        return TaskGuess("multilabel", f"multilabel: {reason}")
    if target.ndim > 1:
        return TaskGuess("regression", f"regression: there are {target.shape[1]} targets")
    if target.dtype.kind not in "iuf":
        what = "booleans" if target.dtype.kind == "b" else "text"
        return TaskGuess("classification", f"classification: the target is {what}")
    if target.dtype.kind == "f" and not (np.floor(target) == target).all():
        return TaskGuess("regression", "regression: the target has numbers that are not whole")
    different = len(np.unique(target))
    if different <= min(MOST_CLASSES, max(2, len(target) // 2)):
        reason = f"the target has {different} different whole numbers (give the task as regression to change that)"
        return TaskGuess("classification", f"classification: {reason}")
    return TaskGuess("regression", f"regression: the target has {different} different whole numbers")


@dataclass(frozen=True, eq=False)
class ClassTarget:
    """Labels as class indices: label = classes[index], the classes sorted.

    Attributes:
        classes: the labels as they came (text, integers, floats or booleans), sorted, shape (number of classes,).
    """

    classes: Array
    task: ClassVar[Task] = "classification"

    @classmethod
    def fit(cls, target: Array, where: str) -> "ClassTarget":
        """Return the classes of a target.

        Raises DataError for fewer than two, for as many as rows, and for numbers so large that a float64 takes
        neighbours for the same.
        """
        labels = _labels(target, where)
        classes = np.unique(labels)
        if classes.dtype.kind == "f" and (np.abs(classes) >= 2**53).any():
            raise DataError(
                f"{where}: {classes[np.argmax(np.abs(classes))]:g} is too large a number for a label, since a float64 "
                "does not tell it from the next; give the labels as integers that fit int64, or as text, or choose the "
                "task regression for numbers"
            )
        if len(classes) < 2:
            raise DataError(
                f"{where}: all {len(labels)} rows have the one class {quoted(text_of(classes[0]))}: "
                "there is nothing to tell apart; check the target, or that no class was filtered out"
            )
        if len(classes) == len(labels) > 2:
            raise DataError(
                f"{where}: each of the {len(labels)} rows to learn from is a class of its own; classes must repeat, "
                "so choose another target, or the task regression for numbers"
            )
        return cls(classes)

    @property
    def n_outputs(self) -> int:
        """The number of classes."""
        return len(self.classes)

    def encode(self, target: Array, where: str) -> Array:
        """Return the class index of each label, int64 of shape (n,); raises DataError for an unknown label."""
        given = _labels(target, where)
        labels = _as_kind(given, self.kind, where)
        index = np.searchsorted(self.classes, labels)
        index = np.minimum(index, len(self.classes) - 1)
        unknown = np.flatnonzero(self.classes[index] != labels)
        if len(unknown):
            known = listed([text_of(label) for label in self.classes])
            raise DataError(
                f"{where}, row {unknown[0] + 1}: {quoted(text_of(given[unknown[0]]))} is not one of the classes "
                f"{known} ({len(unknown)} such rows)"
            )
        return index.astype(np.int64)

    def decode(self, outputs: Array) -> Array:
        """Return the label of the highest score of each row of (n, classes); the first of equal ones.

        Of two classes (n, 1) may hold the probability of the second alone.
        """
        if outputs.ndim == 2 and outputs.shape[1] == 1 and len(self.classes) == 2:
            return np.asarray(self.classes[(outputs[:, 0] > 0.5).astype(np.int64)])
        if outputs.ndim != 2 or outputs.shape[1] != len(self.classes):
            raise DataError(f"outputs of shape {outputs.shape}: expected (n, {len(self.classes)}), a score a class")
        return np.asarray(self.classes[np.argmax(outputs, axis=1)])

    @property
    def kind(self) -> ClassKind:
        """What the labels are."""
        kinds: dict[str, ClassKind] = {"b": "boolean", "i": "integer", "f": "float"}
        return kinds.get(self.classes.dtype.kind, "text")

    def to_dict(self) -> dict[str, Any]:
        """Return the classes as JSON."""
        return {"task": self.task, "kind": self.kind, "classes": self.classes.tolist()}

    @classmethod
    def from_dict(cls, content: object) -> "ClassTarget":
        """Read what `to_dict` gave; raises FileFormatError."""
        state = SavedState(content, "the target's encoding", ("task", "kind", "classes"))
        state.choice("task", (cls.task,))
        kinds: dict[str, tuple[type, Any]] = {
            "text": (str, np.str_),
            "integer": (int, np.int64),
            "float": (float, np.float64),
            "boolean": (bool, np.bool_),
        }
        python, dtype = kinds[state.choice("kind", tuple(kinds))]
        labels = state.items("classes")
        state.require(all(type(label) is python for label in labels), f"classes of type {python.__name__}")
        try:
            classes = np.array(labels, dtype=dtype)
        except OverflowError as error:
            raise FileFormatError("the target's encoding: a class is too large an integer") from error
        ordered = len(classes) >= 2 and bool((classes[:-1] < classes[1:]).all())
        state.require(ordered and (python is not float or bool(np.isfinite(classes).all())), "classes in order")
        return cls(classes)


@dataclass(frozen=True)
class NumberTarget:
    """Numbers standardised: z = (y - mean) / scale, with the statistics of the training part.

    Attributes:
        mean, scale: one entry for each of the k targets.
        flat: whether the target was (n,), so that decoded outputs are too.
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    flat: bool
    task: ClassVar[Task] = "regression"
    classes: ClassVar[None] = None

    @classmethod
    def fit(cls, target: Array, where: str) -> "NumberTarget":
        """Return the statistics of a target of shape (n,) or (n, k); raises DataError for one that never varies."""
        numbers = _numbers(target, where)
        found = [statistics(column) for column in numbers.T]
        for i, column in enumerate(found):
            if column.constant:
                which = where if len(found) == 1 else f"{where}, target {i + 1}"
                raise DataError(f"{which}: all {len(numbers)} values are {column.mean:g}: there is nothing to learn")
        return cls(tuple(s.mean for s in found), tuple(s.scale for s in found), target.ndim == 1)

    @property
    def n_outputs(self) -> int:
        """The number of targets."""
        return len(self.mean)

    def encode(self, target: Array, where: str) -> Array:
        """Return the standardised target, float64 of shape (n, k)."""
        numbers = _numbers(target, where)
        if numbers.shape[1] != len(self.mean):
            raise DataError(f"{where}: {numbers.shape[1]} numbers a row, expected {len(self.mean)}")
        return np.asarray((numbers - np.asarray(self.mean)) / np.asarray(self.scale))

    def decode(self, outputs: Array) -> Array:
        """Return outputs (n, k) in the target's units, float64: (n,) if the target was, else (n, k)."""
        if outputs.ndim != 2 or outputs.shape[1] != len(self.mean):
            raise DataError(f"outputs of shape {outputs.shape}: expected (n, {len(self.mean)})")
        numbers = np.asarray(outputs, dtype=np.float64) * np.asarray(self.scale) + np.asarray(self.mean)
        return np.asarray(numbers[:, 0] if self.flat else numbers)

    def to_dict(self) -> dict[str, Any]:
        """Return the statistics as JSON."""
        return {"task": self.task, "mean": list(self.mean), "scale": list(self.scale), "flat": self.flat}

    @classmethod
    def from_dict(cls, content: object) -> "NumberTarget":
        """Read what `to_dict` gave; raises FileFormatError."""
        state = SavedState(content, "the target's encoding", ("task", "mean", "scale", "flat"))
        mean, scale, flat = state.numbers("mean"), state.positives("scale"), state.flag("flat")
        state.require(0 < len(mean) == len(scale) and (not flat or len(mean) == 1), "as many means as scales")
        return cls(mean, scale, flat)


def _labels(target: Array, where: str) -> Array:
    """The labels of a target as str, int64, float64 or bool, none of them missing."""
    if target.ndim != 1:
        raise DataError(f"{where} has shape {target.shape}: classification takes one label a row, shape (n,)")
    if not len(target):
        raise DataError(f"{where} is empty: expected one label a row")
    column = canonical("target", target)
    refuse_missing(column, Table({}), where)
    if kind_of(column) == "date":
        raise DataError(f"{where} holds dates, which are not classes: derive labels from them")
    if column.dtype.kind == "f" and np.isinf(column).any():
        raise DataError(f"{where}, row {int(np.argmax(np.isinf(column))) + 1}: infinity is not a class")
    return column.astype(str) if kind_of(column) == "text" else column


def _as_kind(labels: Array, kind: ClassKind, where: str) -> Array:
    """Labels of another type as the type of the classes: '3' and 3 are the same class."""
    if kind == "text":
        return labels if labels.dtype.kind == "U" else np.array([text_of(label) for label in labels.tolist()])
    if labels.dtype.kind != "U":
        return labels
    if kind == "boolean":
        truth = [parse_truth(label) for label in labels.tolist()]
        return np.array([2 if value is None else value for value in truth])
    numbers = np.array([_parsed(label, i, where) for i, label in enumerate(labels.tolist())], dtype=np.float64)
    return whole_if_possible(numbers, lambda: labels.tolist())


def _numbers(target: Array, where: str) -> Array:
    """A target as finite float64 of shape (n, k)."""
    if target.ndim not in (1, 2) or target.size == 0:
        raise DataError(f"{where} has shape {target.shape}: regression takes (n,) or (n, k)")
    columns = [canonical("target", column) for column in target.reshape(len(target), -1).T]
    return np.column_stack([_finite(column, where) for column in columns])


def _finite(column: Array, where: str) -> Array:
    refuse_missing(column, Table({}), where)
    if kind_of(column) == "date":
        raise DataError(f"{where} holds dates, and regression predicts numbers: derive a number from them")
    if kind_of(column) == "text":
        column = np.array([_parsed(text, i, where) for i, text in enumerate(column.tolist())])
    numbers = column.astype(np.float64)
    infinite = np.flatnonzero(np.isinf(numbers))
    if len(infinite):
        raise DataError(f"{where}, row {infinite[0] + 1}: infinity cannot be learned; correct the value")
    return numbers


def _parsed(label: str, row: int, where: str) -> float:
    number = parse_number(label)
    if number is None:
        raise DataError(
            f"{where}, row {row + 1}: {quoted(label)} is not a number, which the task regression is about; correct it, "
            "or choose the task classification for labels"
        )
    return number
