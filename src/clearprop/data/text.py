"""Text from a file, its division by position, windows of tokens to learn from, and what a loss on it means."""

import math
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clearprop.data.columns import Array
from clearprop.data.printable import printable
from clearprop.data.source_file import checked_path
from clearprop.data.text_file import opened_text, survey
from clearprop.errors import DataError, SettingsError


@dataclass(frozen=True)
class Text:
    """A text that was read.

    Attributes:
        name: what to call it: "novel.txt".
        text: in Unicode's normal form C, with "\\n" for line breaks.
        notes: what was detected, in words for the user.
        fingerprint: SHA-256 of the file's decompressed content.
    """

    name: str
    text: str
    notes: tuple[str, ...] = ()
    fingerprint: str = ""

    def __len__(self) -> int:
        return len(self.text)


def read_text(path: str | Path, encoding: str | None = None) -> Text:
    """Read a text file, also one compressed with gzip.

    Args:
        path: the file.
        encoding: what it is written in; by default the byte order mark's, else UTF-8, else Windows-1252.

    Raises:
        DataError: there is no such file, or it is no text.
        SettingsError: there is no such encoding.
    """
    path = checked_path(Path(path))
    found = survey(path, encoding)
    with opened_text(path, found.encoding) as stream:
        text = stream.read().removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    text = unicodedata.normalize("NFC", text)
    notes = (f"{len(text)} characters, {found.lines} lines; encoding {found.encoding}",)
    return Text(printable(path.name), text, notes, found.fingerprint)


def split_by_position(count: int, *fractions: float) -> tuple[slice, ...]:
    """Divide what is in an order into a first part, and parts held out from its end: nothing is shuffled across.

    Args:
        count: how many there are.
        fractions: how large each part that is held out is, in order; the last one is at the end. Of a very short text
            the last ones may be smaller, for rounded numbers may add up to more than there is.

    Returns:
        The slice of the training part, and one for each fraction.

    Raises:
        SettingsError: the fractions leave nothing to train on.
    """
    if min(fractions, default=0) < 0 or sum(fractions) >= 1:
        raise SettingsError(f"the parts held out are {fractions}: expected fractions that add up to less than 1")
    sizes: list[int] = []
    for fraction in fractions:
        sizes.append(min(round(count * fraction), count - sum(sizes)))
    ends = np.cumsum([count - sum(sizes), *sizes]).tolist()
    return tuple(slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True))


def next_token_windows(tokens: Array, length: int, stride: int | None = None) -> tuple[Array, Array]:
    """Cut tokens into windows, with the next token as the target of each.

    Args:
        tokens: (count,).
        length: T, how many tokens a window has.
        stride: from one window's start to the next; by default T, so that each token is a target once.

    Returns:
        Windows x (n, T), and targets y (n, T): y[i, t] is the token after x[i, t]. What is left at the end, less than a
        window, is no part of them.

    Raises:
        DataError: there are not enough tokens for one window.
    """
    if length < 1 or (stride is not None and stride < 1):
        raise SettingsError(f"windows have a length and a stride of at least 1, received {length} and {stride}")
    if len(tokens) <= length:
        raise DataError(
            f"there are {len(tokens)} tokens: a window of {length} with its targets needs {length + 1}; "
            "take a shorter window or a longer text"
        )
    view = np.lib.stride_tricks.sliding_window_view(tokens, length + 1)[:: stride or length]
    return np.ascontiguousarray(view[:, :-1]), np.ascontiguousarray(view[:, 1:])


def text_figures(loss: float, characters_per_token: float = 1.0) -> dict[str, float]:
    """Return what a cross-entropy (in nats a token) says of a text.

    The perplexity is exp(loss), the number of equally likely tokens that would be as hard to tell; bits a character
    are loss / ln 2 / characters a token, and do not depend on what a token is (but an unknown one costs too little).
    """
    perplexity = math.exp(min(loss, 700.0))
    return {"perplexity": perplexity, "bits_per_character": loss / math.log(2) / characters_per_token}
