"""tools/size.py: the table, the limits, and a ratchet that only goes one way."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

specification = importlib.util.spec_from_file_location("tools_size", ROOT / "tools" / "size.py")
size = importlib.util.module_from_spec(specification)
sys.modules[specification.name] = size
specification.loader.exec_module(size)


def function(name: str, lines: int, indent: str = "") -> str:
    return f"{indent}def {name}():\n" + f"{indent}    pass\n" * (lines - 1)


@pytest.fixture
def measured(tmp_path):
    def measured(text: str, path: str = "src/clearprop/ops/a.py"):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return size.measure(tmp_path, ["src"])

    return measured


def test_a_file_and_a_function_at_the_limit_pass(measured):
    text = function("f", 60) + "x = 1\n" * 340
    assert size.too_long(measured(text), {}) == []


def test_one_line_more_does_not(measured):
    text = "class A:\n" + function("f", 61, "    ") + "x = 1\n" * 339
    assert size.too_long(measured(text), {}) == [
        "src/clearprop/ops/a.py: src/clearprop/ops/a.py has 401 lines, at most 400: split it",
        "src/clearprop/ops/a.py:2: src/clearprop/ops/a.py::A.f has 61 lines, at most 60: split it",
    ]


def test_a_nested_function_counts_by_itself_and_in_its_outer_one(measured):
    (file,) = measured("def outer():\n" + function("inner", 3, "    "))
    assert [(f.name, f.length) for f in file.functions] == [("outer", 4), ("outer.inner", 3)]


@pytest.mark.parametrize(
    ("lines", "says"),
    [(70, []), (71, ["at most 70"]), (69, ["lower it to 69"]), (60, ["remove it"]), (None, ["is gone"])],
)
def test_the_ratchet_only_shrinks(measured, lines, says):
    files = measured("x = 1\n" if lines is None else function("f", lines))
    found = size.too_long(files, {"src/clearprop/ops/a.py::f": 70})
    assert len(found) == len(says)
    assert all(word in message for word, message in zip(says, found, strict=True))


def test_table_has_a_row_a_folder(measured):
    measured("x = 1\n", "src/clearprop/errors.py")
    rows = size.table(measured(function("f", 5))).splitlines()
    assert [row.split() for row in rows[1:]] == [
        ["ops/", "1", "5", "1", "5", "f", "5", "a.py"],
        ["errors.py", "1", "1", "0", "-", "1", "errors.py"],
        ["all", "2", "6", "1", "5", "f", "5", "a.py"],
    ]


def test_exit_status(capsys):
    assert size.main([]) == 0
    assert "longest function" in capsys.readouterr().out
    assert size.main(["--chekc"]) == 2
