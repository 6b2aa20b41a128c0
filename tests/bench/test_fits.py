"""`bench/fits.py`: the rows of its table, and what it prints."""

import sys

import fits
import pytest

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


ROWS = ("digits, 100", "digits, 64-32, float32", "digits, 100, sgd", "digits, 100, lbfgs", "docstring: regression")
"""One of each kind; `python bench/fits.py --quick` has them all."""


@pytest.mark.parametrize("name", ROWS)
def test_a_quick_pass_of_a_row(name):
    cells = [cell.strip() for cell in fits.measure(name, 1, 2).strip("|").split("|")]
    assert cells[0] == name
    first, theirs, ours, times, gap = map(float, cells[1:])
    assert min(first, theirs, ours, times) > 0
    assert gap < 1e-6


def test_many_fits_print_their_memory(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["fits.py", "--fits", "12"])
    fits.main()
    assert capsys.readouterr().out.startswith("12 fits: ")
