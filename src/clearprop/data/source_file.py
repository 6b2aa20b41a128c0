"""Opening a file the user named: the checks that come before any reader."""

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from clearprop.data.printable import printable
from clearprop.errors import DataError

CHUNK = 1 << 20
GZIP_MAGIC = b"\x1f\x8b"

_FOREIGN = (
    (b"\x89PNG", "a PNG image", "convert images to an array and save it with numpy.save"),
    (b"\xff\xd8\xff", "a JPEG image", "convert images to an array and save it with numpy.save"),
    (b"GIF8", "a GIF image", "convert images to an array and save it with numpy.save"),
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook", "export the sheet as CSV, or unpack the archive"),
    (b"\xd0\xcf\x11\xe0", "an old Office document", "export the sheet as CSV"),
    (b"%PDF", "a PDF document", "export the table as CSV"),
    (b"\x89HDF", "an HDF5 file", "save its arrays with numpy.savez"),
    (b"SQLite format 3", "an SQLite database", "export the table as CSV"),
    (b"\x7fELF", "a program", "name a data file"),
    (b"BZh", "a bzip2 archive", "unpack it, or compress it with gzip"),
    (b"\xfd7zXZ", "an xz archive", "unpack it, or compress it with gzip"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", "unpack it, or compress it with gzip"),
    (b"\x93NUMPY", "a NumPy array", "give it the suffix .npy"),
    (b"PAR1", "a Parquet file", "give it the suffix .parquet"),
    (b"\x80\x02", "a pickle", "pickles can run code and are never read; save arrays with numpy.savez"),
    (b"\x80\x03", "a pickle", "pickles can run code and are never read; save arrays with numpy.savez"),
    (b"\x80\x04", "a pickle", "pickles can run code and are never read; save arrays with numpy.savez"),
    (b"\x80\x05", "a pickle", "pickles can run code and are never read; save arrays with numpy.savez"),
)
_JSON = (".json", ".jsonl", ".ndjson", ".geojson")


def checked_path(path: Path) -> Path:
    """Return `path` if it is a regular, readable, non-empty file; raise DataError saying what it is otherwise."""
    shown = printable(path, 200)
    try:
        if path.is_dir():
            raise DataError(f"{shown} is a directory: name one file in it")
        if not path.exists():
            raise DataError(f"there is no file {shown}")
        if not path.is_file():
            raise DataError(f"{shown} is not a regular file: copy its content into one")
        if path.stat().st_size == 0:
            raise DataError(f"{shown} is empty: expected at least a row of values")
        with path.open("rb"):
            return path
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{shown} cannot be read: {printable(reason)}") from error


def head(path: Path, size: int = 16) -> bytes:
    """Return the first bytes of a file, decompressed if it is gzip."""
    with opened(path) as stream:
        return stream.read(size)


def ends_in(name: str, *suffixes: str) -> bool:
    """Whether a file's name ends so, in any case, compressed or not."""
    return name.lower().removesuffix(".gz").endswith(suffixes)


def refuse_foreign(path: Path, start: bytes) -> None:
    """Raise DataError if `start`, the first bytes of a file, or its suffix say that no text reader reads its kind."""
    if ends_in(path.name, *_JSON) and start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (
        b"[",
        b"{",
    ):
        raise DataError(
            f"{printable(path.name)} is JSON, not a text table: save it as CSV, for example with "
            "pandas.read_json(FILE).to_csv(NEW, index=False)"
        )
    for magic, what, remedy in _FOREIGN:
        if start.startswith(magic):
            raise DataError(f"{printable(path.name)} is {what}, not a text table: {remedy}")


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading bytes, decompressed if it starts as gzip does; damage becomes a DataError."""
    try:
        with path.open("rb") as raw:
            compressed = raw.read(2) == GZIP_MAGIC
            raw.seek(0)
            if not compressed:
                yield raw
                return
            with gzip.open(raw, "rb") as stream:
                yield cast(IO[bytes], stream)
    except EOFError as error:
        raise DataError(
            f"{printable(path.name)} is a truncated gzip file: it ends before its content does; "
            "copy or download it again"
        ) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"{printable(path.name)} is a damaged gzip file ({printable(error)}): copy or download it again"
        ) from error
    except OSError as error:
        raise DataError(f"{printable(path.name)} cannot be read: {printable(error.strerror or error)}") from error


def chunks(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the bytes of a stream, a mebibyte at a time."""
    while chunk := stream.read(CHUNK):
        yield chunk


def fingerprint(*paths: Path) -> str:
    """Return the SHA-256 of the decompressed content of files, one after the other, in hexadecimal."""
    digest = hashlib.sha256()
    for path in paths:
        with opened(path) as stream:
            for chunk in chunks(stream):
                digest.update(chunk)
    return digest.hexdigest()
