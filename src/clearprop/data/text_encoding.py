"""`TextEncoding`: the vocabulary of a text, so that a prediction sees the tokens that training saw."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from clearprop.data.columns import DTYPES, Array
from clearprop.data.inference import ColumnKind
from clearprop.data.printable import printable
from clearprop.data.saved_state import SavedState
from clearprop.data.target_encoding import Task
from clearprop.errors import DataError, SettingsError

LEVELS = ("char", "word")
"""What a token may be."""

UNKNOWN = 0
"""The token that stands for everything that is not in the vocabulary."""

_UNKNOWN_TEXT = "\N{REPLACEMENT CHARACTER}"
_IDEOGRAPHS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORDS = re.compile(rf"[{_IDEOGRAPHS}]| ?[^\W{_IDEOGRAPHS}]+|.", re.DOTALL)
_FIELDS = ("form", "level", "vocabulary", "dtype")


@dataclass(frozen=True)
class TextEncoding:
    """Text as tokens 0, 1, ..., and back; fitted on the training part only.

    Text is brought to Unicode's normal form C first, so that one character has one spelling. A token is a character
    (one code point), or a word: a run of letters, digits and underscores with the space before it, if there is one;
    an ideograph or kana is a word of its own, and so is every other character. The tokens joined are the text.

    Token 0 is unknown: it stands for what the training part did not have, or had too seldom; decoded it is U+FFFD.

    Attributes:
        level: "char" or "word".
        vocabulary: the texts of the tokens 1, 2, ..., the most frequent first.
        dtype: of the encoded features.
    """

    level: str
    vocabulary: tuple[str, ...]
    dtype: str = "float32"
    form: ClassVar[str] = "text"
    task: ClassVar[Task] = "classification"

    @classmethod
    def fit(cls, text: str, *, level: str = "char", most: int | None = None, dtype: str = "float32") -> "TextEncoding":
        """Return the encoding of a training part.

        Args:
            text: what is learned from.
            level: "char" or "word".
            most: how many tokens the vocabulary holds at most; the most frequent stay. None keeps all.
            dtype: "float32" or "float64".

        Raises:
            DataError: the text has fewer than two different tokens.
            SettingsError: `level` or `dtype` is not one of the above.
        """
        for name, value, choices in (("level", level, LEVELS), ("dtype", dtype, DTYPES)):
            if value not in choices:
                raise SettingsError(f"{name} is {value!r}: expected one of {', '.join(choices)}")
        counts = Counter(_tokens(text, level))
        if len(counts) < 2:
            raise DataError(f"the text has {len(counts)} different tokens: there is nothing to tell apart")
        ordered = sorted(counts, key=lambda token: (-counts[token], token))
        return cls(level, tuple(ordered[:most]), dtype)

    @property
    def n_outputs(self) -> int:
        """The number of tokens, the unknown one included."""
        return len(self.vocabulary) + 1

    @property
    def kinds(self) -> dict[str, ColumnKind]:
        """What columns are to be read as: a text has none."""
        return {}

    @property
    def arrays(self) -> dict[str, Array]:
        """What `to_dict` leaves to the file's arrays: nothing."""
        return {}

    @property
    def classes(self) -> Array:
        """The texts of the tokens, in order."""
        return np.array([_UNKNOWN_TEXT, *self.vocabulary])

    @cached_property
    def _places(self) -> dict[str, int]:
        return {token: place for place, token in enumerate(self.vocabulary, 1)}

    def tokens(self, text: str) -> Array:
        """Return the tokens of a text, int64 (tokens,)."""
        places = self._places
        return np.array([places.get(token, UNKNOWN) for token in _tokens(text, self.level)], dtype=np.int64)

    def text(self, tokens: Iterable[int]) -> str:
        """Return the text of tokens."""
        return "".join(self.vocabulary[token - 1] if token != UNKNOWN else _UNKNOWN_TEXT for token in tokens)

    def features(self, features: Array) -> Array:
        """Return features as tokens in the encoding's dtype: (n, T) from tokens (n, T), or from n texts of T tokens.

        Raises:
            DataError: they are neither, or the texts have different numbers of tokens.
        """
        return np.ascontiguousarray(self._encoded(features), dtype=self.dtype)

    def target(self, target: Array) -> Array:
        """Return a target as tokens, int64: tokens as they are; of n texts (n,) for one token each, else (n, T).

        Raises:
            DataError: see `features`.
        """
        encoded = self._encoded(target)
        one_each = target.dtype.kind in "UO" and encoded.shape[1:] == (1,)
        return encoded[:, 0] if one_each else encoded

    def decode(self, outputs: Array) -> Array:
        """Return the text of the most probable token for scores (..., tokens)."""
        return np.asarray(self.classes[np.argmax(outputs, axis=-1)])

    def _encoded(self, values: Array) -> Array:
        if values.dtype.kind in "UO":
            rows = [self.tokens(str(text)) for text in values.reshape(-1)]
            if values.ndim != 1 or len({len(row) for row in rows}) != 1:
                lengths = sorted({len(row) for row in rows})
                raise DataError(f"expected texts of one length, (n,), received {values.shape} of lengths {lengths[:5]}")
            return np.stack(rows)
        if values.dtype.kind not in "iu" or (values.size and not 0 <= values.min() <= values.max() < self.n_outputs):
            raise DataError(
                f"expected texts, or tokens from 0 to {self.n_outputs - 1} as whole numbers, "
                f"received {values.dtype} of shape {values.shape}"
            )
        return values.astype(np.int64, copy=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the encoding as JSON values."""
        content = {"form": self.form, "level": self.level, "vocabulary": list(self.vocabulary)}
        return content | {"dtype": self.dtype}

    @classmethod
    def from_dict(cls, content: object) -> "TextEncoding":
        """Read what `to_dict` gave; raises FileFormatError for anything else."""
        state = SavedState(content, "the vocabulary", _FIELDS)
        state.choice("form", (cls.form,))
        vocabulary = state.texts("vocabulary")
        state.require(len(vocabulary) == len(set(vocabulary)) and all(vocabulary), "different tokens")
        return cls(state.choice("level", LEVELS), vocabulary, state.choice("dtype", DTYPES))

    def describe(self) -> str:
        """Return in words what the tokens are."""
        kind = "characters" if self.level == "char" else "words"
        shown = " ".join(repr(printable(token, 20)) for token in self.vocabulary[:10])
        return f"{len(self.vocabulary)} {kind} and the unknown one; the most frequent: {shown}"


def _tokens(text: str, level: str) -> list[str]:
    normal = unicodedata.normalize("NFC", text)
    return list(normal) if level == "char" else _WORDS.findall(normal)
