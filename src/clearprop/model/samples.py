"""From what a user hands to `fit`, `predict` and `evaluate` to arrays of the right type."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sized
from typing import Any

import numpy as np

from clearprop.data import AnyEncoding, ColumnKind, Encoding, Table, load
from clearprop.data.storage import converted
from clearprop.errors import DataError, SettingsError, ShapeError
from clearprop.ir import Batch, Type
from clearprop.nn import Embedding, Sequential

Array = np.ndarray[Any, Any]


def is_table(features: Any) -> bool:
    """Tell whether features are a table with named columns, to be encoded, and not an array."""
    return not isinstance(features, (np.ndarray, list, tuple)) and not hasattr(features, "__array_interface__")


def as_table(features: Any, kinds: Mapping[str, ColumnKind] | None = None) -> Table:
    """Return a table from a pandas or polars frame, a mapping of columns, or a table.

    `kinds` is what columns of text are read as, as `load` takes it.
    """
    if isinstance(features, Table):
        return features
    loaded = load(features, require_target=False, kinds=kinds).features
    if not isinstance(loaded, Table):
        raise DataError(f"expected a table with named columns, received {type(features).__name__}")
    return loaded


def as_array(values: Any, what: str) -> Array:
    """Return features or targets as an array, of whatever dtype.

    Raises:
        DataError: their rows are not of one length, or some of them are masked.
    """
    if isinstance(values, np.ma.MaskedArray) and values.dtype.names is None and values.mask.any():
        raise DataError(
            f"the {what} have masked values, {int(values.mask.sum())} in all, and a network takes no gaps: put numbers "
            "there by filled(), or leave such rows out"
        )
    try:
        return np.asarray(values)
    except ValueError as error:
        raise DataError(
            f"the {what} are no array: {_odd_row(values) or error}; give every row as many numbers, in the same shape"
        ) from error


def _odd_row(values: Any) -> str:
    """Say which of several rows is longer or shorter than the first; empty if it is not as plain as that."""
    if not isinstance(values, (list, tuple)) or not all(isinstance(row, Sized) for row in values):
        return ""
    odd = [f"row {i} has {len(row)} and row 0 has {len(values[0])}" for i, row in enumerate(values)]
    return next((words for words, row in zip(odd, values, strict=True) if len(row) != len(values[0])), "")


def as_input(features: Any, dtype: str, encoding: AnyEncoding | None) -> Array:
    """Return the network's input: the encoded table, or the array in the model's dtype.

    Raises:
        DataError: the array is not numeric, has no rows axis, or holds a NaN or an infinity (its place is named).
    """
    if encoding is not None:
        if isinstance(encoding, Encoding) and is_table(features):
            return encoding.features(as_table(features, encoding.kinds))
        return encoding.features(as_array(features, "features"))
    array = as_array(features, "features")
    try:
        if array.dtype.kind == "c":
            raise TypeError("they are complex")
        numbers = converted(array, dtype)  # too large for float32 becomes infinite, and is refused below
    except (TypeError, ValueError) as error:
        raise DataError(f"the features are not numbers: {error}; pass a table to have columns encoded") from error
    if array.dtype.kind not in "biuf" or numbers.ndim < 2:
        remedy = "" if array.dtype.kind in "biuf" else ": pass X.astype(float)"
        raise DataError(
            f"the features must be numbers with a row for each sample, (n, ...), "
            f"received {array.dtype} of shape {array.shape}{remedy}"
        )
    return _finite(numbers, "features", array)


def check_samples(x: Array, shape: tuple[int, ...], network: Sequential) -> None:
    """Refuse samples of another shape, and those that are no tokens of the `Embedding` that takes them.

    Raises:
        ShapeError, DataError: as said.
    """
    if x.shape[1:] != shape:
        raise ShapeError(f"the model takes samples of shape {shape}, received samples of {x.shape[1:]}")
    _check_tokens(x, network)


def _check_tokens(x: Array, network: Sequential) -> None:
    first = network.layers[0]
    while isinstance(first, Sequential):
        first = first.layers[0]
    if not isinstance(first, Embedding):
        return
    odd = (x < 0) | (x >= first.tokens) | (x != np.floor(x))
    if not odd.any():
        return
    place = tuple(int(index[0]) for index in np.nonzero(odd))
    raise DataError(
        f"Embedding takes tokens, whole numbers from 0 to {first.tokens - 1}, and there is {x[place]:g} among the "
        f"features at index {place}: number the tokens from 0 on, or give Embedding as many tokens as there are"
    )


def as_target(target: Any, dtype: str, encoding: AnyEncoding | None) -> Array:
    """Return the target: class indices as int64, or floats in the model's dtype.

    Raises:
        DataError: the target is not numeric, or holds a NaN or an infinity.
    """
    if encoding is not None:
        return encoding.target(as_array(target, "targets"))
    array = as_array(target, "targets")
    if array.dtype.kind in "biu":
        if array.dtype.kind == "u" and array.size and array.max() > np.iinfo(np.int64).max:
            raise DataError(f"there is {array.max()} among the targets, beyond the largest int64: pass y.astype(float)")
        return np.ascontiguousarray(array, dtype=np.int64)
    if array.dtype.kind != "f":
        raise DataError(
            f"the target must be numbers, received {array.dtype}; turn labels into class indices 0, 1, ... "
            "(numpy.unique with return_inverse=True does), numbers of that dtype by y.astype(int) or y.astype(float), "
            "or pass a table"
        )
    with np.errstate(over="ignore"):
        return _finite(np.ascontiguousarray(array, dtype=dtype), "targets", array)


def fit_target(target: Array, wanted: Type, output: Type) -> Array:
    """Bring a target to the type that the loss wants.

    Raises:
        DataError: a class index lies outside of the network's outputs.
    """
    converted = target.astype(wanted.dtype, copy=False)
    shaped = converted.reshape(len(converted), *(dim for dim in wanted.shape[1:] if isinstance(dim, int)))
    if wanted.dtype == "int64" and shaped.size:
        classes = output.shape[-1]
        low, high = int(shaped.min()), int(shaped.max())
        if low < 0 or (isinstance(classes, int) and high >= classes):
            row = int(np.argmax((shaped < 0) | (shaped >= classes)))
            raise DataError(
                f"class indices run from {low} to {high} (see row {row}), but the network has {classes} outputs, "
                f"for classes 0 to {int(str(classes)) - 1}: renumber the classes or widen the last layer"
            )
    return np.ascontiguousarray(shaped)


def given_type(array: Array, dtype: str) -> Type:
    """Return the type of a batch of these rows."""
    name = "int64" if array.dtype.kind in "biu" else dtype
    return Type(name, (Batch(), *array.shape[1:]))


def sample_weights(
    n: int, target: Array, sample_weight: Any, class_weight: Mapping[int, float] | str | None, dtype: str
) -> Array | None:
    """Return one weight a sample, scaled to the mean 1, or None when neither kind of weight is given.

    Args:
        n: the number of samples.
        target: class indices, or zeros and ones of one binary output, when class weights are given.
        sample_weight: a weight for each sample, at least 0.
        class_weight: a weight for each class, or "balanced": n / (classes count_k).

    Raises:
        SettingsError: weights that are negative, non-finite, too large to add up, all zero, or of the wrong number.
    """
    if sample_weight is None and class_weight is None:
        return None
    try:
        weight = np.ones(n) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"sample_weight must hold {n} numbers, one a sample: {error}") from error
    if weight.shape != (n,):
        raise SettingsError(f"sample_weight must hold {n} numbers, one a sample, received shape {weight.shape}")
    odd = np.flatnonzero(~(np.isfinite(weight) & (weight >= 0)))
    if len(odd):
        raise SettingsError(
            f"sample_weight must hold finite numbers of at least 0, and holds {weight[odd[0]]:g} at index {odd[0]}"
        )
    with np.errstate(over="ignore"):
        if class_weight is not None:
            weight = weight * _class_weights(target, class_weight)
        mean = float(weight.mean())
    if mean <= 0:
        raise SettingsError("the weights are all zero: at least one sample must count")
    if not math.isfinite(mean):
        raise SettingsError(
            f"the weights are too large to add up, the largest is {weight.max():g}: divide all by the same number, "
            "since only their proportions count"
        )
    return np.asarray(weight / mean, dtype=dtype)


def _class_weights(target: Array, class_weight: Mapping[int, float] | str) -> Array:
    if target.shape == (len(target), 1) and np.isin(target, (0, 1)).all():
        target = target[:, 0].astype(np.int64)
    if target.dtype.kind not in "iu" or target.ndim != 1:
        raise SettingsError("class_weight needs class indices as the target")
    classes, inverse, counts = np.unique(target, return_inverse=True, return_counts=True)
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise SettingsError(f"class_weight is 'balanced' or a mapping, received {class_weight!r}")
        return np.asarray((len(target) / (len(classes) * counts))[inverse])
    if not (hasattr(class_weight, "items") and hasattr(class_weight, "get")):
        raise SettingsError(
            f"class_weight is 'balanced' or a mapping of class indices to weights, received {class_weight!r}"
        )
    odd = {k: weight for k, weight in class_weight.items() if k not in classes or not 0 <= weight < np.inf}
    if odd:
        raise SettingsError(
            f"class_weight gives a finite number of at least 0 for class indices among {classes.tolist()}, "
            f"received {odd!r}"
        )
    return np.asarray([float(class_weight.get(int(label), 1.0)) for label in classes])[inverse]


def _finite(array: Array, what: str, given: Array) -> Array:
    """Return an array if all of it is finite; `given` is what it was before it had its dtype."""
    # squares whose sum is finite are: one pass without a temporary array; a sum may overflow where they do not
    if array.dtype.kind == "f" and not math.isfinite(np.vdot(array, array)) and not np.isfinite(array).all():
        place = tuple(int(index[0]) for index in np.nonzero(~np.isfinite(array)))
        if np.isfinite(given[place]):
            wider = ", or give the model dtype='float64'" if array.dtype == "float32" else ""
            raise DataError(
                f"{given[place]:g} among the {what} at index {place} is too large for {array.dtype}, whose largest "
                f"number is {np.finfo(array.dtype).max:.3g}: divide the {what} by a constant{wider}"
            )
        remedy = ", or pass a table to have missing values encoded" if what == "features" else ""
        raise DataError(
            f"there is {array[place]} among the {what} at index {place} (and {int((~np.isfinite(array)).sum())} "
            f"non-finite numbers in all): fill or drop such rows{remedy}"
        )
    return array
