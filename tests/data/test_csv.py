"""Realistic files, each read by hand: dialects, encodings, headers, kinds of column."""

import codecs
import gzip
from datetime import datetime

import numpy as np
import pytest

from clearprop.data import iter_tables, load
from clearprop.data import read_csv as csv_reader
from clearprop.data.dialect import find_delimiter, first_records, has_header
from clearprop.data.read_csv import read_csv, stream_csv


def read(tmp_path, content, name="t.csv", **options):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    result = read_csv(path, **options)
    columns = {
        key: [None if isinstance(v, float) and np.isnan(v) else v for v in column.tolist()]
        for key, column in result.table.columns.items()
    }
    return columns, result


PLAIN = {"a": [1, 2], "b": ["x", "y"]}

SAME_TABLE = {
    "commas": b"a,b\n1,x\n2,y\n",
    "semicolons": b"a;b\n1;x\n2;y\n",
    "tabs": b"a\tb\n1\tx\n2\ty\n",
    "pipes": b"a|b\n1|x\n2|y\n",
    "no line break at the end": b"a,b\n1,x\n2,y",
    "blank lines at the end": b"a,b\n1,x\n2,y\n\n\n",
    "blank lines between": b"a,b\n\n1,x\n\n2,y\n",
    "blank lines on top": b"\n\na,b\n1,x\n2,y\n",
    "CRLF": b"a,b\r\n1,x\r\n2,y\r\n",
    "CR": b"a,b\r1,x\r2,y\r",
    "mixed line breaks": b"a,b\r\n1,x\n2,y\r",
    "byte order mark": codecs.BOM_UTF8 + b"a,b\n1,x\n2,y\n",
    "UTF-16": "a,b\n1,x\n2,y\n".encode("utf-16"),
    "UTF-32": "a,b\n1,x\n2,y\n".encode("utf-32"),
    "blanks around values": b" a , b \n 1 , x \n 2 , y \n",
    "quotation marks": b'"a","b"\n"1","x"\n"2","y"\n',
    "gzip": gzip.compress(b"a,b\n1,x\n2,y\n"),
}


@pytest.mark.parametrize("case", SAME_TABLE)
def test_same_table_in_many_dialects(tmp_path, case):
    assert read(tmp_path, SAME_TABLE[case])[0] == PLAIN


VALUES = {
    "decimal comma": ("a;b\n1,5;x\n-0,25;y\n", {"a": [1.5, -0.25], "b": ["x", "y"]}),
    "decimal comma and thousands": ("a;b\n1.234,5;x\n2,25;y\n", {"a": [1234.5, 2.25], "b": ["x", "y"]}),
    # another column has decimal commas, so the point in 12.345 separates thousands
    "thousands by the other column": ("a;b\n12.345;0,5\n1.500;2,5\n", {"a": [12345, 1500], "b": [0.5, 2.5]}),
    # ... and without such a column it is a decimal point
    "three decimals": ("a;b\n12.345;x\n1.500;y\n", {"a": [12.345, 1.5], "b": ["x", "y"]}),
    "thousands in quotation marks": ('a,b\n"1,234",x\n"12,345,678",y\n', {"a": [1234, 12345678], "b": ["x", "y"]}),
    "ambiguous comma between semicolons": ("a;b\n1,234;x\n2,345;y\n", {"a": [1.234, 2.345], "b": ["x", "y"]}),
    "exponents and signs": ("a,b\n+1e3,-.5\n-2E-2,3.\n", {"a": [1000, -0.02], "b": [-0.5, 3.0]}),
    "missing words": (
        "a,b\n1,x\nNA,?\nnan,NULL\n,n/a\n4,y\n",
        {"a": [1, None, None, None, 4], "b": ["x", *[None] * 3, "y"]},
    ),
    "None is a word among words": ("a,b\n1,None\nNone,brick\n", {"a": [1, None], "b": ["None", "brick"]}),
    "leading zeros are codes": ("zip,b\n01234,1\n98765,2\n", {"zip": ["01234", "98765"], "b": [1, 2]}),
    "underscores are no numbers": ("a,b\n1_000,1\n2_000,2\n", {"a": ["1_000", "2_000"], "b": [1, 2]}),
    "booleans": ("a,b\ntrue,1\nFALSE,2\n", {"a": [True, False], "b": [1, 2]}),
    "booleans with a gap": ("a,b\ntrue,1\n,2\nfalse,3\n", {"a": [True, None, False], "b": [1, 2, 3]}),
    "dates": (
        "a,b\n2024-01-31,2024-01-31T12:30:00+02:00\n2024/02/29,\n",
        {"a": [datetime(2024, 1, 31), datetime(2024, 2, 29)], "b": [datetime(2024, 1, 31, 10, 30), None]},
    ),
    "German dates": (
        "a;b\n31.01.2024;1\n01.02.2024;2\n",
        {"a": [datetime(2024, 1, 31), datetime(2024, 2, 1)], "b": [1, 2]},
    ),
    "few repeating integers and a word are categories": (
        "a,b\n" + "1,1\n2,1\n3,1\n" * 5 + "4+,1\n",
        {"a": [*["1", "2", "3"] * 5, "4+"], "b": [1] * 16},
    ),
    "line break in quotation marks": ('a,b\n1,"x\ny"\n2,z\n', {"a": [1, 2], "b": ["x\ny", "z"]}),
    "doubled quotation marks": ('a,b\n1,"x ""y"""\n2,z\n', {"a": [1, 2], "b": ['x "y"', "z"]}),
    "separator in quotation marks": ('a,b\n1,"x, y"\n2,z\n', {"a": [1, 2], "b": ["x, y", "z"]}),
    "a column without a name": (",b\n1,x\n2,y\n", {"column_1": [1, 2], "b": ["x", "y"]}),
    "one column": ("a\n1\n2\n", {"a": [1, 2]}),
    "one column with a gap": ('a\n1\n""\n3\n', {"a": [1, None, 3]}),
    "one row": ("a,b\n1,x\n", {"a": [1], "b": ["x"]}),
    "nothing but numbers": ("1,2\n3,4\n", {"column_1": [1, 3], "column_2": [2, 4]}),
    "names in many scripts": ("größe,名前\n1,ä\n2,字\n", {"größe": [1, 2], "名前": ["ä", "字"]}),
    "a column that is empty": ("a,b\n1,\n2,\n", {"a": [1, 2], "b": [None, None]}),
    "large integers": ("a,b\n9007199254740993,1\n1,2\n", {"a": [9007199254740993, 1], "b": [1, 2]}),
    "escape codes in values": ("a,b\n\x1b[31mred,1\nblue,2\n", {"a": ["\x1b[31mred", "blue"], "b": [1, 2]}),
}


@pytest.mark.parametrize("case", VALUES)
def test_values(tmp_path, case):
    content, expected = VALUES[case]
    assert read(tmp_path, content)[0] == expected


def test_latin_1(tmp_path):
    columns, result = read(tmp_path, "Straße;Größe\nEschenweg;1\nWörthstraße;2\n".encode("latin-1"))
    assert columns == {"Straße": ["Eschenweg", "Wörthstraße"], "Größe": [1, 2]}
    assert "encoding cp1252" in result.notes[0]


def test_huge_field(tmp_path):
    columns, _ = read(tmp_path, f"a,b\n1,{'x' * 3_000_000}\n2,y\n")
    assert [len(value) for value in columns["b"]] == [3_000_000, 1]


def test_many_columns(tmp_path):
    n = 700
    header, row = ",".join(f"c{i}" for i in range(n)), ",".join(str(i / 2) for i in range(n))
    columns, _ = read(tmp_path, f"{header}\n{row}\n{row}\n")
    assert len(columns) == n
    assert columns["c699"] == [349.5, 349.5]


@pytest.mark.parametrize("name", ["x[1].csv", "a*b?.csv", "it's {a,b}.csv", "year=2020.csv"])
def test_names_that_are_patterns(tmp_path, name):
    folder = tmp_path / "part=7"
    folder.mkdir()
    assert read(folder, "a,b\n1,x\n2,y\n", name)[0] == PLAIN


def test_places_are_lines_of_the_file(tmp_path):
    _, result = read(tmp_path, "a,b\n1,x\n2,y\n")
    assert [result.table.place(i) for i in range(2)] == ["line 2", "line 3"]
    assert result.table.take([1]).place(0) == "line 3"
    _, result = read(tmp_path, '1,"x\nz"\n2,y\n', header=False)
    assert result.table.place(1) == "row 2"  # a row that takes two lines: rows are counted instead


def test_notes_and_fingerprint(tmp_path):
    _, first = read(tmp_path, "a;b\n1;x\n2;y\n", "first.csv")
    _, same = read(tmp_path, gzip.compress(b"a;b\n1;x\n2;y\n"), "same.csv.gz")
    _, other = read(tmp_path, "a;b\n1;x\n2;z\n", "other.csv")
    assert first.notes == ("2 rows and 2 columns; delimiter ';', encoding utf-8, header found",)
    assert first.fingerprint == same.fingerprint != other.fingerprint


@pytest.mark.parametrize("rows", [1, 2, 3, 100])
def test_stream_gives_the_same_columns(tmp_path, rows):
    text = "a,b,c\n1,x,2024-01-01\n2,,2024-01-02\n,z,\n4,1,2024-01-04\n5,2,2024-01-05\n"
    _, whole = read(tmp_path, text)
    parts = list(stream_csv(tmp_path / "t.csv", rows))
    assert [len(part) for part in parts][:-1] == [rows] * (len(parts) - 1)
    for name in whole.table.names:
        together = np.concatenate([part[name] for part in parts])
        assert together.tolist()[0] == whole.table[name].tolist()[0]
        assert str(together.tolist()) == str(whole.table[name].astype(together.dtype).tolist())
    assert parts[-1].place(len(parts[-1]) - 1) == "line 6"


PLACES = "place, river\tkind\nBonn, Rhine\tcity\nOxford, Thames\ttown\n"
"""By their content these values are separated by commas, as there is one in each line."""


@pytest.mark.parametrize("name", ["t.tsv", "T.TSV", "t.tsv.gz"])
@pytest.mark.parametrize(
    "reader",
    [
        lambda path, **given: load(path, require_target=False, **given).features,
        lambda path, **given: next(iter_tables(path, **given)),
        lambda path, **given: read_csv(path, **given).table,
        lambda path, **given: next(stream_csv(path, 10, **given)),
    ],
    ids=["load", "iter_tables", "read_csv", "stream_csv"],
)
def test_tsv_is_separated_by_tabs(tmp_path, reader, name):
    """By its name, whoever reads it; a delimiter that is given goes before the name."""
    content = PLACES.encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert reader(tmp_path / name).columns["place, river"].tolist() == ["Bonn, Rhine", "Oxford, Thames"]
    assert find_delimiter(PLACES) == ","
    (tmp_path / "semicolons.tsv").write_text("a;b\n1;2\n")
    assert reader(tmp_path / "semicolons.tsv", delimiter=";").names == ("a", "b")


def test_a_small_file_is_read_once_for_all_columns(tmp_path, monkeypatch):
    """A view is read again by each query on its columns, of which there is one for 32 of them; a table is not."""
    path = tmp_path / "t.csv"
    path.write_text("".join(",".join(f"{start}{i}" for i in range(100)) + "\n" for start in ("c", "1.", "", "3.")))
    defined = []

    def define(connection, kind, layout, source):
        defined.append(kind)
        return define_rows(connection, kind, layout, source)

    define_rows = csv_reader._define_rows
    monkeypatch.setattr(csv_reader, "_define_rows", define)
    held = list(stream_csv(path, 2))
    monkeypatch.setattr(csv_reader, "_HELD_BYTES", path.stat().st_size - 1)
    streamed = list(stream_csv(path, 2))
    assert defined == ["TABLE", "VIEW"]
    for one, other in zip(held, streamed, strict=True):
        assert one.kinds == other.kinds
        assert {name: column.tolist() for name, column in one.columns.items()} == {
            name: column.tolist() for name, column in other.columns.items()
        }


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a,b\n1,2\n", ","),
        ("1,5;2,5\n3,5;4,5\n", ";"),  # five;two is no number: the comma is decimal
        ("a;b\nHello, world;1\nBye, you;2\n", ";"),
        ("word\nother\n", ","),
        ("a b\tc\n1 2\t3\n", "\t"),
    ],
)
def test_delimiter(text, delimiter):
    assert find_delimiter(text) == delimiter


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("a,b\n1,2\n", True),  # words above numbers
        ("1,2\n3,4\n", False),
        ("p,x\ne,y\np,x\n", False),  # all words, and the first come again below
        ("name,city\nAnn,Bonn\nBob,Rome\n", True),  # all words, none comes again
        ("0,1,2\n5.5,2.5,1\n", True),  # the names pandas gives
        ("country,2019,2020\nFR,1.5,2.5\n", False),  # no word stands above numbers
        ("gdp,2019,2020\n3.1,1.5,2.5\n", True),  # a word does, and the others are years
        ("5.1,abc,1.4\n4.9,3,1.3\n", False),  # a first row of data with a stray word
        ("a,b\n", True),
        ("1,2\n", False),
        (",\n1,2\n", False),
    ],
)
def test_header(text, header):
    assert has_header(first_records(text, ",")) is header
