"""An array of any rank, scaled."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np

from clearprop.data.column_encoder import ColumnReport
from clearprop.data.columns import Array, kind_of, missing_mask
from clearprop.data.dataset import Features
from clearprop.data.pixels import PIXEL, notes_on_pixels
from clearprop.data.printable import listed
from clearprop.data.saved_state import SavedState
from clearprop.data.statistics import statistics
from clearprop.data.storage import blocks, empty, is_mapped
from clearprop.data.table import Table
from clearprop.errors import DataError

Scaling: TypeAlias = Literal["pixels", "columns", "whole"]

_LEAST_PIXEL_MAXIMUM = 128
_BLOCK = 1 << 14  # rows standardised at a time: float64 copies of a large array are not affordable


@dataclass(frozen=True)
class ArrayFeatures:
    """An array scaled as a whole, or column by column.

    * pixels: uint8 of rank 2 or more whose largest training value is at least 128: x / 255.
    * columns: other arrays of rank 2 (and 1, which is one column): each column standardised, constant ones left out;
      a missing value (NaN) is the mean, and for each column that had any in training an indicator follows at the end.
    * whole: other arrays of rank 3 and more: (x - mean) / scale with one mean and scale; NaN is an error.

    Attributes:
        scaling: one of the three.
        sample_shape: the shape of one raw sample.
        mean, scale: one entry for each kept column, or one in all; empty for pixels.
        kept: the columns that are used, for the scaling by columns.
        indicators: those of the columns that had missing values in training.
        missing: how many values were missing in training.
    """

    scaling: Scaling
    sample_shape: tuple[int, ...]
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    kept: tuple[int, ...] = ()
    indicators: tuple[int, ...] = ()
    missing: int = 0
    form: ClassVar[str] = "array"

    @classmethod
    def fit(cls, features: Array) -> "ArrayFeatures":
        """Return the scaling of an array (n, ...); raises DataError for what is not finite, and if nothing varies."""
        array = _samples(features)
        sample_shape = array.shape[1:]
        if array.dtype == np.uint8 and array.ndim >= 2 and int(array.max()) >= _LEAST_PIXEL_MAXIMUM:
            return cls("pixels", sample_shape)
        if array.ndim == 2:
            return cls._fit_columns(array)
        _refuse_not_finite(array, allow_missing=False)
        found = statistics(array)
        if found.constant:
            raise DataError(f"all values of the features are {found.mean:g}: there is nothing to learn from")
        return cls("whole", sample_shape, (found.mean,), (found.scale,))

    @classmethod
    def _fit_columns(cls, array: Array) -> "ArrayFeatures":
        _refuse_not_finite(array, allow_missing=True)
        kept, mean, scale, indicators, missing = [], [], [], [], 0
        for i in range(array.shape[1]):
            column = array[:, i].astype(np.float64)
            gaps = np.isnan(column)
            if gaps.all():
                continue
            found = statistics(column[~gaps])
            if found.constant and not gaps.any():
                continue
            kept.append(i)
            mean.append(found.mean)
            scale.append(found.scale)
            missing += int(gaps.sum())
            if gaps.any():
                indicators.append(i)
        if not kept:
            raise DataError(
                f"all {array.shape[1]} columns of the features are constant: there is nothing to learn from"
            )
        return cls("columns", array.shape[1:], tuple(mean), tuple(scale), tuple(kept), tuple(indicators), missing)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one encoded sample."""
        if self.scaling == "columns":
            return (len(self.kept) + len(self.indicators),)
        return self.sample_shape

    def encode(self, features: Features, dtype: str) -> tuple[Array, tuple[str, ...]]:
        """Return the encoded array (n, *shape) and notes on what was unusual about it."""
        array = _samples(_from_table(features) if isinstance(features, Table) else features)
        if array.shape[1:] != self.sample_shape:
            raise DataError(
                f"features of shape {array.shape}: expected {self.sample_shape} for each sample, as in training"
            )
        _refuse_not_finite(array, allow_missing=self.scaling == "columns")
        if self.scaling == "pixels":
            return self._pixels(array, dtype)
        if self.scaling == "whole":
            return self._standardised(array, dtype), ()
        unexpected = self._unexpected_gaps(array)
        return self._standardised(array, dtype), unexpected

    def _pixels(self, array: Array, dtype: str) -> tuple[Array, tuple[str, ...]]:
        scaled = empty(array.shape, dtype, mapped=is_mapped(array))
        for rows in blocks(array):
            np.divide(array[rows], PIXEL, out=scaled[rows], dtype=dtype, casting="unsafe")
        return scaled, notes_on_pixels(array)

    def _standardised(self, array: Array, dtype: str) -> Array:
        encoded = empty((len(array), *self.shape), dtype, mapped=is_mapped(array))
        mean, scale = np.asarray(self.mean), np.asarray(self.scale)
        for start in range(0, len(array), _BLOCK):
            rows = slice(start, start + _BLOCK)
            block = array[rows].astype(np.float64)
            if self.scaling == "columns":
                gaps = np.isnan(block)
                encoded[rows, len(self.kept) :] = gaps[:, list(self.indicators)]
                kept = list(self.kept)
                block = np.where(gaps[:, kept], mean, block[:, kept])
            width = len(self.kept) if self.scaling == "columns" else None
            with np.errstate(over="ignore"):
                encoded[rows, :width] = (block - mean) / scale
        _refuse_not_finite(encoded, allow_missing=False)
        return encoded

    def _unexpected_gaps(self, array: Array) -> tuple[str, ...]:
        if array.dtype.kind != "f":
            return ()
        expected = set(self.indicators)
        new = [i for i in self.kept if i not in expected and np.isnan(array[:, i]).any()]
        if not new:
            return ()
        count = int(np.isnan(array[:, new]).sum())
        shown = listed([str(i) for i in new])
        return (f"{count} values are missing in columns {shown}, and none was in training: taken as the mean",)

    def reports(self) -> list[ColumnReport]:
        """Return one report on the whole array."""
        words = {
            "pixels": "x / 255",
            "columns": f"{len(self.kept)} columns standardised, {len(self.indicators)} for missing values",
            "whole": "standardised with one mean and one scale",
        }
        name = f"array {self.sample_shape}"
        width = int(np.prod(self.shape, dtype=np.int64))
        return [ColumnReport(name, "array", words[self.scaling], 0, self.missing, width)]

    def notes(self) -> tuple[str, ...]:
        """Return a note on the columns that were left out."""
        left = self.sample_shape[0] - len(self.kept) if self.scaling == "columns" else 0
        return (
            (f"{left} of {self.sample_shape[0]} columns are dropped: they are constant or all missing",) if left else ()
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the scaling as JSON."""
        lists = {key: list(value) if isinstance(value, tuple) else value for key, value in vars(self).items()}
        return {"form": self.form, **lists}

    @classmethod
    def from_dict(cls, content: object) -> "ArrayFeatures":
        """Read what `to_dict` gave; raises FileFormatError."""
        names = ("form", "scaling", "sample_shape", "mean", "scale", "kept", "indicators", "missing")
        state = SavedState(content, "the features' encoding", names)
        scaling: Any = state.choice("scaling", ("pixels", "columns", "whole"))
        encoder = cls(
            scaling,
            state.counts("sample_shape"),
            state.numbers("mean"),
            state.positives("scale"),
            state.counts("kept"),
            state.counts("indicators"),
            state.count("missing"),
        )
        state.require(encoder._consistent(), "statistics that fit the shape")
        return encoder

    def _consistent(self) -> bool:
        if len(self.mean) != len(self.scale):
            return False
        if self.scaling != "columns":
            return not self.kept and not self.indicators and len(self.mean) == (self.scaling == "whole")
        ordered = list(self.kept) == sorted(set(self.kept)) and list(self.indicators) == sorted(set(self.indicators))
        inside = len(self.sample_shape) == 1 and all(i < self.sample_shape[0] for i in self.kept)
        return ordered and inside and set(self.indicators) <= set(self.kept) and 0 < len(self.kept) == len(self.mean)


def _samples(features: Array) -> Array:
    """Features as an array of numbers of rank 2 or more; (n,) becomes (n, 1)."""
    if features.ndim == 0 or features.dtype.kind not in "biuf" or 0 in features.shape[1:]:
        raise DataError(
            f"features of shape {features.shape} and dtype {features.dtype}: expected numbers of shape (n, ...), "
            "or a table for columns of several kinds"
        )
    return features[:, None] if features.ndim == 1 else features


def _from_table(table: Table) -> Array:
    wrong = [name for name in table.names if kind_of(table[name]) not in ("number", "boolean")]
    if wrong or not table.columns:
        raise DataError(f"the columns {listed(wrong)} are not numbers, and training had an array of numbers")
    if any(column.dtype.kind == "O" and missing_mask(column).any() for column in table.columns.values()):
        raise DataError("a column of booleans has missing values, and training had an array of numbers")
    return np.column_stack([table[name].astype(np.float64) for name in table.names])


def _refuse_not_finite(array: Array, *, allow_missing: bool) -> None:
    if array.dtype.kind != "f":
        return
    bad = np.isinf(array) if allow_missing else ~np.isfinite(array)
    if bad.any():
        place = tuple(int(i) for i in np.argwhere(bad)[0])
        value = array[place]
        what = "is missing" if np.isnan(value) else "is infinite or too large"
        raise DataError(
            f"row {place[0] + 1}: the feature at {place[1:]} {what} ({int(bad.sum())} such values); "
            "correct or fill it in"
        )
