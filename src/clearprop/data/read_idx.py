"""IDX, the format of MNIST and its kin: big-endian arrays with a header of four bytes and one size for each axis."""

import math
import re
from pathlib import Path

import numpy as np

from clearprop.data.columns import Array
from clearprop.data.printable import printable, quoted
from clearprop.data.source_file import checked_path, opened
from clearprop.errors import DataError

_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_IMAGES = re.compile(r"images([-.])idx3")


def is_idx(start: bytes) -> bool:
    """Whether the first (decompressed) bytes of a file are those of an IDX header."""
    return len(start) >= 4 and start[:2] == b"\0\0" and start[2] in _DTYPES and start[3] > 0


def read_idx(path: Path) -> Array:
    """Read an IDX file, gzip or not, into an array of its own dtype in native byte order.

    Raises DataError, naming both sizes, if the content is not exactly what the header announces; the array is made
    from the bytes that are there, so a header that lies costs no memory.
    """
    checked_path(path)
    label = printable(path.name)
    with opened(path) as stream:
        start = stream.read(4)
        if not is_idx(start):
            raise DataError(f"{label} is not an IDX file: it begins with {quoted(repr(start))}")
        rank = start[3]
        sizes = stream.read(4 * rank)
        if len(sizes) != 4 * rank:
            raise DataError(f"{label} is truncated: the header announces {rank} axes and ends before their sizes")
        shape = tuple(int(size) for size in np.frombuffer(sizes, dtype=">u4"))
        dtype = np.dtype(_DTYPES[start[2]])
        announced = math.prod(shape) * dtype.itemsize
        content = stream.read()
    if len(content) != announced:
        raise DataError(
            f"{label}: the header announces {announced} bytes of data (shape {shape}), but there are {len(content)}; "
            "the file is truncated or damaged, copy or download it again"
        )
    if not announced:
        raise DataError(f"{label} is empty: its header announces shape {shape}")
    return np.frombuffer(content, dtype=dtype).reshape(shape).astype(dtype.newbyteorder("="))


def labels_beside(path: Path) -> Path | None:
    """Return the labels file that by the usual naming goes with an images file, if it is there.

    train-images-idx3-ubyte.gz -> train-labels-idx1-ubyte.gz, compressed or not.
    """
    name, found = _IMAGES.subn(r"labels\1idx1", path.name)
    if not found:
        return None
    bare = name.removesuffix(".gz")
    return next(
        (path.with_name(other) for other in (name, bare, bare + ".gz") if path.with_name(other).is_file()),
        None,
    )
