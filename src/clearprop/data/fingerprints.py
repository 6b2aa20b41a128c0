"""SHA-256 of data in memory: of what it holds, not of where it lies."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from clearprop.data.columns import Array
from clearprop.data.table import Table


def array_fingerprint(arrays: Mapping[Any, Array]) -> str:
    """Return the SHA-256 over the names, shapes, dtypes and values of arrays, in order, in hexadecimal."""
    digest = hashlib.sha256()
    for name, array in arrays.items():
        digest.update(repr((str(name), array.shape, array.dtype.str)).encode("utf-8", "surrogatepass"))
        if array.dtype.kind == "O":
            digest.update(repr(array.tolist()).encode("utf-8", "surrogatepass"))
        else:
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def table_fingerprint(table: Table, **more: Array) -> str:
    """Return the SHA-256 over a table's columns, and over further arrays by name, in hexadecimal."""
    return array_fingerprint({**table.columns, **{f"\0{name}": array for name, array in more.items()}})
