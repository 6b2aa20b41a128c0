"""Text as tokens: spellings, levels, what is unknown, windows, the division by position, figures."""

import gzip
import json
import math
import unicodedata

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clearprop.data import (
    TextEncoding,
    encoding_from_dict,
    next_token_windows,
    read_text,
    split_by_position,
    text_figures,
)
from clearprop.errors import ClearpropError, DataError, FileFormatError, SettingsError

TEXTS = st.text(min_size=2).filter(lambda text: len(set(unicodedata.normalize("NFC", text))) > 1)


@given(TEXTS, st.sampled_from(["char", "word"]))
def test_tokens_joined_are_the_text(text, level):
    try:
        encoding = TextEncoding.fit(text, level=level)
    except DataError:
        assert level == "word"  # one word alone
        return
    tokens = encoding.tokens(text)
    assert encoding.text(tokens) == unicodedata.normalize("NFC", text)
    assert tokens.min() >= 1
    assert encoding_from_dict(json.loads(json.dumps(encoding.to_dict()))) == encoding


def test_characters_by_how_frequent_they_are():
    encoding = TextEncoding.fit("namaskar")
    assert encoding.vocabulary == ("a", "k", "m", "n", "r", "s")
    assert encoding.tokens("ram").tolist() == [5, 1, 3]
    assert encoding.n_outputs == 7
    assert encoding.classes.tolist() == ["\ufffd", *encoding.vocabulary]


def test_one_spelling_of_a_character():
    encoding = TextEncoding.fit("e\u0301t\u00e9")
    assert set(encoding.vocabulary) == {"\u00e9", "t"}


def test_words():
    encoding = TextEncoding.fit("the cat, the hat\n  the end", level="word")
    assert encoding.vocabulary[0] == " the"
    assert set(encoding.vocabulary) == {"the", " the", " cat", ",", " hat", "\n", " ", " end"}


def test_chinese_words_are_ideographs():
    encoding = TextEncoding.fit("学而时习之，不亦说乎", level="word")
    assert len(encoding.vocabulary) == 10
    assert encoding.text(encoding.tokens("不亦说乎")) == "不亦说乎"


def test_what_is_not_known():
    encoding = TextEncoding.fit("aaabbc", most=2)
    assert encoding.tokens("abcd").tolist() == [1, 2, 0, 0]
    assert encoding.text([1, 0]) == "a\ufffd"


def test_texts_as_samples():
    encoding = TextEncoding.fit("namaskar", dtype="float64")
    features = encoding.features(np.array(["nam", "ask"]))
    assert features.dtype == np.float64
    assert features.tolist() == [[4, 1, 3], [1, 6, 2]]
    assert encoding.target(np.array(["a", "a"])).tolist() == [1, 1]
    assert encoding.target(np.array(["am", "sk"])).tolist() == [[1, 3], [6, 2]]
    assert encoding.decode(np.eye(7)[[4, 5]]).tolist() == ["n", "r"]


@pytest.mark.parametrize("values", [np.array(["ab", "a"]), np.array([[7]]), np.array([[-1]]), np.array([[0.5]])])
def test_no_samples(values):
    with pytest.raises(DataError, match="expected texts"):
        TextEncoding.fit("namaskar").features(values)


@pytest.mark.parametrize(
    ("text", "settings"), [("aa", {}), ("", {}), ("ab", {"level": "line"}), ("ab", {"dtype": "f"})]
)
def test_nothing_to_learn(text, settings):
    with pytest.raises(ClearpropError):
        TextEncoding.fit(text, **settings)


@pytest.mark.parametrize(
    "change",
    [{"level": "line"}, {"vocabulary": ["a", "a"]}, {"vocabulary": ["a", ""]}, {"dtype": "int8"}, {"more": 1}],
)
def test_damaged(change):
    with pytest.raises(FileFormatError):
        encoding_from_dict(TextEncoding.fit("ab").to_dict() | change)


@given(st.integers(2, 60), st.integers(1, 20), st.integers(1, 20))
def test_windows(count, length, stride):
    tokens = np.arange(count)
    if count <= length:
        with pytest.raises(DataError, match="shorter window"):
            next_token_windows(tokens, length, stride)
        return
    x, y = next_token_windows(tokens, length, stride)
    starts = range(0, count - length, stride)
    assert x.tolist() == [list(range(start, start + length)) for start in starts]
    assert (y == x + 1).all()


def test_every_token_is_a_target_once():
    _, y = next_token_windows(np.arange(13), 4)
    assert y.ravel().tolist() == list(range(1, 13))


@given(st.integers(0, 1000), st.lists(st.floats(0, 0.3), max_size=3))
@example(2, [0.28, 0.28, 0.28])
def test_parts_in_order(count, fractions):
    parts = split_by_position(count, *fractions)
    assert [place for part in parts for place in range(count)[part]] == list(range(count))
    rounded = [round(count * fraction) for fraction in fractions]
    assert [part.stop - part.start for part in parts[1:]] == (rounded if sum(rounded) <= count else [1, 1, 0])


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (-0.1,)])
def test_nothing_left(fractions):
    with pytest.raises(SettingsError, match="held out"):
        split_by_position(10, *fractions)


def test_figures():
    figures = text_figures(math.log(8), 2.0)
    assert figures == pytest.approx({"perplexity": 8.0, "bits_per_character": 1.5})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig"])
def test_read(tmp_path, encoding):
    path = tmp_path / "a.txt"
    path.write_bytes("学而\r\ne\u0301t".encode(encoding))
    text = read_text(path)
    assert text.text == "学而\n\u00e9t"
    assert len(text) == 5
    packed = tmp_path / "b.txt.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read_text(packed).text == text.text
    assert read_text(packed).fingerprint == text.fingerprint


def test_read_no_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"a\0b")
    with pytest.raises(DataError, match="NUL"):
        read_text(tmp_path / "a.txt")
