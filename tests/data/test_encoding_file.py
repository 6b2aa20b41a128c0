"""The JSON form of an encoding: it reads back to the same numbers, and damage is refused."""

import json

import numpy as np
import pytest

from clearprop.data import ColumnKind, Encoding, Table
from clearprop.errors import FileFormatError

LABELS = np.array(["no", "yes", "no", "yes"])


def fit(columns, target=LABELS, **options):
    return Encoding.fit(Table(columns), target, dtype="float64", **options)


def every_kind():
    return fit(
        {
            "number": [1, None, 2.5, 0.1],
            "boolean": [True, None, False, True],
            "text": ["a", "b", None, "ü"],
            "date": np.array(["2024-01-01", "NaT", "2024-03-05", "2024-07-09"], dtype="datetime64[D]"),
            "dropped": [1, 1, 1, 1],
        }
    )


def test_round_trip_through_json():
    encoding = every_kind()
    again = Encoding.from_dict(json.loads(json.dumps(encoding.to_dict())))
    assert again.to_dict() == encoding.to_dict()
    assert again.describe() == encoding.describe()


def test_files_of_earlier_versions_do_not_say_decimal_marks():
    encoding = every_kind()
    content = json.loads(json.dumps(encoding.to_dict()))
    assert content.pop("targets") == []
    for column in content["inputs"]["columns"]:
        column.pop("decimal", None)
    assert Encoding.from_dict(content).to_dict() == encoding.to_dict()


def test_decimal_marks_are_kept():
    kinds = {"a": ColumnKind("number", ","), "y": ColumnKind("number", ".")}
    table = Table({"a": [1, 2, 3, 4]}, kinds=kinds | {"gone": ColumnKind("date")})
    encoding = Encoding.fit(table, np.array([1.5, 2.5, 3.5, 4.5]), target_name="y")
    again = Encoding.from_dict(json.loads(json.dumps(encoding.to_dict())))
    assert again.kinds == encoding.kinds == kinds


def damage(content, path, value):
    *way, last = path
    for key in way:
        content = content[key]
    if value is KeyError:
        del content[last]
    else:
        content[last] = value


DAMAGES = [
    (["version"], 2),
    (["version"], "1"),
    (["dtype"], "object"),
    (["notes"], [1]),
    (["target_name"], 7),
    (["inputs"], None),
    (["inputs", "form"], "cube"),
    (["inputs", "columns"], []),
    (["inputs", "columns", 0, "kind"], "pickle"),
    (["inputs", "columns", 0, "mean"], float("nan")),
    (["inputs", "columns", 0, "mean"], 10**400),
    (["inputs", "columns", 0, "scale"], 0.0),
    (["inputs", "columns", 0, "scale"], KeyError),
    (["inputs", "columns", 0, "extra"], 1),
    (["inputs", "columns", 0, "name"], "text"),
    (["inputs", "columns", 2, "categories"], ["b", "a"]),
    (["inputs", "columns", 2, "common"], "z"),
    (["inputs", "columns", 3, "circles"], ["year"]),
    (["inputs", "columns", 0, "decimal"], ";"),
    (["inputs", "columns", 0, "decimal"], [","]),
    (["targets"], ["."]),
    (["targets"], [{"kind": "number"}]),
    (["targets"], [{"kind": "image", "decimal": None}]),
    (["targets"], None),
    (["outputs"], []),
    (["outputs", "task"], "ranking"),
    (["outputs", "kind"], ["text"]),
    (["outputs", "classes"], ["yes", "no"]),
    (["outputs", "classes"], [1, 2]),
    (["outputs", "classes"], ["one"]),
    (["outputs"], {"task": "regression", "mean": [1.0], "scale": [-1.0], "flat": True}),
    (["outputs"], {"task": "regression", "mean": [1.0, 2.0], "scale": [1.0], "flat": False}),
    (
        ["inputs"],
        {
            "form": "array",
            "scaling": "columns",
            "sample_shape": [2],
            "mean": [0.0],
            "scale": [1.0],
            "kept": [2],
            "indicators": [],
            "missing": 0,
        },
    ),
]


@pytest.mark.parametrize(("path", "value"), DAMAGES)
def test_damaged_files(path, value):
    content = json.loads(json.dumps(every_kind().to_dict()))
    damage(content, path, value)
    with pytest.raises(FileFormatError):
        Encoding.from_dict(content)


@pytest.mark.parametrize("content", [None, 1, "x", [], {}, {"version": 1}])
def test_foreign_files(content):
    with pytest.raises(FileFormatError):
        Encoding.from_dict(content)
