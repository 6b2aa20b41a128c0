"""Arrays that lie in a file instead of in memory: what is made of one lies in a file as well."""

import tempfile
from typing import Any

import numpy as np

from clearprop.data.columns import Array

_BLOCK_BYTES = 1 << 22


def empty(shape: tuple[int, ...], dtype: Any, *, mapped: bool) -> Array:
    """Return an array to be filled, in memory or in a temporary file.

    The file has no name, so it is gone when the array is, however the process ends. Memory holds only the pages in use.
    """
    if not mapped or 0 in shape:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile(prefix="clearprop-") as file:
        file.truncate(int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize)
        return np.asarray(np.memmap(file, dtype, "r+", shape=shape))


def is_mapped(array: Any) -> bool:
    """Tell whether an array, or what it is a view of, lies in a file."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return False


def take_rows(array: Array, rows: Array | slice) -> Array:
    """Return array[rows]; of an array in a file, rows by their numbers are copied to a file of their own."""
    if isinstance(rows, slice) or not is_mapped(array):
        return array[rows]
    numbers = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
    result = empty((len(numbers), *array.shape[1:]), array.dtype, mapped=True)
    for part in blocks(result):
        result[part] = array[numbers[part]]
    return result


def blocks(array: Array) -> list[slice]:
    """Return the rows of an array in pieces of some megabytes."""
    row = max(array.nbytes // max(len(array), 1), 1)
    step = max(_BLOCK_BYTES // row, 1)
    return [slice(start, start + step) for start in range(0, len(array), step)]


def converted(array: Array, dtype: str) -> Array:
    """Return an array in row-major order and of a dtype: itself if it is so, or a copy, in a file if it is in one.

    Numbers that are too large for the dtype become infinite.
    """
    if array.dtype == dtype and array.flags.c_contiguous:
        return array
    with np.errstate(over="ignore"):
        if not is_mapped(array):
            return np.ascontiguousarray(array, dtype=dtype)
        result = empty(array.shape, dtype, mapped=True)
        for rows in blocks(result):
            result[rows] = array[rows]
    return result
