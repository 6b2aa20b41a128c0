import math

import pytest

from clearprop.display.numbers import count, duration, number, rate


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.000"),
        (0.25, "0.2500"),
        (12.3456, "12.35"),
        (1234.5, "1234"),
        (12345.0, "1.234e+04"),
        (1e-7, "1.000e-07"),
        (-0.5, "-0.5000"),
        (math.nan, "nan"),
        (math.inf, "inf"),
    ],
)
def test_number_has_four_significant_digits(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1.0, "0.0 s"),
        (0.84, "0.8 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1:00"),
        (187, "3:07"),
        (3753, "1:02:33"),
        (math.inf, "--:--"),
    ],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("per_second", "text"),
    [(0.52, "0.52/s"), (950, "950/s"), (999.6, "1.00k/s"), (12345, "12.3k/s"), (1.2e6, "1.20M/s"), (123400, "123k/s")],
)
def test_rate(per_second, text):
    assert rate(per_second) == text


def test_count_agrees_with_its_noun():
    assert count(1, "epoch") == "1 epoch"
    assert count(12000, "sample") == "12,000 samples"
