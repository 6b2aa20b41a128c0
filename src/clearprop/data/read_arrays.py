"""NumPy's .npy and .npz files, read without ever unpickling, and without trusting what their headers promise."""

import io
import math
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format

from clearprop.data.columns import Array
from clearprop.data.printable import printable, quoted
from clearprop.data.source_file import checked_path
from clearprop.errors import DataError

_KINDS = "biufUSM"
_HEADER_BYTES = 1 << 16  # more than any header NumPy accepts


def read_npy(path: Path) -> Array:
    """Read the array of a .npy file.

    Raises DataError for objects (which would need pickle), for structured and complex types, and for a file whose
    size is not the one its header announces; nothing is allocated before that is known.
    """
    checked_path(path)
    label = printable(path.name)
    try:
        with path.open("rb") as stream:
            return _read_array(stream, path.stat().st_size, label)
    except OSError as error:
        raise DataError(f"{label} cannot be read: {printable(error.strerror or error)}") from error


def read_npz(path: Path) -> dict[str, Array]:
    """Read all arrays of a .npz file by name; raises DataError as `read_npy` does, and for a damaged archive."""
    checked_path(path)
    label = printable(path.name)
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
            arrays = {member.filename.removesuffix(".npy"): _read_member(archive, member, label) for member in members}
    # what zipfile raises for damage, encryption and unknown compression
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{label} is a damaged .npz archive ({printable(error)}): copy or download it again") from error
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{label} cannot be read: {printable(error)}") from error
    if not arrays:
        raise DataError(f"{label} holds no arrays: expected a file written by numpy.savez")
    return arrays


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, label: str) -> Array:
    where = f"{label}, array {quoted(member.filename.removesuffix('.npy'))}"
    with archive.open(member) as stream:
        return _read_array(stream, member.file_size, where)


def _read_array(stream: IO[bytes], size: int, where: str) -> Array:
    start = io.BytesIO(stream.read(_HEADER_BYTES))
    shape, fortran, dtype = _header(start, where)
    announced, there = math.prod(shape) * dtype.itemsize, size - start.tell()
    if announced != there:
        raise DataError(
            f"{where}: the header announces {announced} bytes of data (shape {shape} of {dtype}), but there are "
            f"{there}; the file is truncated or damaged"
        )
    content = start.read()
    content += stream.read(announced - len(content))
    if len(content) != announced:
        raise DataError(f"{where}: the data ends after {len(content)} of {announced} bytes; the file is damaged")
    array: Array = np.frombuffer(content, dtype=dtype).reshape(shape, order="F" if fortran else "C")
    if dtype.kind == "S":
        return _decoded(array, where)
    return np.ascontiguousarray(array, dtype=dtype.newbyteorder("="))


def _header(stream: IO[bytes], where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a header written by Python 2 is read all the same
            version = npy_format.read_magic(stream)
            read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
            shape, fortran, dtype = read(stream)
    except Exception as error:  # the header is a literal of the file's choosing, and so is what goes wrong in it
        raise DataError(f"{where} is not a NumPy array, or its header is damaged: {printable(error)}") from error
    if dtype.hasobject:
        raise DataError(
            f"{where} holds Python objects, which only pickle could read, and pickles can run code; "
            "save it with a numeric or string dtype"
        )
    if dtype.kind not in _KINDS or dtype.itemsize == 0 or any(length < 0 for length in shape):
        raise DataError(
            f"{where} has shape {shape} and dtype {printable(dtype)}: expected numbers, booleans, dates or text"
        )
    return shape, fortran, dtype


def _decoded(array: Array, where: str) -> Array:
    try:
        return np.char.decode(array, "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{where} holds bytes that are not UTF-8 text; save it as text or numbers") from error
