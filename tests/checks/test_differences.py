import math

import numpy as np
import pytest

from clearprop.checks.differences import estimate
from clearprop.checks.judgement import Finding, Piece, judge

NOISE = 2.0**-52


def fine(found):
    return found.uncertainty <= 1e-9 * abs(found.number)


@pytest.mark.parametrize(
    ("function", "derivative"),
    [
        (lambda t: math.exp(t), 1.0),
        (lambda t: math.sin(1.0 + 1e4 * t), 1e4 * math.cos(1.0)),
        (lambda t: math.sin(1.0 + 1e-4 * t), 1e-4 * math.cos(1.0)),
        (lambda t: abs(0.01 + t), 1.0),
        (lambda t: math.sqrt(1e-4 + t) if t > -1e-4 else math.nan, 50.0),
    ],
)
def test_the_estimate_is_right_within_its_uncertainty(function, derivative):
    found = estimate(function, 1e-3, NOISE * max(1.0, abs(function(0.0))), fine)
    assert abs(found.number - derivative) <= found.uncertainty
    assert found.uncertainty < 1e-5 * abs(derivative)


@pytest.mark.parametrize("side", [-1, 1])
def test_one_side_of_a_kink(side):
    found = estimate(lambda t: abs(t) + math.sin(t), 1e-3, NOISE, fine, side)
    assert found.number == pytest.approx(1.0 + side, abs=1e-7)


def test_a_function_that_is_nowhere_finite_has_no_estimate():
    assert estimate(lambda t: math.nan, 1e-3, 0.0, fine).uncertainty == math.inf


def finding(derived, *functions):
    agrees = [Finding.RIGHT, Finding.KINK]
    pieces = [Piece(function, means) for function, means in zip(functions, agrees, strict=False)]
    return judge(derived, pieces, 1e-3, NOISE, 1e-6).finding


def test_findings():
    assert finding(1.0, math.exp) is Finding.RIGHT
    assert finding(1.00001, math.exp) is Finding.WRONG
    assert finding(-1.0, math.exp) is Finding.WRONG
    assert finding(0.0, math.exp) is Finding.WRONG
    assert finding(math.nan, math.exp) is Finding.WRONG
    assert finding(0.0, lambda t: 3.0) is Finding.RIGHT
    assert finding(1e-20, lambda t: 1.0) is Finding.UNCLEAR
    assert finding(1.0, lambda t: math.nan) is Finding.UNCLEAR


def test_a_held_form_tells_a_kink_from_an_error():
    assert finding(0.0, lambda t: max(t, 0.0), lambda t: 0.0) is Finding.KINK
    assert finding(0.5, lambda t: max(t, 0.0) + t * t, lambda t: 0.0) is Finding.RIGHT
    assert finding(-0.7, lambda t: max(t, 0.0), lambda t: 0.0) is Finding.WRONG
    assert finding(0.7, lambda t: max(t, 0.0), lambda t: 0.0) is Finding.WRONG


def test_a_kink_that_cannot_be_held_must_have_the_number_between_its_sides():
    assert finding(0.3, lambda t: max(t, 0.0)) is Finding.KINK
    assert finding(-0.3, lambda t: max(t, 0.0)) is Finding.WRONG
    assert finding(1.3, lambda t: max(t, 0.0)) is Finding.WRONG


def test_noise_is_not_an_error():
    rng = np.random.default_rng(0)
    noisy = judge(1.0, [Piece(lambda t: t + 1e-9 * rng.uniform(-1, 1))], 1e-3, 1e-9, 1e-6)
    assert noisy.finding is Finding.RIGHT
    assert judge(1.5, [Piece(lambda t: t + 1e-9 * rng.uniform(-1, 1))], 1e-3, 1e-9, 1e-6).finding is Finding.WRONG
