"""Every kind of source gives the same data."""

import gzip
import pickle
import struct
import zipfile
from datetime import datetime

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn.datasets

from clearprop.data import Table, bundled_names, iter_tables, load
from clearprop.data.bundled import FASHION_CLASSES, FASHION_FOLDER
from clearprop.errors import DataError, HeaderError

COLUMNS = {"size": [1.5, None, 3.0], "city": ["Bonn", "Rome", None], "rooms": [1, 2, 3], "y": ["p", "q", "p"]}


def as_lists(table):
    return {
        name: [None if isinstance(v, float) and np.isnan(v) else v for v in column.tolist()]
        for name, column in table.columns.items()
    }


def csv_file(folder):
    (folder / "t.csv").write_text("size,city,rooms,y\n1.5,Bonn,1,p\n,Rome,2,q\n3,,3,p\n")
    return folder / "t.csv"


def parquet_file(folder):
    frame = pd.DataFrame(COLUMNS)  # noqa: F841 - DuckDB finds it by its name
    duckdb.sql("SELECT * FROM frame").write_parquet(str(folder / "t.parquet"))
    return folder / "t.parquet"


SOURCES = {
    "csv": csv_file,
    "path as text": lambda folder: str(csv_file(folder)),
    "parquet": parquet_file,
    "pandas": lambda folder: pd.DataFrame(COLUMNS),
    "polars": lambda folder: pl.DataFrame(COLUMNS),
    "lazy polars": lambda folder: pl.LazyFrame(COLUMNS),
    "dictionary": lambda folder: COLUMNS,
    "table": lambda folder: Table({name: np.array(values, dtype=object) for name, values in COLUMNS.items()}),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_tables(tmp_path, kind):
    dataset = load(SOURCES[kind](tmp_path))
    assert as_lists(dataset.features) == {name: COLUMNS[name] for name in ("size", "city", "rooms")}
    assert dataset.target.tolist() == ["p", "q", "p"]
    assert dataset.target_name == "y"
    assert "target: the column 'y', by its name" in dataset.notes
    assert len(dataset.fingerprint) == 64


@pytest.mark.parametrize("kind", SOURCES)
def test_streams(tmp_path, kind):
    parts = list(iter_tables(SOURCES[kind](tmp_path), rows=2))
    assert [len(part) for part in parts] == [2, 1]
    assert [value for part in parts for value in as_lists(part)["city"]] == COLUMNS["city"]
    assert [value for part in parts for value in as_lists(part)["size"]] == COLUMNS["size"]
    assert parts[1].place(0) == ("line 4" if "csv" in kind or "path" in kind else "row 3")


@pytest.mark.parametrize(
    ("target", "names", "rest"),
    [
        ("rooms", "rooms", ("size", "city", "y")),
        (2, "rooms", ("size", "city", "y")),
        (-1, "y", ("size", "city", "rooms")),
        (["rooms", "size2"], ("rooms", "size2"), ("size", "city", "y")),
        ("rooms,size2", ("rooms", "size2"), ("size", "city", "y")),
        ((2, "size2"), ("rooms", "size2"), ("size", "city", "y")),
    ],
)
def test_choosing_the_target(target, names, rest):
    columns = {**COLUMNS, "size2": [1, 2, 4]} if not isinstance(names, str) else COLUMNS
    dataset = load(columns, target=target)
    assert dataset.target_name == names
    assert dataset.features.names == rest
    assert dataset.target.shape == ((3,) if isinstance(names, str) else (3, 2))


@pytest.mark.parametrize("target", ["blue", "blue ", "zz,blue", ["zz", "blue"], ["blue ", "column_1"], [99, "blue"]])
def test_a_name_in_a_line_that_was_taken_for_values(tmp_path, target):
    path = tmp_path / "t.csv"
    path.write_text("0,0,blue\n" + "1,2,red\n" * 3)
    with pytest.raises(HeaderError, match=r"'blue' stands in line 1, .* say --header") as found:
        load(path, target=target)
    assert "blue" in found.value.columns
    with pytest.raises(HeaderError) as found:
        load(path, target="zz")
    assert "line 1" not in str(found.value)
    assert found.value.columns == ("zz",)


def test_columns_that_are_not_there_are_errors_of_the_header(tmp_path):
    table = load({"a": [1, 2], "y": [0, 1]}).features
    with pytest.raises(HeaderError) as found:
        table["q"]
    assert found.value.columns == ("q",)
    with pytest.raises(HeaderError, match="position 7"):
        load({"a": [1, 2], "b": [0, 1]}, target=7)
    (tmp_path / "t.csv").write_text("a,a,b\n1,2,3\n")
    with pytest.raises(DataError, match="stands twice") as twice:
        load(tmp_path / "t.csv", target="b")
    assert not isinstance(twice.value, HeaderError)


def test_no_target_to_predict_on():
    dataset = load({"a": [1, 2], "b": [3, 4]}, require_target=False)
    assert (dataset.target, dataset.target_name) == (None, None)
    absent = load({"a": [1, 2], "b": [3, 4]}, target="price", require_target=False)
    assert absent.features.names == ("a", "b")
    assert absent.notes == ("there is no target column 'price': all columns are features",)
    assert load({"a": [1, 2], "price": [3, 4]}, target="price", require_target=False).features.names == ("a",)
    whole = load({"a": [1, 2], "target": [3, 4]}, target=(), require_target=False)
    assert (whole.features.names, whole.target, whole.notes) == (("a", "target"), None, ())


def test_pairs():
    X, y = np.arange(6.0).reshape(3, 2), [0, 1, 0]
    for features, target in [(X, y), (X.tolist(), np.array(y)[:, None]), (X, pd.Series(y)), (X, pl.Series(y))]:
        dataset = load((features, target))
        assert dataset.features.tolist() == X.tolist()
        assert dataset.target.tolist() == y
    frame = load((pd.DataFrame({"a": [1, 2]}), pd.Series(["u", "v"], name="label")))
    assert frame.features.names == ("a",)
    assert (frame.target.tolist(), frame.target_name) == (["u", "v"], "label")
    words = load((np.array([["a", "1.5"], ["b", "2.5"]]), [0, 1]))
    assert as_lists(words.features) == {"column_1": ["a", "b"], "column_2": [1.5, 2.5]}
    assert load(X, require_target=False).target is None
    assert load(X, target=y).target.tolist() == y


def test_npz_and_npy(tmp_path):
    images, labels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4), np.array([1, 0])
    np.savez(tmp_path / "t.npz", X=images, y=labels, more=labels)
    dataset = load(tmp_path / "t.npz")
    assert (dataset.features == images).all()
    assert dataset.features.dtype == np.uint8
    assert dataset.target.tolist() == [1, 0]
    assert dataset.notes == ("features 'X', target 'y'", "not used: 'more'")
    np.savez_compressed(tmp_path / "u.npz", photos=images, answer=labels)
    assert load(tmp_path / "u.npz", target="answer").target.tolist() == [1, 0]
    np.save(tmp_path / "X.npy", np.asfortranarray(images))
    np.save(tmp_path / "y.npy", labels.astype(">i4"))
    dataset = load(tmp_path / "X.npy", target=tmp_path / "y.npy")
    assert (dataset.features == images).all()
    assert dataset.target.tolist() == [1, 0]
    with pytest.raises(DataError, match="give the file of the labels"):
        load(tmp_path / "X.npy")
    np.save(tmp_path / "words.npy", np.array([b"a", b"b"]))
    assert load(tmp_path / "X.npy", target=tmp_path / "words.npy").target.tolist() == ["a", "b"]


def idx(array, kind=0x08):
    return struct.pack(">HBB", 0, kind, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx(tmp_path, suffix):
    pack = gzip.compress if suffix else bytes
    images, labels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4), np.array([7, 9], dtype=np.uint8)
    path = tmp_path / f"train-images-idx3-ubyte{suffix}"
    path.write_bytes(pack(idx(images)))
    with pytest.raises(DataError, match="give the file of the labels"):
        load(path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(labels))
    dataset = load(path)
    assert (dataset.features == images).all()
    assert dataset.target.tolist() == [7, 9]
    floats = np.array([1.5, -2.5], dtype=">f4")
    (tmp_path / "odd.bin").write_bytes(idx(floats, 0x0D))  # known by its first bytes
    dataset = load(tmp_path / "odd.bin", require_target=False)
    assert (dataset.features.tolist(), dataset.features.dtype) == ([1.5, -2.5], np.float32)


def test_labels_must_match(tmp_path):
    (tmp_path / "x.idx").write_bytes(idx(np.zeros((2, 3), dtype=np.uint8)))
    (tmp_path / "y.idx").write_bytes(idx(np.zeros(3, dtype=np.uint8)))
    with pytest.raises(DataError, match="2 samples and a target of shape"):
        load(tmp_path / "x.idx", target=tmp_path / "y.idx")


def test_frames_of_every_type():
    frame = pd.DataFrame(
        {
            "nullable": pd.array([1, None, 3], dtype="Int64"),
            "category": pd.Categorical(["u", None, "v"]),
            "flag": pd.array([True, None, False], dtype="boolean"),
            "zoned": pd.to_datetime(["2024-01-01 12:00", None, "2024-07-01 12:00"]).tz_localize("Europe/Berlin"),
            "text dates": ["2024-01-01", None, "2024-01-03"],
            "mixed": np.array(["a", 2, True], dtype=object),
            7: [1, 2, 3],
        }
    )
    assert as_lists(load(frame, target="7").features) == {
        "nullable": [1.0, None, 3.0],
        "category": ["u", None, "v"],
        "flag": [True, None, False],
        "zoned": [datetime(2024, 1, 1, 11), None, datetime(2024, 7, 1, 10)],
        "text dates": [datetime(2024, 1, 1), None, datetime(2024, 1, 3)],
        "mixed": ["a", "2", "true"],
    }


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (lambda: pd.DataFrame([[1, 2]], columns=["a", "a"]), "a"),
        (lambda: pd.DataFrame({"a": [[1], [2]], "y": [1, 2]}), "column 'a' holds values of type list"),
        (lambda: pl.DataFrame({"a": [[1], [2]], "y": [1, 2]}), "column 'a' holds values of type list"),
        (
            lambda: pd.DataFrame({"a": ["1.5", "abc", "2.5", "3"], "y": [1, 2, 1, 2]}),
            "row 2, column 'a': 'abc' stands among",
        ),
        (lambda: pd.DataFrame({"a": [], "y": []}), "0 rows"),
        (lambda: {"a": [1, 2], "y": [1]}, "different lengths"),
        (lambda: {"a": [1 + 1j, 2], "y": [1, 2]}, "column 'a' holds values of type complex128"),
    ],
)
def test_frames_that_cannot_be_used(frame, expected):
    with pytest.raises(DataError, match=expected):
        load(frame())


def test_parquet_types(tmp_path):
    path = tmp_path / "t[1].parquet"
    duckdb.sql(
        "SELECT 1::TINYINT a, 1.25::DECIMAL(9,2) b, DATE '2024-01-31' c, TIMESTAMPTZ '2024-01-31 12:00:00+02' d, "
        "'x'::ENUM('x', 'y') e, true f, NULL::VARCHAR g, 3::UBIGINT h, [1, 2] i, 1 y"
    ).write_parquet(str(tmp_path / "lists.parquet"))
    source = duckdb.read_parquet(str(tmp_path / "lists.parquet"))
    source.select(*[duckdb.ColumnExpression(name) for name in "abcdefghy"]).write_parquet(str(path))
    assert as_lists(load(path).features) == {
        "a": [1],
        "b": [1.25],
        "c": [datetime(2024, 1, 31)],
        "d": [datetime(2024, 1, 31, 10)],
        "e": ["x"],
        "f": [True],
        "g": [None],
        "h": [3.0],
    }
    with pytest.raises(DataError, match=r"lists\.parquet, column 'i': it holds INTEGER\[\]"):
        load(tmp_path / "lists.parquet")


def test_fingerprints_follow_the_content(tmp_path):
    same = [load(COLUMNS).fingerprint, load(pd.DataFrame(COLUMNS)).fingerprint, load(pl.DataFrame(COLUMNS)).fingerprint]
    assert len(set(same)) == 1
    assert load({**COLUMNS, "rooms": [1, 2, 4]}).fingerprint not in same
    assert load((np.zeros(3), [1, 2, 3])).fingerprint != load((np.zeros(3), [1, 2, 4])).fingerprint


LOADERS = {
    "iris": (sklearn.datasets.load_iris, {}),
    "wine": (sklearn.datasets.load_wine, {}),
    "breast-cancer": (sklearn.datasets.load_breast_cancer, {}),
    "digits": (sklearn.datasets.load_digits, {}),
    "diabetes": (sklearn.datasets.load_diabetes, {"scaled": False}),
}


@pytest.mark.parametrize("name", LOADERS)
def test_bundled(name):
    loader, options = LOADERS[name]
    original = loader(**options)
    dataset = load(name)
    features = dataset.features
    values = features if isinstance(features, np.ndarray) else np.column_stack(list(features.columns.values()))
    assert (values == original["data"]).all()
    names = original.get("target_names")
    assert name == "digits" or list(features.columns) == list(original["feature_names"])
    expected = original["target"] if name in ("digits", "diabetes") else np.asarray(names)[original["target"]]
    assert (dataset.target == expected).all()
    assert dataset.fingerprint == load(name).fingerprint
    assert name in bundled_names()


def test_scikit_learn_without_its_files(monkeypatch):
    monkeypatch.setattr("clearprop.data.bundled.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"does not hold 'iris\.csv'"):
        load("iris")


@pytest.mark.skipif(not FASHION_FOLDER.is_dir(), reason="dataset-fashion-mnist is not installed")
def test_fashion_mnist():
    dataset = load("fashion-mnist")
    assert dataset.features.shape == (60000, 28, 28)
    assert dataset.test[0].shape == (10000, 28, 28)
    assert sorted(set(dataset.target)) == sorted(FASHION_CLASSES)
    assert dataset.target[0] == "Ankle boot"


def test_fashion_mnist_from_a_folder(tmp_path):
    folder = tmp_path / "fashion-mnist"
    folder.mkdir()
    for part, n in (("train", 3), ("t10k", 2)):
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(np.zeros((n, 2, 2), dtype=np.uint8)))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(np.arange(n, dtype=np.uint8)))
    dataset = load("fashion-mnist", data_dir=tmp_path)
    assert dataset.target.tolist() == ["T-shirt/top", "Trouser", "Pullover"]
    assert dataset.test[1].tolist() == ["T-shirt/top", "Trouser"]


@pytest.mark.parametrize("source", ["iris", {"x": [1.0, 2.0], "y": [0, 1]}])
def test_nothing_else_has_a_folder_to_choose(tmp_path, source):
    with pytest.raises(DataError, match=r"leave out data_dir \(--data-dir\), which is for fashion-mnist"):
        load(source, data_dir=tmp_path)


def test_tables_are_immutable_and_can_be_sent_to_another_process():
    table = Table({"a": [1, 2, 3], "b": ["x", None, "z"]})
    with pytest.raises(ValueError, match="read-only"):
        table["a"][0] = 7
    with pytest.raises(TypeError):
        table.columns["c"] = np.zeros(3)
    again = pickle.loads(pickle.dumps(table.take([2, 0])))
    assert as_lists(again) == {"a": [3, 1], "b": ["z", "x"]}
    assert again.place(0) == "row 3"
    assert table.drop(["a"]).names == ("b",)
    with pytest.raises(DataError, match="no column 'q'; there are 'a', 'b'"):
        table.select(["q"])


def test_archive_inside_is_not_opened(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.csv", "w") as archive:
        archive.writestr("t.csv", "a,y\n1,2\n")
    with pytest.raises(DataError, match="ZIP archive"):
        load(tmp_path / "t.csv")
