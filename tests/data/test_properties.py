"""What must hold for any input: readers raise DataError only, encodings lose no bit, no control code gets through."""

import csv
import gzip
import io
import json
import struct
import tempfile
import unicodedata
from pathlib import Path

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from clearprop.data import Dataset, Encoding, Table, batch_order, load, printable, split
from clearprop.data.read_csv import read_csv, stream_csv
from clearprop.errors import DataError, FileFormatError

FUZZ = settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow])

# Pieces of which files are made that get further into a reader than random bytes do.
PIECES = st.sampled_from(
    [
        *(bytes([byte]) for byte in b'a1,;\t\n\r" -0\0\xe9'),
        *(piece.encode() for piece in ("2.5", "NA", "1e999", "true", "2024-01-31", "abc", "\x1b[0m", "None", "1_0")),
        *(b"\xef\xbb\xbf", b"\xff\xfe", b"\xe2\x80\xa8", b"\r\n", b'""'),
    ]
)
TEXTS = st.lists(PIECES, max_size=30).map(b"".join)


def load_bytes(name, content, **options):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        try:
            dataset = load(path, require_target=False, **options)
        except DataError as error:
            message = str(error)
        else:
            assert isinstance(dataset, Dataset)
            message = " ".join(dataset.notes)
    assert not {unicodedata.category(character) for character in message} & {"Cc", "Cf"}


@FUZZ
@given(st.one_of(TEXTS, st.binary(max_size=60)))
def test_any_bytes_as_csv(content):
    load_bytes("t.csv", content)


@FUZZ
@given(TEXTS, st.sampled_from(["utf-8", "utf-16", "latin-1", "cp1252", "utf-7", "utf-32"]))
def test_any_bytes_in_any_encoding(content, encoding):
    load_bytes("t.csv", content, encoding=encoding)


@FUZZ
@given(st.integers(0, 255), st.lists(st.integers(0, 2**32 - 1), max_size=4), st.binary(max_size=40), st.booleans())
def test_any_bytes_as_idx(kind, sizes, content, compressed):
    content = struct.pack(">HBB", 0, kind, len(sizes)) + struct.pack(f">{len(sizes)}I", *sizes) + content
    load_bytes("t-ubyte", gzip.compress(content) if compressed else content)


@FUZZ
@given(st.binary(max_size=200), st.integers(0, 200), st.booleans())
def test_any_damage_to_npy_and_npz(noise, start, archive):
    stream = io.BytesIO()
    if archive:
        np.savez(stream, X=np.zeros((2, 2)), y=np.zeros(2))
    else:
        np.save(stream, np.zeros((2, 2)))
    content = bytearray(stream.getvalue())
    content[start : start + len(noise)] = noise
    load_bytes("t.npz" if archive else "t.npy", bytes(content))


@FUZZ
@given(st.text(alphabet="()0123456789, '<>{}:descrforanshape_TrueFalsefi48OVUS\n[]", max_size=80))
@example("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }")
@example("(" * 80)
@example("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }")
def test_any_header_of_npy(header):
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + bytes(16)
    load_bytes("t.npy", content)


WORDS = st.text(st.sampled_from(["a", "b", " ", ",", '"', "\n", "é", "\u2028", ";", "\t", "'", "#", "\\"]), max_size=5)
CELLS = st.one_of(st.just("1"), WORDS)
ROWS = st.integers(2, 4).flatmap(lambda n: st.lists(st.lists(CELLS, min_size=n, max_size=n), min_size=1, max_size=6))


@settings(FUZZ, max_examples=40)
@given(ROWS, st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]), st.sampled_from(["\n", "\r\n"]))
def test_every_cell_that_is_written_is_read(rows, quoting, line_break):
    """DuckDB, or our detour around it, reads what Python's csv module wrote: no row and no cell is lost."""
    stream = io.StringIO()
    csv.writer(stream, quoting=quoting, lineterminator=line_break).writerows(rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        path.write_bytes(stream.getvalue().encode())
        table = read_csv(path, header=False, delimiter=",").table
        parts = list(stream_csv(path, 2, header=False, delimiter=","))
    read = [[as_text(column[i]) for column in table.columns.values()] for i in range(len(table))]
    streamed = [[as_text(column[i]) for column in part.columns.values()] for part in parts for i in range(len(part))]
    expected = [[cell.strip() for cell in row] for row in rows]
    assert read == expected
    assert streamed == expected


def as_text(value):
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    return str(int(value)) if isinstance(value, float | np.integer) else value


TEXT_CELLS = st.one_of(st.none(), st.text(max_size=3))
COLUMNS = {
    "number": st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=False)),
    "integer": st.integers(-(2**60), 2**60),
    "boolean": st.one_of(st.none(), st.booleans()),
    "text": TEXT_CELLS,
    "date": st.datetimes(),
}


@st.composite
def tables(draw):
    n = draw(st.integers(2, 12))
    kinds = draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=4))
    columns = {}
    for i, kind in enumerate(kinds):
        values = np.empty(n, dtype=object)
        values[:] = draw(st.lists(COLUMNS[kind], min_size=n, max_size=n))
        columns[f"{kind} {i}"] = values
    return Table(columns)


TARGETS = st.sampled_from(["classes", "numbers"])


@FUZZ
@given(tables(), TARGETS, st.sampled_from(["float32", "float64"]))
def test_an_encoding_survives_its_file(table, kind, dtype):
    n = len(table)
    target = np.arange(n) % 2 if kind == "classes" else np.linspace(0.1, 0.7, n)
    try:
        encoding = Encoding.fit(table, target, dtype=dtype)
        encoded = encoding.features(table)
    except DataError:
        return
    again = Encoding.from_dict(json.loads(json.dumps(encoding.to_dict(), allow_nan=False)))
    assert encoded.shape == (n, *encoding.input_shape)
    assert encoded.dtype == dtype
    assert np.isfinite(encoded).all()
    assert again.features(table).tobytes() == encoded.tobytes()
    assert again.target(target).tobytes() == encoding.target(target).tobytes()
    assert again.describe() == encoding.describe()
    assert encoding.inspect(table) == ()


ARRAYS = npst.arrays(
    st.sampled_from([np.uint8, np.int16, np.float32, np.float64]),
    npst.array_shapes(min_dims=1, max_dims=4, min_side=2, max_side=4),
)


@FUZZ
@given(ARRAYS)
def test_arrays_survive_their_file(array):
    try:
        encoding = Encoding.fit(array, np.arange(len(array)) % 2)
        encoded = encoding.features(array)
    except DataError:
        return
    again = Encoding.from_dict(json.loads(json.dumps(encoding.to_dict(), allow_nan=False)))
    assert encoded.shape == (len(array), *encoding.input_shape)
    assert np.isfinite(encoded).all()
    assert again.features(array).tobytes() == encoded.tobytes()


@FUZZ
@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=4), lambda s: st.lists(s, max_size=3)))
def test_any_json_in_place_of_a_field(value):
    content = Encoding.fit(Table({"a": [1, 2, 3, 4], "b": ["x", "y", "x", "y"]}), np.array([0, 1, 0, 1])).to_dict()
    for field in ("inputs", "outputs", "version", "notes", "target_name"):
        try:
            Encoding.from_dict({**content, field: value})
        except FileFormatError:
            continue
        assert field in ("notes", "target_name")


@given(st.text(), st.integers(0, 100))
def test_printable_leaves_no_control_code(text, limit):
    shown = printable(text, limit)
    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"}
    assert len(shown) <= 10 * limit + 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain größe 名前", "plain größe 名前"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\tc\r", "a\\x0ab\\x09c\\x0d"),
        ("\u202eevil", "\\u202eevil"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("x" * 81, "x" * 80 + "…"),
        (12.5, "12.5"),
    ],
)
def test_printable(text, shown):
    assert printable(text) == shown


@given(st.integers(0, 200), st.integers(0, 2**64), st.integers(0, 1000))
def test_a_batch_order_is_a_permutation(n, seed, epoch):
    order = batch_order(n, seed=seed, epoch=epoch)
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(n))
    assert (order == batch_order(n, seed=seed, epoch=epoch)).all()


@given(
    st.lists(st.sampled_from("abcd"), min_size=2, max_size=60),
    st.floats(0.01, 0.99),
    st.integers(0, 100),
    st.sampled_from([None, True, False]),
)
def test_a_split_divides(labels, fraction, seed, stratify):
    target = np.array(labels)
    train, held = split(target, fraction, seed=seed, stratify=stratify)
    assert sorted([*train.tolist(), *held.tolist()]) == list(range(len(labels)))
    assert len(train) >= 1
    assert len(held) >= 1
    if stratify is not False and len(set(labels)) < len(labels):
        assert set(target[train]) == set(labels)  # every class is trained on
