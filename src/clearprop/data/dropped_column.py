"""A column that is not used."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from clearprop.data.column_encoder import ColumnReport, Notes, Place, saved_column
from clearprop.data.columns import KINDS, Array
from clearprop.data.inference import ColumnKind


@dataclass(frozen=True)
class DroppedColumn:
    """A column that is not used, and why. It may be absent at prediction."""

    name: str
    raw_kind: str
    reason: str
    distinct: int
    missing: int
    kind: ClassVar[str] = "dropped"
    width: ClassVar[int] = 0
    wanted: ClassVar[ColumnKind] = ColumnKind("text")

    def encode(self, column: Array, place: Place, notes: Notes) -> Array:
        """Return no columns, shape (n, 0)."""
        return np.zeros((len(column), 0))

    def report(self) -> ColumnReport:
        """Return what became of the column."""
        return ColumnReport(self.name, self.raw_kind, "dropped", self.distinct, self.missing, 0, self.reason)

    def to_dict(self) -> dict[str, Any]:
        """Return the encoder as JSON."""
        return {"kind": self.kind, **vars(self)}

    @classmethod
    def from_dict(cls, content: object) -> "DroppedColumn":
        """Read what `to_dict` gave; raises FileFormatError."""
        state = saved_column(content, "a dropped column", cls)
        state.choice("raw_kind", KINDS)
        return cls(**state.values(cls))
