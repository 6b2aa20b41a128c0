"""What a column holds is decided in training: later a row has the same values whatever rows stand beside it."""

import csv
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clearprop.data import ColumnKind, Encoding, Table, iter_tables, load
from clearprop.data.inference import parse_truth
from clearprop.errors import DataError

# What may stand in each column: what training has there, and what may come later.
TRAINED = {
    "word": ("None", "True", "1.50", "2024-01-01", "plain", "12.345"),
    "number": ("12.345", "0,5", "-3", "1.000,25", "None", "7"),
    "truth": ("true", "FALSE", "None", ""),
    "date": ("2024-01-01", "31.01.2024", "2024/06/05", ""),
    "code": ("007", "12", "0815"),
}
LATER = {
    "word": ("None", "True", "true", "1.50", "1.5", "2024-01-01", "plain", "12.345", "new", "NA", "", "7"),
    "number": ("12.345", "0,5", "12.3", "-3", "1.000,25", "1,000", "NA", "None", "7", "", "1e3", "007", "word", "true"),
    "truth": ("true", "FALSE", "1", "0", "1.0", "None", "", "2", "maybe"),
    "date": ("2024-01-01", "2023-12-24T18:00:00+01:00", "31.01.2024", "", "None", "5", "soon"),
    "code": ("007", "12", "7", "12.0", "0815", "true"),
}
ROWS = st.lists(st.fixed_dictionaries({name: st.sampled_from(values) for name, values in LATER.items()}), min_size=1)
PROPERTY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def trained(dtype="float64"):
    count = 24
    columns = {name: [values[i % len(values)] for i in range(count)] for name, values in TRAINED.items()}
    table = load(columns, require_target=False).features
    return Encoding.fit(table, np.arange(count) / 2, dtype=dtype)


ENCODING = trained()


def by_columns(rows):
    return {name: [row[name] for row in rows] for name in rows[0]}


def encoded(read, rows):
    """Return the encoded rows, or None if there is an error in them."""
    try:
        return np.vstack([ENCODING.features(table) for table in read(rows)])
    except DataError:
        return None


def from_memory(rows):
    return [load(by_columns(rows), require_target=False, kinds=ENCODING.kinds).features]


def in_file(read):
    def written(rows):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "rows.csv"
            with path.open("w", encoding="utf-8", newline="") as stream:
                writer = csv.DictWriter(stream, rows[0], delimiter=";", quoting=csv.QUOTE_ALL)
                writer.writeheader()
                writer.writerows(rows)
            return list(read(path))

    return written


READERS = {
    "memory": from_memory,
    "file": in_file(lambda path: [load(path, require_target=False, kinds=ENCODING.kinds, header=True).features]),
    "stream": in_file(lambda path: iter_tables(path, rows=2, kinds=ENCODING.kinds, header=True)),
}


def test_what_training_found_out():
    assert ENCODING.kinds == {
        "word": ColumnKind("text"),
        "number": ColumnKind("number", ","),
        "truth": ColumnKind("boolean"),
        "date": ColumnKind("date"),
        "code": ColumnKind("text"),
    }


def check_rows(read, rows):
    """Rows read together are those that are read one by one; and there is an error if there is one in any of them."""
    alone = [encoded(from_memory, [row]) for row in rows]
    together = encoded(read, rows)
    if any(row is None for row in alone):
        assert together is None
    else:
        assert together is not None
        assert together.tolist() == np.vstack(alone).tolist()


@settings(PROPERTY, max_examples=100)
@given(rows=ROWS)
def test_a_row_is_encoded_the_same_alone_and_among_others(rows):
    check_rows(from_memory, rows)


@pytest.mark.parametrize("reader", ["file", "stream"])
@settings(PROPERTY, max_examples=25)
@given(rows=ROWS)
def test_a_row_is_encoded_the_same_from_a_file_with_others(reader, rows):
    check_rows(READERS[reader], rows)


def test_rows_are_the_same_from_memory_and_from_files():
    rows = [
        {"word": word, "number": "12.345", "truth": "1", "date": "", "code": "7"}
        for word in ("None", "True", "1.50", "2024-01-01", "NA", "new")
    ]
    found = {name: encoded(read, rows).tolist() for name, read in READERS.items()}
    assert found["memory"] == found["file"] == found["stream"]


def test_one_value_alone_is_a_word_as_it_is_written():
    values = ["None", "True", "1.50", "2024-01-01", "plain"]
    encoding = Encoding.fit(load({"word": values * 2}, require_target=False).features, np.arange(10.0), dtype="float64")
    assert encoding.describe()[0].distinct == 5
    for place, value in enumerate(sorted(values)):
        table = load({"word": [value]}, require_target=False, kinds=encoding.kinds).features
        assert encoding.features(table).tolist() == [[float(k == place) for k in range(5)]]
        assert encoding.inspect(table) == ()


def known_marks(table):
    return {name: kind.decimal for name, kind in table.kinds.items() if kind.decimal is not None}


@pytest.mark.parametrize(
    ("content", "marks"),
    [
        ("a;b\n10.100,50;3\n2,5;4\n", {"a": ",", "b": ","}),  # whole numbers are of the file's form
        ("a,b\n1.5,3\n2.5,4\n", {"a": ".", "b": "."}),
        ("a;b\n1;3\n2;4\n", {}),  # no mark is seen: it is to be found out later, as it was here
        ("a;b\n1,5;3.25\n2,5;4.5\n", {"a": ",", "b": "."}),
        ("a;b\n1.234;x\n2.345;y\n", {"a": "."}),
        ('a,b\n"1,234",x\n"12,345,678",y\n', {"a": "."}),
        ("a;b\n12.345;0,5\n1.500;2,5\n", {"a": ",", "b": ","}),
        ("a;b;c\n1,5;2024-01-01;x1.5\n2,5;2024-01-02;y\n", {"a": ","}),
        ("a;b\n1;NA\n2;None\n", {}),
    ],
)
def test_decimal_marks_of_a_file(tmp_path, content, marks):
    (tmp_path / "t.csv").write_text(content)
    assert known_marks(load(tmp_path / "t.csv", require_target=False).features) == marks
    assert known_marks(next(iter_tables(tmp_path / "t.csv"))) == marks


def test_decimal_marks_of_columns_in_memory():
    table = load(
        {"a": ["1,5", "2"], "b": ["1", "2"], "c": [1.5, 2.5], "d": ["x", "1,5"]}, require_target=False
    ).features
    assert known_marks(table) == {"a": ","}
    assert {name: kind.kind for name, kind in table.kinds.items()} == {"a": "number", "b": "number", "d": "text"}
    kept = table.take([0]).select(["c"]).drop([])
    assert kept.kinds == table.kinds


def german(tmp_path):
    (tmp_path / "train.csv").write_text("area;rooms;price\n10.100,50;3;1,5\n812,25;2;2,5\n99,75;1;12.345\n")
    return load(tmp_path / "train.csv", target="price")


@pytest.mark.parametrize("rows", ["12.345;3\n", "12.345;3\n0,5;3\n", "12.345;3\n7;3\n"])
def test_the_decimal_mark_of_training_holds(tmp_path, rows):
    dataset = german(tmp_path)
    encoding = Encoding.fit(dataset.features, dataset.target, dtype="float64", target_name=dataset.target_name)
    (tmp_path / "new.csv").write_text("area;rooms\n" + rows)
    expected = encoding.features(Table({"area": [12345.0], "rooms": [3]}))[0].tolist()
    for kinds in (encoding.kinds, Encoding.from_dict(json.loads(json.dumps(encoding.to_dict()))).kinds):
        whole = load(tmp_path / "new.csv", require_target=False, kinds=kinds).features
        assert encoding.features(whole)[0].tolist() == expected
        assert encoding.features(next(iter_tables(tmp_path / "new.csv", kinds=kinds)))[0].tolist() == expected
    assert encoding.features(Table({"area": ["12.345"], "rooms": ["3"]}))[0].tolist() == expected


def test_the_decimal_mark_of_the_target(tmp_path):
    dataset = german(tmp_path)
    assert dataset.target.tolist() == [1.5, 2.5, 12345.0]
    encoding = Encoding.fit(dataset.features, dataset.target, target_name=dataset.target_name)
    assert encoding.kinds["price"] == ColumnKind("number", ",")
    (tmp_path / "new.csv").write_text("area;rooms;price\n1;3;12.345\n")
    assert load(tmp_path / "new.csv", target="price", kinds=encoding.kinds).target.tolist() == [12345.0]


@pytest.mark.parametrize(
    ("labels", "given", "expected"),
    [
        (["None", "True", "1.50", "x"], ["True"], ["True"]),
        (["None", "True", "1.50", "x"], ["1.50"], ["1.50"]),
        (["true", "false", "true", "false"], ["1", "0.0"], [True, False]),
        (["1", "2", "1", "2"], ["2.0"], [2]),
        (["1", "2", "1", "2"], ["2", "None"], None),  # the label is missing
    ],
)
def test_labels_are_read_as_in_training(tmp_path, labels, given, expected):
    def write(values):
        path = tmp_path / "t.csv"
        path.write_text("x,label\n" + "".join(f"{i}.5,{value}\n" for i, value in enumerate(values)))
        return path

    dataset = load(write(labels * 3))
    encoding = Encoding.fit(dataset.features, dataset.target, target_name="label", task="classification")
    if expected is None:
        with pytest.raises(DataError, match="line 3"):
            load(write(given), kinds=encoding.kinds)
    else:
        later = load(write(given), kinds=encoding.kinds).target
        assert later.tolist() == expected
        assert encoding.target(later).tolist() == [encoding.classes.tolist().index(label) for label in expected]


@pytest.mark.parametrize(
    ("rows", "task"),
    [
        (("1.5,TRUE,a", "2.5,False,b"), "multilabel"),  # side by side all are text in training
        (("1.5,TRUE,0", "2.5,False,1"), "multilabel"),  # ... and here numbers
        (("1.5,TRUE,0.5", "2.5,False,1"), "regression"),
        (("1.5,TRUE", "2.5,False"), "regression"),
    ],
)
def test_targets_side_by_side_are_read_as_in_training(tmp_path, rows, task):
    names = ("y", "z")[: rows[0].count(",")]
    header = ",".join(["x", *names])
    (tmp_path / "t.csv").write_text("\n".join([header, *rows * 3, ""]))
    dataset = load(tmp_path / "t.csv", target=names)
    encoding = Encoding.fit(dataset.features, dataset.target, target_name=dataset.target_name, task=task)
    assert encoding.kinds["y"] == ColumnKind("boolean")
    (tmp_path / "t.csv").write_text("\n".join([header, rows[0], ""]))
    later = load(tmp_path / "t.csv", target=names, kinds=encoding.kinds).target
    assert encoding.target(later).tolist() == encoding.target(dataset.target)[:1].tolist()


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (ColumnKind("number", ","), ["1,5", "12.5"], "line 3, column 'a': '12.5' is not a number with a decimal comma"),
        (ColumnKind("number", "."), ["1.5", "12,5"], "line 3, column 'a': '12,5' is not a number with a decimal point"),
        (ColumnKind("number", ","), ["1", "2,5"], None),
        (ColumnKind("number"), ["1,5", "x"], "line 3, column 'a': 'x' is not a number, and training had numbers"),
        (ColumnKind("number"), ["1.5", "2.5", "1,5"], "line 4, column 'a': '1,5' is not a number with a decimal point"),
        (ColumnKind("number", "."), ["1e999"], "line 2, column 'a': '1e999' is not a finite number"),
        (
            ColumnKind("date"),
            ["2024-01-01", "soon"],
            "line 3, column 'a': 'soon' is not a date, and training had dates",
        ),
        (ColumnKind("boolean"), ["true", "2"], "line 3, column 'a': '2' is neither true nor false"),
    ],
)
def test_what_is_not_of_the_kind_is_refused_with_its_place(tmp_path, kind, values, message):
    path = tmp_path / "t.csv"
    path.write_text("a;b\n" + "".join(f"{value};1\n" for value in values))
    for read in (
        lambda: load(path, require_target=False, kinds={"a": kind}),
        lambda: [*iter_tables(path, kinds={"a": kind})],
    ):
        if message is None:
            read()
        else:
            with pytest.raises(DataError, match=message):
                read()
    if message is not None and "finite" not in message:
        with pytest.raises(DataError, match=message.replace("line 3", "row 2").replace("line 4", "row 3")):
            load({"a": values}, require_target=False, kinds={"a": kind})


def test_columns_that_are_not_named_are_found_out(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,c\n1,1,2024-01-01\n2,2,2024-01-02\n")
    table = load(
        tmp_path / "t.csv", require_target=False, kinds={"a": ColumnKind("text"), "z": ColumnKind("text")}
    ).features
    assert table["a"].tolist() == ["1", "2"]
    assert table["b"].tolist() == [1, 2]
    assert table["c"].dtype.kind == "M"


def test_a_column_that_is_not_used_may_hold_anything(tmp_path):
    table = Table({"x": [1.5, 2.5, 3.5], "same": [1, 1, 1]})
    encoding = Encoding.fit(table, np.array([1.5, 2.5, 4.5]))
    (tmp_path / "t.csv").write_text("x,same\n1,1\n2,1\n3,oops\n4,1\n")
    assert len(encoding.features(load(tmp_path / "t.csv", require_target=False, kinds=encoding.kinds).features)) == 4


def test_a_stray_number_of_the_other_form_is_not_missing(tmp_path):
    """The few numbers with a comma among those with a point were read as missing."""
    (tmp_path / "t.csv").write_text("a;b\n" + "1.5;1\n" * 20 + "1,5;1\n")
    with pytest.raises(DataError, match="line 22, column 'a': '1,5' stands among numbers"):
        load(tmp_path / "t.csv", require_target=False)
    with pytest.raises(DataError, match="row 21, column 'a': '1,5' stands among numbers"):
        load({"a": ["1.5"] * 20 + ["1,5"]}, require_target=False)


def test_a_list_of_text_and_numbers_keeps_its_numbers():
    """NumPy would write 1.0 for the number, which alone is the category 1."""
    mixed = Table({"a": [1.0, "x", True, np.float32(0.1), None]})
    assert mixed["a"].tolist() == ["1", "x", "true", str(float(np.float32(0.1))), None]
    assert load({"a": [1.0, "x"]}, require_target=False).features["a"].tolist() == ["1", "x"]


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("FALSE", False), ("1", True), ("0.0", False), ("-0", False), ("2", None), ("yes", None)],
)
def test_truth(text, value):
    assert parse_truth(text) is value


LARGE = (9007199254740992, 9007199254740993, -9223372036854775808, 9223372036854775807)


@pytest.mark.parametrize("value", LARGE)
def test_whole_numbers_are_exact_up_to_int64(tmp_path, value):
    (tmp_path / "t.csv").write_text(f"a;b;c\n{value};{value:,};{value:,}\n1;1;1\n".replace(",", "."))
    kinds = {"b": ColumnKind("number", ",")}
    table = load(tmp_path / "t.csv", require_target=False, kinds=kinds).features
    assert [table[name].tolist() for name in "ab"] == [[value, 1]] * 2
    assert load({"a": [str(value), "1"]}, require_target=False).features["a"].tolist() == [value, 1]


def test_large_labels_stay_apart(tmp_path):
    """As float64, both are 9007199254740992."""
    labels = LARGE[:2] * 3
    (tmp_path / "t.csv").write_text("x,label\n" + "".join(f"{i}.5,{label}\n" for i, label in enumerate(labels)))
    dataset = load(tmp_path / "t.csv")
    encoding = Encoding.fit(dataset.features, dataset.target, target_name="label")
    assert encoding.classes.tolist() == list(LARGE[:2])
    again = Encoding.from_dict(json.loads(json.dumps(encoding.to_dict())))
    assert again.target(dataset.target).tolist() == [0, 1] * 3
    assert again.target(dataset.target.astype(str)).tolist() == [0, 1] * 3


@pytest.mark.parametrize("labels", [["9223372036854775808", "9223372036854775809"], ["1e300", "2e300"]])
def test_labels_too_large_to_be_told_apart_are_refused(labels):
    target = load({"x": [1, 2, 3, 4], "label": labels * 2}).target
    with pytest.raises(DataError, match=r"the target 'label': .* is too large a number for a label"):
        Encoding.fit(Table({"x": [1, 2, 3, 4]}), target, target_name="label", task="classification")
