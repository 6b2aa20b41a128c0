"""Tables in wide and narrow terminals."""

import pytest
from rich.cells import cell_len

from clearprop.cli.output import number, table

ROWS = [("name", "value"), ("a" * 60, "1"), ("日本語の列", "22"), ("\x1b[31mred", "3")]


def test_columns_are_aligned_by_cells():
    lines = table(ROWS, right={1}).splitlines()
    assert {cell_len(line) for line in lines} == {67}
    assert "\x1b" not in table(ROWS)


@pytest.mark.parametrize("width", [20, 30, 50, 80])
def test_narrow_terminals_get_narrow_tables(width):
    lines = table(ROWS, right={1}, width=width).splitlines()
    assert max(map(cell_len, lines)) <= width


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.0, "0"), (0.5, "0.5000"), (123456.7, "123457"), (1e-9, "1.000e-09"), (float("nan"), "nan")],
)
def test_numbers(value, text):
    assert number(value) == text
