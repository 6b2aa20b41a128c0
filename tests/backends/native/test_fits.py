"""The coefficients of the vector functions: interpolation in decimal arithmetic."""

import math
from decimal import Context, Decimal, localcontext

import pytest

from clearprop.backends.native.functions.fits import fit, pi, split, total


@pytest.mark.parametrize("centre", [0.0, 0.75])
def test_a_polynomial_is_its_own_fit(centre: float) -> None:
    coefficients = [3.0, -2.0, 0.5, 7.0]

    def cubic(x: Decimal) -> Decimal:
        value = Decimal(0)
        for coefficient in coefficients:
            value = value * (x - Decimal(centre)) + Decimal(coefficient)
        return value

    assert fit(cubic, -1.0, 2.0, 3, centre) == coefficients
    assert fit(cubic, -1.0, 2.0, 5, centre) == pytest.approx([0, 0, *coefficients], abs=1e-30)


def test_a_fit_is_close_to_the_best_polynomial() -> None:
    """The error of the best polynomial of degree n for e^x on [-1, 1] is about 2^-n / (n + 1)!."""
    polynomial = fit(Decimal.exp, -1.0, 1.0, 6)
    errors = [
        sum(c * (k / 50) ** i for i, c in enumerate(reversed(polynomial))) - math.exp(k / 50) for k in range(-50, 51)
    ]
    assert max(map(abs, errors)) < 1.3 * 2.0**-6 / math.factorial(7)


def test_series_end_where_their_terms_no_longer_count() -> None:
    with localcontext(Context(prec=50)):
        assert abs(total(Decimal(1) / math.factorial(k) for k in range(10**9)) - Decimal(1).exp()) < Decimal("1e-48")


def test_pi() -> None:
    assert str(pi()).startswith("3.14159265358979323846264338327950288419716939937")
    assert str(pi(2)).startswith("1.57079632679489661923132169163975144209858469968")


def test_parts_add_up_and_have_so_many_bits() -> None:
    parts = split(pi(2), 33, 33, 33)
    assert all(float(math.ldexp(math.frexp(part)[0], 33)).is_integer() for part in parts[:3])
    with localcontext(Context(prec=60)):
        assert abs(sum(map(Decimal, parts)) - pi(2)) < Decimal(2) ** -145
