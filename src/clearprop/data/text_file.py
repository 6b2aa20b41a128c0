"""A text file as lines and records: its encoding, its content's fingerprint, and where a record stands in it."""

import codecs
import csv
import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from clearprop.data.dialect import any_field_size
from clearprop.data.printable import printable
from clearprop.data.source_file import GZIP_MAGIC, chunks, head, opened
from clearprop.errors import DataError, SettingsError

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_FALLBACKS = ("utf-8", "cp1252", "latin-1")
_SAMPLE = 1 << 20
_CONTROL_FRACTION = 0.1


@dataclass(frozen=True)
class TextSurvey:
    """What one pass over a text file tells.

    Attributes:
        encoding: the name of the codec that reads all of it.
        fingerprint: SHA-256 of its decompressed bytes.
        lines: the number of lines, without blank ones at the end.
        uniform: whether it is uncompressed UTF-8 with one kind of line break, LF or CRLF, and no blank line on top,
            so that a fast reader needs no help.
        sample: its first mebibyte as text, up to the end of a line.
    """

    encoding: str
    fingerprint: str
    lines: int
    uniform: bool
    sample: str


def survey(path: Path, encoding: str | None) -> TextSurvey:
    """Read a text file once, from end to end, in constant memory.

    The encoding is the one given; else the byte order mark's; else UTF-8 if all of the file is, then Windows-1252,
    then Latin-1 (which reads any byte). Raises DataError for NUL bytes, for a file that is not text, and, naming the
    line, for bytes that are not of the given encoding; SettingsError for an encoding that does not exist.
    """
    if encoding is not None:
        return _survey_as(path, _checked_encoding(encoding))
    start = head(path, 4)
    for mark, name in _BYTE_ORDER_MARKS:
        if start.startswith(mark):
            return _survey_as(path, name)
    for name in _FALLBACKS[:-1]:
        try:
            return _survey_as(path, name)
        except _WrongEncodingError:
            continue
    return _survey_as(path, _FALLBACKS[-1])


class _WrongEncodingError(DataError):
    """Bytes of the file are not of the encoding that was tried."""


def _checked_encoding(encoding: str) -> str:
    try:
        "a".encode(encoding)
        return codecs.lookup(encoding).name
    except (LookupError, ValueError) as error:
        raise SettingsError(
            f"encoding is {printable(repr(encoding))}: expected a name such as 'utf-8', 'latin-1' or 'utf-16'"
        ) from error


class _Counter:
    """Running counts over the decoded text of a file."""

    def __init__(self) -> None:
        self.breaks = 0
        self.trailing = 0
        self.open_line = False
        self.sample: list[str] = []
        self.sampled = 0

    def add(self, text: str) -> None:
        """Count one more piece of text, whose line breaks are all LF."""
        if not text:
            return
        self.breaks += text.count("\n")
        stripped = text.rstrip("\n")
        ending = len(text) - len(stripped)
        self.trailing = ending if stripped else self.trailing + ending
        self.open_line = ending == 0
        if self.sampled < _SAMPLE:
            self.sample.append(text)
            self.sampled += len(text)

    @property
    def lines(self) -> int:
        """The number of lines, without blank ones at the end."""
        return self.breaks + 1 if self.open_line else self.breaks - self.trailing + 1


def _survey_as(path: Path, encoding: str) -> TextSurvey:
    digest, counter = hashlib.sha256(), _Counter()
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)("strict"), translate=True)
    with opened(path) as stream:
        for chunk in chunks(stream):
            digest.update(chunk)
            counter.add(_decoded(path, decoder, chunk, encoding, counter.breaks, final=False))
    counter.add(_decoded(path, decoder, b"", encoding, counter.breaks, final=True))
    sample = "".join(counter.sample).removeprefix("\ufeff")
    if counter.sampled >= _SAMPLE and "\n" in sample:
        sample = sample[: sample.rindex("\n") + 1]
    _refuse_binary(path, sample)
    with path.open("rb") as raw:
        compressed = raw.read(2) == GZIP_MAGIC
    uniform = (
        encoding in ("utf-8", "utf-8-sig")
        and not compressed
        and decoder.newlines in (None, "\n", "\r\n")
        and not sample.startswith("\n")
    )
    return TextSurvey(encoding, digest.hexdigest(), counter.lines, uniform, sample)


def _decoded(
    path: Path, decoder: io.IncrementalNewlineDecoder, chunk: bytes, encoding: str, breaks: int, final: bool
) -> str:
    try:
        text = decoder.decode(chunk, final=final)
    except UnicodeError as error:
        before = chunk[: error.start].count(b"\n") if isinstance(error, UnicodeDecodeError) else 0
        raise _WrongEncodingError(
            f"{printable(path.name)}, line {breaks + before + 1}: the bytes there are not {encoding} text; "
            "give the encoding it is written in, such as 'latin-1' or 'utf-16'"
        ) from error
    if "\0" in text:
        line = breaks + text[: text.index("\0")].count("\n") + 1
        raise DataError(
            f"{printable(path.name)}, line {line}: there is a NUL byte, so this is not {encoding} text; "
            "it may be a binary file, a damaged one, or UTF-16 without a byte order mark (encoding 'utf-16-le')"
        )
    return text


def _refuse_binary(path: Path, sample: str) -> None:
    controls = sum(sample.count(chr(code)) for code in range(1, 32) if chr(code) not in "\t\n\r\f")
    if controls > _CONTROL_FRACTION * len(sample):
        raise DataError(
            f"{printable(path.name)} is not a text table: {controls} of its first {len(sample)} characters are control "
            "codes; expected CSV, TSV, Parquet, .npz, .npy or IDX"
        )


@contextmanager
def opened_text(path: Path, encoding: str) -> Iterator[IO[str]]:
    """Open a text file with its line breaks as they are; a gzip file is decompressed."""
    with opened(path) as stream:
        yield io.TextIOWrapper(stream, encoding=encoding, newline="")


def records(path: Path, encoding: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each record of a delimited text file with the line it begins on, counted from 1; blank lines are none.

    Raises DataError, naming the line, where the quoting is damaged.
    """
    start = 1
    with opened_text(path, encoding) as stream, any_field_size():
        reader = csv.reader(stream, delimiter=delimiter, skipinitialspace=True, strict=True)
        while True:
            try:
                record = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise DataError(_quoting_message(path, start, str(error))) from error
            if record:
                yield start, record
            start = reader.line_num + 1


def _quoting_message(path: Path, line: int, reason: str) -> str:
    if "end of data" in reason:
        reason = "a quotation mark opens there and is never closed"
    return (
        f"{printable(path.name)}, line {line}: {printable(reason)}; "
        'a value in quotation marks ends with one, and one inside it is written twice ("")'
    )
