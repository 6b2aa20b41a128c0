"""Whatever is wrong with a file, the message names the file, the row as an editor counts it, and the column."""

import gzip
import io
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from clearprop.data import iter_tables, load
from clearprop.errors import ClearpropError, DataError, SettingsError


def npy_bytes(array, **options):
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def idx_bytes(*sizes, dtype=0x08, content=b""):
    return struct.pack(">HBB", 0, dtype, len(sizes)) + struct.pack(f">{len(sizes)}I", *sizes) + content


LYING_SHAPE = npy_bytes(np.zeros((2, 2))).replace(b"(2, 2), }            ", b"(99999999999, 99), } ")

CSV_CASES = {
    "empty file": ("", {}, ["bad.csv", "is empty"]),
    "only blank lines": ("\n\n\n", {}, ["bad.csv", "blank lines"]),
    "header only": ("a,b,y\n", {}, ["bad.csv", "no rows"]),
    "too few values": ("a,y\n1,2\n3\n4,5\n", {}, ["bad.csv", "line 3", "1 values", "names 2"]),
    "too many values": ("a,y\n1,2\n3,4,5\n", {}, ["bad.csv", "line 3", "3 values", "names 2"]),
    "ragged below a quoted line break": ('a,y\n"x\nz",2\n3\n', {}, ["bad.csv", "line 4", "1 values"]),
    "ragged without header": ("1,2\n3,4\n5\n", {"target": 1}, ["bad.csv", "line 3", "the first line has 2"]),
    "open quotation": ('a,y\n1,2\n"x,3\n4,5\n', {}, ["bad.csv", "line 3", "never closed"]),
    "text after a quotation": ('a,y\n1,2\n"x"z,3\n', {}, ["bad.csv", "line 3"]),
    "word among numbers": ("a,y\n1.5,0\n2.5,1\nabc,0\n4,1\n", {}, ["bad.csv", "line 4", "'a'", "'abc'"]),
    "word among many numbers": (
        "a,y\n" + "".join(f"{i}.5,{i % 2}\n" for i in range(99)) + "abc,1\n",
        {},
        ["line 101", "'a'", "'abc'"],
    ),
    "word among dates": (
        "d,y\n2024-01-01,0\n2024-01-02,1\n2024-02-30,0\n",
        {},
        ["bad.csv", "line 4", "'d'", "'2024-02-30'", "dates"],
    ),
    "infinite value": ("a,y\n1,0\ninf,1\n", {}, ["bad.csv", "line 3", "'a'", "'inf'"]),
    "overflowing value": ("a,y\n1,0\n1e999,1\n", {}, ["bad.csv", "line 3", "'a'", "'1e999'"]),
    "NUL byte": (b"a,y\n1,0\n2\0,1\n", {}, ["bad.csv", "line 3", "NUL"]),
    "UTF-16 without mark": ("a,y\n1,2\n".encode("utf-16-le"), {}, ["bad.csv", "line 1", "utf-16-le"]),
    "not of the given encoding": (b"a,y\n1,2\n\xff,3\n", {"encoding": "utf-8"}, ["bad.csv", "line 3", "utf-8"]),
    "duplicate names": ("a,a,y\n1,2,0\n", {}, ["bad.csv", "line 1", "'a'", "columns 1 and 2"]),
    "missing target column": (
        "price,rooms\n1,2\n3,4\n",
        {"target": "prize"},
        ["bad.csv", "'prize'", "'price'", "'rooms'", "Did you mean 'price'"],
    ),
    "another delimiter": (
        "a;b;y\n1;2;0\n3;4;1\n",
        {"target": "y", "delimiter": ","},
        ["bad.csv", "no column 'y'", "Its only column is several, with ';' between them", "delimiter"],
    ),
    "no delimiter in a name": (
        '"price, EUR"\n1\n2\n',
        {"target": "price EUR", "delimiter": ";"},
        ["bad.csv", "Did you mean 'price, EUR'?"],
    ),
    "delimiters in several names": (
        "a;b,y;z\n1,2\n3,4\n",
        {"target": "z", "delimiter": ","},
        ["bad.csv", "no column 'z'. There are 'a;b', 'y;z'"],
    ),
    "no target named": ("price,rooms\n1,2\n3,4\n", {}, ["bad.csv", "--target", "'price', 'rooms'"]),
    "position of no column": ("a,b\n1,2\n", {"target": 7}, ["bad.csv", "position 7", "2 columns"]),
    "target with gaps": ("a,y\n1,p\n2,\n3,q\n4,NA\n", {}, ["bad.csv", "'y'", "line 3, line 5"]),
    "target all missing": ("a,y\n1,\n2,\n", {}, ["bad.csv", "'y'", "all of its 2 values"]),
    "nothing but the target": ("y\n1\n2\n", {"target": "y"}, ["bad.csv", "nothing but the target"]),
    "PNG": (b"\x89PNG\r\n\x1a\n" + bytes(50), {}, ["bad.csv", "PNG"]),
    "ZIP": (b"PK\x03\x04" + bytes(50), {}, ["bad.csv", "ZIP"]),
    "pickle": (pickle.dumps([1, 2]), {}, ["bad.csv", "pickle", "run code"]),
    "Parquet by another name": (b"PAR1" + bytes(20), {}, ["bad.csv", "Parquet"]),
    "control codes": (bytes(range(1, 9)) * 20, {}, ["bad.csv", "control codes"]),
    "escape in a name": ("a\x1b[31m,b\n1,2\n", {"target": "q"}, ["\\x1b"]),
}


@pytest.mark.parametrize("case", CSV_CASES)
def test_csv(tmp_path, case):
    content, options, expected = CSV_CASES[case]
    path = tmp_path / "bad.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as raised:
        load(path, **options)
    for part in expected:
        assert part in str(raised.value)
    assert "\x1b" not in str(raised.value)


FILE_CASES = {
    "truncated gzip": (
        "t.csv.gz",
        gzip.compress(b"a,y\n" + os.urandom(4000).hex().encode())[:-900],
        ["truncated gzip"],
    ),
    "damaged gzip": ("t.csv.gz", gzip.compress(b"a,y\n1,2\n")[:-8] + bytes(8), ["damaged gzip"]),
    "IDX truncated": ("t.idx", idx_bytes(10, 2, content=bytes(7)), ["20 bytes", "there are 7"]),
    "IDX too long": ("t.idx", idx_bytes(2, content=bytes(7)), ["2 bytes", "there are 7"]),
    "IDX that lies": ("t.idx", idx_bytes(2**32 - 1, 2**32 - 1, 2**32 - 1, content=bytes(7)), ["there are 7"]),
    "IDX header cut": ("t.idx", b"\0\0\x08\x03\0\0", ["truncated", "3 axes"]),
    "IDX gzip cut": ("t-ubyte.gz", gzip.compress(idx_bytes(4, content=os.urandom(4000)))[:-9], ["truncated gzip"]),
    "IDX of no size": ("t.idx", idx_bytes(0, 28), ["empty"]),
    "not IDX": ("t-ubyte", b"hello there", ["not an IDX file"]),
    "npy of objects": ("t.npy", npy_bytes(np.array([{}], dtype=object), allow_pickle=True), ["pickle", "objects"]),
    "npy structured": ("t.npy", npy_bytes(np.zeros(2, dtype="i4,f4")), ["dtype"]),
    "npy complex": ("t.npy", npy_bytes(np.zeros(2, dtype="complex64")), ["complex64"]),
    "npy truncated": ("t.npy", npy_bytes(np.zeros((3, 2)))[:-8], ["48 bytes", "there are 40"]),
    "npy that lies": ("t.npy", LYING_SHAPE, ["(99999999999, 99)", "there are 32"]),
    "not npy": ("t.npy", b"hello there, this is text", ["not a NumPy array"]),
    "not npz": ("t.npz", b"hello there, this is text", ["damaged .npz"]),
    "npz cut": ("t.npz", b"PK\x03\x04" + bytes(30), ["damaged .npz"]),
    "not Parquet": ("t.parquet", b"a,b\n1,2\n", ["not a Parquet file"]),
    "damaged Parquet": ("t.parquet", b"PAR1" + bytes(40) + b"PAR1", ["cannot be read"]),
    "npy as csv": ("t.csv", npy_bytes(np.zeros(3)), ["NumPy array", ".npy"]),
}


@pytest.mark.parametrize("case", FILE_CASES)
def test_files(tmp_path, case):
    name, content, expected = FILE_CASES[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as raised:
        load(tmp_path / name, require_target=False)
    for part in [name, *expected]:
        assert part in str(raised.value)


def test_the_lying_header_is_one():
    assert b"99999999999" in LYING_SHAPE
    assert len(LYING_SHAPE) == len(npy_bytes(np.zeros((2, 2))))


def test_npz_member_of_objects(tmp_path):
    path = tmp_path / "t.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("X.npy", npy_bytes(np.array([[]], dtype=object), allow_pickle=True))
    with pytest.raises(DataError, match=r"t\.npz, array 'X' holds Python objects"):
        load(path)


def test_npz_without_arrays(tmp_path):
    path = tmp_path / "t.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "nothing here")
    with pytest.raises(DataError, match="holds no arrays"):
        load(path)


def test_directory(tmp_path):
    with pytest.raises(DataError, match="no images in class folders"):
        load(tmp_path)


def test_nonexistent_file_suggests_the_nearest(tmp_path):
    (tmp_path / "houses.csv").write_text("a,y\n1,2\n")
    with pytest.raises(DataError, match=r"no file .*house\.csv.*Did you mean .*houses\.csv"):
        load(tmp_path / "house.csv")
    with pytest.raises(DataError, match="Did you mean 'iris'"):
        load("irsi")


@pytest.mark.parametrize("name", ["a\0b.csv", "x" * 5000 + ".csv"])
def test_impossible_paths(name):
    with pytest.raises(DataError):
        load(name)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_permission(tmp_path):
    path = tmp_path / "secret.csv"
    path.write_text("a,y\n1,2\n")
    path.chmod(0)
    with pytest.raises(DataError, match=r"secret\.csv cannot be read: Permission denied"):
        load(path)


def test_a_disk_that_fails(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_text("a,y\n1,2\n")

    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(DataError, match=r"t\.csv cannot be read: Permission denied"):
        load(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(DataError, match="not a regular file"):
        load(tmp_path / "pipe.csv")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"delimiter": "ab"}, "delimiter"),
        ({"delimiter": '"'}, "delimiter"),
        ({"encoding": "no-such-encoding"}, "encoding"),
        ({"encoding": "base64"}, "encoding"),
    ],
)
def test_settings(tmp_path, options, expected):
    path = tmp_path / "t.csv"
    path.write_text("a,y\n1,2\n")
    with pytest.raises(SettingsError, match=expected):
        load(path, **options)


def test_rows_of_a_chunk(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,y\n1,2\n")
    with pytest.raises(SettingsError, match="rows is 0"):
        iter_tables(path, rows=0)


@pytest.mark.parametrize("source", [42, None, object(), [], np.zeros(0), {}, np.array([1 + 2j])])
def test_sources_that_are_none(source):
    with pytest.raises(ClearpropError):
        load(source, require_target=False)


def test_fashion_mnist_absent_says_how_to_get_it(tmp_path):
    with pytest.raises(DataError, match=r"apt install dataset-fashion-mnist.*--data-dir.*train-images-idx3-ubyte\.gz"):
        load("fashion-mnist", data_dir=tmp_path)


@pytest.mark.parametrize(
    ("features", "target", "expected"),
    [
        (np.zeros((3, 2)), [1, 2], "3 samples and a target of shape"),
        (np.zeros((3, 2)), [1.0, np.nan, 2.0], "missing in row 2"),
        (np.zeros((3, 2)), ["a", None, "b"], "missing in row 2"),
        (np.zeros((3, 2)), np.array([["a", "b"]] * 3), "several targets must all be numbers"),
        (np.array([b"x", b"y"]), [1, 2], "values of type"),
    ],
)
def test_arrays(features, target, expected):
    with pytest.raises(DataError, match=expected):
        load((features, target))


@pytest.mark.parametrize("name", ["m.json", "m.JSONL"])
def test_json_is_recognised(tmp_path, name):
    (tmp_path / name).write_text('\n[{"a": 1, "target": 2},\n {"a": 2, "target": 3}]\n')
    with pytest.raises(DataError, match=r"is JSON, not a text table: save it as CSV"):
        load(tmp_path / name)
    (tmp_path / "table.json").write_text("a,target\n1,2\n2,3\n")
    assert load(tmp_path / "table.json").target_name == "target"


def test_a_sparse_matrix():
    with pytest.raises(DataError, match=r"a csr_matrix is sparse.*toarray\(\)"):
        load((csr_matrix(np.eye(3)), np.arange(3)))
