"""power: exp(y log |x|), in double for float32 and with a logarithm of two doubles for float64.

Source for two doubles in place of one: T. J. Dekker, A floating-point technique for extending the available
precision (1971).
"""

from __future__ import annotations

import functools
import math
from decimal import Decimal

from clearprop.backends.native.arithmetic import Arithmetic
from clearprop.backends.native.emitter import Register
from clearprop.backends.native.functions.by_lane import by_lane
from clearprop.backends.native.functions.exponentials import LN2_HIGH, LN2_LOW, exp, exp_of_sum
from clearprop.backends.native.functions.fits import fit, total
from clearprop.backends.native.functions.logarithms import log, log_ends, log_parts

Pair = tuple[Register, Register]
"""A number as the sum of a double and a smaller one."""

_DEGREE = 8


@functools.cache
def _series() -> list[float]:
    """Return R of artanh s = s (1 + z/3 + z^2 R(z)) with z = s^2, for |s| <= (sqrt 2 - 1)^2."""
    top = (math.sqrt(2.0) - 1.0) ** 4
    return fit(lambda z: total(z**k / (2 * k + 5) for k in range(60)), 0.0, top, _DEGREE)


def power(a: Arithmetic, x: Register, y: Register) -> Register:
    """x^y, with NumPy's values at the ends.

    A single number goes to the C library, which answers sooner, and so does everything where there is no FMA.
    """
    if x.lanes == 1 or a.target == "baseline":
        return by_lane(a, "pow", x, y)
    wide_x, wide_y = a.resized(x, "float64"), a.resized(y, "float64")
    positive = _positive if x.dtype == "float64" else _short
    return a.resized(_ends(a, wide_x, wide_y, positive(a, a.abs(wide_x), wide_y)), x.dtype)


def _short(a: Arithmetic, x: Register, y: Register) -> Register:
    """x^y for x >= 0, exact enough for a float32."""
    return exp(a, a.mul(y, log(a, x)))


def _positive(a: Arithmetic, x: Register, y: Register) -> Register:
    """x^y for x >= 0."""
    high, low = _log(a, x)
    product = a.mul(y, high)
    lost = a.fma(y, low, a.fused(y, high, a.neg(product)))
    # an infinite product has no rounding error
    finite = a.compare("lt", a.abs(product), a.number(1000.0, product))
    return exp_of_sum(a, product, a.select(finite, lost, a.number(0.0, lost)))


def _log(a: Arithmetic, x: Register) -> Pair:
    """log x = e ln 2 + log m, with some 12 bits more than a double has."""
    e, m = log_parts(a, x)
    mantissa, rest = _log_near_one(a, m)
    whole = a.mul(e, a.number(LN2_HIGH["float64"], e))
    high, low = _sum(a, whole, mantissa)
    high, low = _sum(a, high, a.add(low, a.fma(e, a.number(LN2_LOW["float64"], e), rest)))
    return log_ends(a, x, high), low


def _log_near_one(a: Arithmetic, m: Register) -> Pair:
    """log m = 2 artanh s with s = (m - 1) / (m + 1), for m in [sqrt(1/2), sqrt(2))."""
    one = a.number(1.0, m)
    f, d = a.sub(m, one), a.add(m, one)
    d_low = a.sub(m, a.sub(d, one))
    s = a.div(f, d)
    remainder = a.sub(a.fused(a.neg(s), d, f), a.mul(s, d_low))
    s_low = a.div(remainder, d)
    z, z_low = _product(a, (s, s_low), (s, s_low))
    third = 1.0 / 3.0
    thirds = (a.number(third, m), a.number(float(Decimal(1) / 3 - Decimal(third)), m))
    w, w_low = _product(a, (z, z_low), thirds)
    w, more = _sum(a, w, a.mul(a.mul(z, z), a.poly(z, _series())))
    p, p_low = _product(a, (s, s_low), (w, a.add(w_low, more)))
    high, low = _sum(a, s, p)
    low = a.add(low, a.add(p_low, s_low))
    return a.add(high, high), a.add(low, low)


def _product(a: Arithmetic, x: Pair, y: Pair) -> Pair:
    """x y, the product of the small parts left out."""
    high = a.mul(x[0], y[0])
    low = a.fused(x[0], y[0], a.neg(high))
    return high, a.add(low, a.fma(x[0], y[1], a.mul(x[1], y[0])))


def _sum(a: Arithmetic, large: Register, small: Register) -> Pair:
    """large + small, where large is the larger one or zero."""
    high = a.add(large, small)
    return high, a.add(a.sub(large, high), small)


def _ends(a: Arithmetic, x: Register, y: Register, size: Register) -> Register:
    """Give |x|^y its sign, and put in 1 and NaN where x or y decides alone."""
    zero, one, half = (a.number(value, x) for value in (0.0, 1.0, 0.5))
    is_whole = a.compare("eq", a.floor(y), y)
    halved = a.mul(y, half)
    is_odd = a.logical("and", is_whole, a.compare("ne", a.floor(halved), halved))
    signed = a.select(is_odd, a.copysign(size, x), size)
    infinite = a.number(math.inf, x)
    below = a.logical("and", a.compare("lt", x, zero), a.compare("lt", a.neg(infinite), x))
    signed = a.select(a.logical("and", below, a.invert(is_whole)), a.number(math.nan, x), signed)
    turning = a.logical("and", a.compare("eq", a.abs(x), one), a.compare("eq", a.abs(y), infinite))
    alone = a.logical("or", a.compare("eq", x, one), a.compare("eq", y, zero))
    return a.select(a.logical("or", alone, turning), one, signed)
