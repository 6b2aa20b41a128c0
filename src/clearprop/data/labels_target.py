"""Several answers a row as a target: which labels hold."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from clearprop.data.columns import Array
from clearprop.data.saved_state import SavedState
from clearprop.data.target_encoding import ClassTarget, Task
from clearprop.errors import DataError


@dataclass(frozen=True, eq=False)
class LabelsTarget:
    """Columns of two values each as 0 and 1: the second of a column's values, sorted, is 1.

    Attributes:
        columns: the two values of each of the k columns.
    """

    columns: tuple[ClassTarget, ...]
    task: ClassVar[Task] = "multilabel"
    classes: ClassVar[None] = None

    @classmethod
    def fit(cls, target: Array, where: str) -> "LabelsTarget":
        """Return the values of a target of shape (n, k); raises DataError for a column that has not two of them."""
        if target.ndim != 2:
            raise DataError(f"{where} has shape {target.shape}: multilabel takes several columns, (n, k)")
        columns = tuple(ClassTarget.fit(column, _of(where, j)) for j, column in enumerate(target.T, 1))
        for j, column in enumerate(columns, 1):
            if len(column.classes) != 2:
                raise DataError(
                    f"{_of(where, j)}: it has {len(column.classes)} different values, and several targets are either "
                    "answers of two values each, or numbers, which the task regression learns"
                )
        return cls(columns)

    @property
    def n_outputs(self) -> int:
        """The number of columns."""
        return len(self.columns)

    def encode(self, target: Array, where: str) -> Array:
        """Return 0 and 1, float64 of shape (n, k); raises DataError for a value that is neither of a column's."""
        if target.ndim != 2 or target.shape[1] != len(self.columns):
            raise DataError(f"{where} has shape {target.shape}: expected {len(self.columns)} answers a row")
        pairs = enumerate(zip(self.columns, target.T, strict=True), 1)
        return np.column_stack([column.encode(given, _of(where, j)) for j, (column, given) in pairs]).astype(np.float64)

    def decode(self, outputs: Array) -> Array:
        """Return the values (n, k) that probabilities (n, k) say: the second of a column's where it is above 1/2."""
        if outputs.ndim != 2 or outputs.shape[1] != len(self.columns):
            raise DataError(f"outputs of shape {outputs.shape}: expected (n, {len(self.columns)}), one an answer")
        parts = zip(self.columns, outputs.T, strict=True)
        return np.column_stack([column.decode(given[:, None]) for column, given in parts])

    def to_dict(self) -> dict[str, Any]:
        """Return the values as JSON."""
        return {"task": self.task, "columns": [column.to_dict() for column in self.columns]}

    @classmethod
    def from_dict(cls, content: object) -> "LabelsTarget":
        """Read what `to_dict` gave; raises FileFormatError."""
        state = SavedState(content, "the target's encoding", ("task", "columns"))
        columns = tuple(ClassTarget.from_dict(column) for column in state.items("columns"))
        state.require(bool(columns) and all(len(column.classes) == 2 for column in columns), "columns of two values")
        return cls(columns)


def _of(where: str, column: int) -> str:
    return f"{where}, target {column}"
