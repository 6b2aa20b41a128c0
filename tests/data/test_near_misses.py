"""Texts that a reader takes for numbers or dates: the message says how to write them."""

import numpy as np
import pytest

from clearprop.data import Encoding, Table
from clearprop.data.near_misses import remedy


@pytest.mark.parametrize(
    ("texts", "mark"),
    [
        (["$1,200.50", "$900", "-$3", "$-4"], "$"),
        (["12%", "8.5 %", "-1%"], "%"),
        (["1.200,50 €", "7€"], "€"),
        (["5 kg", "12.5kg"], "kg"),
    ],
)
def test_numbers_with_a_mark(texts, mark):
    assert remedy(texts) == f"; write values such as {texts[0]!r} without {mark!r} to have numbers"


@pytest.mark.parametrize("texts", [["25/12/2024", "1/2/2024"], ["3-4-24", "13-12-24"]])
def test_dates_of_another_order(texts):
    assert remedy(texts) == f"; write dates such as {texts[0]!r} as year-month-day"


@pytest.mark.parametrize(
    "texts", [[], ["$5", "€5"], ["5 kg", "5 lb"], ["12A", "12B"], ["text 1", "text 2"], ["1", "2"], ["$"], ["1.2.3%"]]
)
def test_other_texts(texts):
    assert remedy(texts) == ""


def test_a_dropped_column_says_it():
    rows = [f"{i}%" for i in range(40)]
    encoding = Encoding.fit(Table({"x": np.arange(40.0), "share": rows}), np.arange(40) % 2)
    reason = {report.name: report.dropped for report in encoding.describe()}["share"]
    assert reason.endswith("; write values such as '0%' without '%' to have numbers")
