"""exp, expm1, tanh and sigmoid: x = n ln 2 + r with |r| <= ln 2 / 2, and a polynomial for e^r.

Source: W. J. Cody and W. Waite, Software Manual for the Elementary Functions (1980), for the two-part ln 2.
"""

from __future__ import annotations

import functools
import math
from decimal import Decimal

from clearprop.backends.native.arithmetic import MANTISSA, Arithmetic
from clearprop.backends.native.emitter import Register
from clearprop.backends.native.functions.fits import fit

LN2_HIGH = {"float32": 0.693359375, "float64": 0.693147180369123816490}
"""ln 2 with trailing zero bits, so that a whole number times it is exact."""
LN2_LOW = {"float32": -2.121944400546905827679e-4, "float64": 1.90821492927058770002e-10}
_DEGREE = {"float32": 4, "float64": 9}
_EXP_LOW = {"float32": -104.0, "float64": -746.0}
_EXP_HIGH = {"float32": 89.0, "float64": 710.0}
_TANH_ONE = {"float32": 10.0, "float64": 22.0}
"""Where tanh has become 1."""
_TANH_SMALL = 0.55
_TANH_DEGREE = {"float32": 4, "float64": 10}
_MINUS_ONE = {"float32": -20.0, "float64": -40.0}
"""Where e^x - 1 has become -1."""


@functools.cache
def _series(degree: int) -> list[float]:
    """Return P of e^r = 1 + r + r^2 P(r)."""
    return fit(lambda r: (r.exp() - 1 - r) / (r * r), -math.log(2) / 2, math.log(2) / 2, degree)


def _reduce(a: Arithmetic, x: Register) -> tuple[Register, Register, Register]:
    """Return n, an integer with n in its low bits, and r, with x = n ln 2 + r."""
    n, bits = a.nearest(x, 1.0 / math.log(2.0))
    r = a.fma(n, a.number(-LN2_HIGH[x.dtype], x), x)
    return n, bits, a.fma(n, a.number(-LN2_LOW[x.dtype], x), r)


def _tail(a: Arithmetic, r: Register, rest: Register) -> Register:
    """e^r - 1 - r, and the rest."""
    return a.fma(a.mul(r, r), a.poly(r, _series(_DEGREE[r.dtype])), rest)


def exp_between(a: Arithmetic, x: Register) -> Register:
    """e^x = 2^n (1 + r + r^2 P(r)), for x between the ends; NaN stays NaN."""
    n, bits, r = _reduce(a, x)
    return a.scale(a.add(a.number(1.0, x), _tail(a, r, r)), n, bits)


def exp(a: Arithmetic, x: Register) -> Register:
    """e^x."""
    return exp_between(a, a.at_most(a.at_least(x, _EXP_LOW[x.dtype]), _EXP_HIGH[x.dtype]))


def _reduce_sum(a: Arithmetic, x: Register, low: Register) -> tuple[Register, Register, Register, Register]:
    """Return n, an integer with n in its low bits, r, and the rounding error of r, with x + low = n ln 2 + r."""
    n, bits = a.nearest(x, 1.0 / math.log(2.0))
    high = a.fma(n, a.number(-LN2_HIGH[x.dtype], x), x)
    low = a.fma(n, a.number(-LN2_LOW[x.dtype], x), low)
    r = a.add(high, low)
    return n, bits, r, a.add(a.sub(high, r), low)


def exp_of_sum(a: Arithmetic, x: Register, low: Register) -> Register:
    """e^(x + low) for a low that is small beside 1; NaN stays NaN."""
    n, bits, r, rest = _reduce_sum(a, a.at_most(a.at_least(x, _EXP_LOW[x.dtype]), _EXP_HIGH[x.dtype]), low)
    return a.scale(a.add(a.number(1.0, x), a.add(r, _tail(a, r, rest))), n, bits)


def expm1(a: Arithmetic, x: Register) -> Register:
    """e^x - 1 = 2^n (r + r^2 P(r)) + (2^n - 1); x itself where it is tiny."""
    safe = a.at_most(a.at_least(x, _MINUS_ONE[x.dtype]), _EXP_HIGH[x.dtype])
    _, bits, r, rest = _reduce_sum(a, safe, a.number(0.0, x))
    # 2^n overflows for the largest x although the result does not: 2^(n-1) is added twice
    half = a.power_of_two(a.sub(bits, a.number(1, bits)), x.dtype)
    base, linear = a.sub(half, a.number(0.5, x)), a.mul(r, half)
    high = a.add(base, linear)
    lost = a.sub(linear, a.sub(high, base))
    total = a.add(high, a.fma(_tail(a, r, rest), half, lost))
    tiny = a.compare("lt", a.abs(x), a.number(2.0 ** -(MANTISSA[x.dtype] + 2), x))
    return a.select(tiny, x, a.add(total, total))


@functools.cache
def _tanh_series(degree: int) -> list[float]:
    """Return Q of tanh x = x + x^3 Q(x^2), for |x| <= 0.55."""

    def function(z: Decimal) -> Decimal:
        x = z.sqrt()
        t = (2 * x).exp()
        return ((t - 1) / (t + 1) / x - 1) / z

    return fit(function, 0.0, _TANH_SMALL**2, degree)


def tanh(a: Arithmetic, x: Register) -> Register:
    """1 - 2 / (1 + 2^n + 2^n (e^r - 1)) with 2 |x| = n ln 2 + r, and x + x^3 Q(x^2) where |x| is small; odd."""
    size = a.at_most(a.abs(x), _TANH_ONE[x.dtype])
    one, square = a.number(1.0, x), a.mul(size, size)
    _, bits, r = _reduce(a, a.add(size, size))
    power = a.power_of_two(bits, x.dtype)
    below = a.fma(power, _tail(a, r, r), a.add(power, one))
    large = a.sub(one, a.div(a.number(2.0, x), below))
    small = a.fma(a.mul(size, square), a.poly(square, _tanh_series(_TANH_DEGREE[x.dtype])), size)
    return a.copysign(a.select(a.compare("lt", size, a.number(_TANH_SMALL, x)), small, large), x)


def sigmoid(a: Arithmetic, x: Register) -> Register:
    """1 / (1 + e) for x >= 0 and e / (1 + e) for x < 0, with e = exp(-|x|), which does not overflow."""
    one = a.number(1.0, x)
    e = exp_between(a, a.at_least(a.neg(a.abs(x)), _EXP_LOW[x.dtype]))
    top = a.select(a.compare("lt", x, a.number(0.0, x)), e, one)
    below = a.add(one, e)
    ratio = a.div(top, below)
    # what 1 + e rounds off, of which 1 / (1 + e) is about 1 where it matters
    return a.fma(ratio, a.sub(a.sub(below, one), e), ratio)
