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


@pytest.mark.parametrize(
    "texts",
    [
        ["25/12/2024", "1/2/2024"],
        ["01/07/2023", "12/31/2023"],
        ["3-4-24", "13-12-24"],
        ["22 Mar 2023", "1 September 2023", "02-may-23"],
        ["Mar 22, 2023", "Sept. 1 2023"],
    ],
)
def test_dates_of_another_order(texts):
    assert remedy(texts) == f"; write dates such as {texts[0]!r} as year-month-day"


@pytest.mark.parametrize(
    "texts",
    [
        [],
        ["$5", "€5"],
        ["5 kg", "5 lb"],
        ["12A", "12B"],
        ["text 1", "text 2"],
        ["1", "2"],
        ["$"],
        ["1.2.3%"],
        ["22 Mars 23x", "1 May 2023"],
        ["May 5"],
    ],
)
def test_other_texts(texts):
    assert remedy(texts) == ""


def test_a_dropped_column_says_it():
    rows = [f"{i}%" for i in range(40)]
    encoding = Encoding.fit(Table({"x": np.arange(40.0), "share": rows}), np.arange(40) % 2)
    reason = {report.name: report.dropped for report in encoding.describe()}["share"]
    assert reason.endswith("; write values such as '0%' without '%' to have numbers")


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["50%", "12.5%", "7%"], "; write values such as '12.5%' without '%' to have numbers"),
        (["$5", "$1,200"], "; write values such as '$1,200' without '$' to have numbers"),
        (["01/07/2023", "12/31/2023", "03/22/2023"], "; write dates such as '01/07/2023' as year-month-day"),
        (["22 Mar 2023", "7 Apr 2023", "1 May 2023"], "; write dates such as '1 May 2023' as year-month-day"),
        (["red", "green", "5%"], ""),
    ],
)
def test_a_column_of_few_such_texts_says_it_too(texts, words):
    table = Table({"x": np.arange(60.0), "few": [texts[i % len(texts)] for i in range(60)]})
    report = Encoding.fit(table, np.arange(60) % 2).describe()[1]
    plain = "0 and 1" if len(texts) == 2 else "one-hot, 3 categories"
    assert report.encoding == plain + words
