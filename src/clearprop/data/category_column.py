"""A column of words, one-hot."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from clearprop.data.column_encoder import ColumnEncoder, ColumnReport, Notes, Place, note_missing, saved_column
from clearprop.data.columns import Array, missing_mask, text_of
from clearprop.data.dropped_column import DroppedColumn
from clearprop.data.inference import ColumnKind
from clearprop.data.near_misses import remedy
from clearprop.data.printable import listed, quoted

MOST_CATEGORIES = 100
_FEW_DISTINCT = 10


@dataclass(frozen=True)
class CategoryColumn:
    """Words one-hot: a column for each category, sorted, 1 where the value is it and 0 elsewhere.

    If the training part had missing values, "missing" is one more category, the last. Exactly two categories take one
    column: 0 for the first, 1 for the second. A category that training did not have is 0 everywhere (one half,
    between the two, if there is one column). A missing value where training had none is taken as the most common
    category.
    """

    name: str
    categories: tuple[str, ...]
    common: str
    level: bool
    missing: int
    kind: ClassVar[str] = "text"
    wanted: ClassVar[ColumnKind] = ColumnKind("text")

    @classmethod
    def fit(cls, name: str, column: Array, place: Place) -> "ColumnEncoder":
        """Return the encoder of a column of text; constant and nearly unique ones are dropped."""
        gaps = missing_mask(column)
        present = [text_of(value) for value in column[~gaps].tolist()]
        categories, counts = np.unique(np.array(present, dtype=object), return_counts=True)
        distinct, missing = len(categories), int(gaps.sum())
        if distinct == 1 and not missing:
            return DroppedColumn(name, cls.kind, f"all values are {quoted(categories[0])}", distinct, missing)
        unique = distinct > _FEW_DISTINCT and 2 * distinct > len(present)
        if unique or distinct > MOST_CATEGORIES:
            why = f"{distinct} different texts in {len(present)} rows: an identifier or free text, not categories"
            why += remedy(categories.tolist())
            return DroppedColumn(name, cls.kind, why, distinct, missing)
        common = str(categories[int(np.argmax(counts))])
        return cls(name, tuple(categories.tolist()), common, missing > 0, missing)

    @property
    def width(self) -> int:
        """The number of categories, "missing" among them; 1 for two."""
        levels = len(self.categories) + self.level
        return 1 if levels == 2 else levels

    def encode(self, column: Array, place: Place, notes: Notes) -> Array:
        """Return the one-hot columns. Numbers are taken as the text that stands for them: 2 and 2.0 as '2'."""
        codes = self._codes(column, notes)
        levels = len(self.categories) + self.level
        if levels == 2:
            return np.where(codes < 0, 0.5, codes.astype(np.float64))[:, None]
        return np.asarray(codes[:, None] == np.arange(levels), dtype=np.float64)

    def _codes(self, column: Array, notes: Notes) -> Array:
        """The index of each value's category, -1 for one that is new."""
        gaps = missing_mask(column)
        if not self.level:
            note_missing(self.name, gaps, f"{quoted(self.common)}, the most common category", notes)
        index = {category: i for i, category in enumerate(self.categories)}
        absent = len(self.categories) if self.level else index[self.common]
        values = [None if gap else text_of(v) for v, gap in zip(column.tolist(), gaps, strict=True)]
        codes = np.array([absent if value is None else index.get(value, -1) for value in values], dtype=np.int64)
        if (codes < 0).any():
            new = sorted({value for value, code in zip(values, codes, strict=True) if code < 0 and value is not None})
            notes.add(
                self.name,
                f"{int((codes < 0).sum())} values are categories that training did not have ({listed(new, 3)}): "
                "encoded as none of the known ones",
            )
        return codes

    def report(self) -> ColumnReport:
        """Return what became of the column."""
        distinct = len(self.categories)
        words = "0 and 1" if self.width == 1 else f"one-hot, {self.width} categories"
        words += ", missing is one of them" if self.level else ""
        words += remedy(self.categories)
        return ColumnReport(self.name, self.kind, words, distinct, self.missing, self.width)

    def to_dict(self) -> dict[str, Any]:
        """Return the encoder as JSON."""
        return {"kind": self.kind, **vars(self), "categories": list(self.categories)}

    @classmethod
    def from_dict(cls, content: object) -> "CategoryColumn":
        """Read what `to_dict` gave; raises FileFormatError."""
        state = saved_column(content, "a column of text", cls)
        categories, common = state.texts("categories"), state.text("common")
        state.require(list(categories) == sorted(set(categories)) and common in categories, "sorted categories")
        return cls(**state.values(cls))
