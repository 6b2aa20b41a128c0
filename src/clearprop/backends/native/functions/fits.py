"""Coefficients of polynomials, computed when a function is first asked for: interpolation in decimal arithmetic.

Interpolation at Chebyshev's nodes comes within a small factor of the best polynomial of a degree (L. N. Trefethen,
Approximation Theory and Approximation Practice, 2013, chapter 16); the functions are summed from their series to 50
digits, so that the coefficients are exact to the last bit of a float64.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from decimal import Context, Decimal, localcontext

Exact = Callable[[Decimal], Decimal]
_DIGITS = 50


def fit(function: Exact, low: float, high: float, degree: int, centre: float = 0.0) -> list[float]:
    """Return the polynomial in x - centre that interpolates a function on low <= x <= high, highest power first."""
    with localcontext(Context(prec=_DIGITS)):
        middle, half, count = (low + high) / 2, (high - low) / 2, degree + 1
        nodes = [Decimal(middle + half * math.cos((2 * k + 1) * math.pi / (2 * count))) for k in range(count)]
        differences = [function(node) for node in nodes]
        for order in range(1, count):
            for k in range(count - 1, order - 1, -1):
                differences[k] = (differences[k] - differences[k - 1]) / (nodes[k] - nodes[k - order])
        coefficients = [Decimal(0)]
        for node, difference in zip(reversed(nodes), reversed(differences), strict=True):
            shift = node - Decimal(centre)
            times_x, times_shift = [*coefficients, Decimal(0)], [Decimal(0), *(shift * c for c in coefficients)]
            coefficients = [x - s for x, s in zip(times_x, times_shift, strict=True)]
            coefficients[-1] += difference
        return [float(coefficient) for coefficient in coefficients[1:]]


def total(terms: Iterable[Decimal]) -> Decimal:
    """Sum a series until its terms no longer count."""
    result = Decimal(0)
    for term in terms:
        before, result = result, result + term
        if result == before:
            break
    return result


def split(value: Decimal, *bits: int) -> list[float]:
    """Return floats whose sum is a value: each keeps so many bits, and a last one has the rest to full precision."""
    parts = []
    with localcontext(Context(prec=_DIGITS)):
        for count in bits:
            mantissa, exponent = math.frexp(value)
            parts.append(math.ldexp(math.floor(math.ldexp(mantissa, count)), exponent - count))
            value -= Decimal(parts[-1])
    return [*parts, float(value)]


@functools.cache
def pi(divisor: int = 1) -> Decimal:
    """Return pi / divisor, by Machin's formula: pi = 16 arctan(1/5) - 4 arctan(1/239)."""
    with localcontext(Context(prec=_DIGITS)):
        return (16 * _arctan_of_inverse(5) - 4 * _arctan_of_inverse(239)) / divisor


def _arctan_of_inverse(n: int) -> Decimal:
    return total((-1) ** k / (Decimal(2 * k + 1) * Decimal(n) ** (2 * k + 1)) for k in range(_DIGITS))
