"""erf: a series in x^2 for |x| < 1, and 1 - exp(-x^2) erfcx(|x|) beyond, where erfcx is the scaled complement."""

from __future__ import annotations

import functools
from decimal import Decimal
from itertools import accumulate, count

from clearprop.backends.native.arithmetic import Arithmetic
from clearprop.backends.native.emitter import Register
from clearprop.backends.native.functions.exponentials import exp_between
from clearprop.backends.native.functions.fits import fit, pi, total

_ONE = {"float32": 4.0, "float64": 6.0}
"""Where erf has become 1."""
_SMALL_DEGREE = {"float32": 6, "float64": 12}
_LARGE_DEGREE = {"float32": 11, "float64": 28}


def _scaled_erf(x: Decimal) -> Decimal:
    """e^(x^2) erf x = 2 / sqrt(pi) (x + 2 x^3 / 3 + 4 x^5 / (3 5) + ...), whose terms are all positive."""
    odd, square = count(3, 2), 2 * x * x
    terms = accumulate(odd, lambda term, k: term * square / k, initial=x)
    return 2 * total(terms) / pi().sqrt()


@functools.cache
def _small(degree: int) -> list[float]:
    """Return P of erf x = x + x P(x^2), for |x| <= 1."""

    def function(z: Decimal) -> Decimal:
        x = z.sqrt()
        return _scaled_erf(x) / z.exp() / x - 1

    return fit(function, 0.0, 1.0, degree)


@functools.cache
def _large(degree: int, end: float) -> list[float]:
    """Return erfcx(x) = e^(x^2) - e^(x^2) erf x in x minus the middle, for 1 <= x <= end."""
    return fit(lambda x: (x * x).exp() - _scaled_erf(x), 1.0, end, degree, (1.0 + end) / 2)


def erf(a: Arithmetic, x: Register) -> Register:
    """2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x."""
    end = _ONE[x.dtype]
    square = a.mul(x, x)
    small = a.fma(x, a.poly(square, _small(_SMALL_DEGREE[x.dtype])), x)
    size = a.at_most(a.abs(x), end)
    scaled = a.poly(a.sub(size, a.number((1.0 + end) / 2, x)), _large(_LARGE_DEGREE[x.dtype], end))
    complement = a.mul(exp_between(a, a.neg(a.mul(size, size))), scaled)
    large = a.copysign(a.sub(a.number(1.0, x), complement), x)
    return a.select(a.compare("lt", a.number(1.0, x), size), large, small)
