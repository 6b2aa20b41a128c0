"""log and log1p: x = m 2^e with m near 1, and the series of artanh.

Source: the compensated form is that of K. C. Ng's fdlibm (1993).
"""

from __future__ import annotations

import math

from clearprop.backends.native.arithmetic import BIAS, MANTISSA, Arithmetic
from clearprop.backends.native.emitter import Register
from clearprop.backends.native.functions.exponentials import LN2_HIGH, LN2_LOW

_LOG_TERMS = {"float32": 5, "float64": 11}


def log_parts(a: Arithmetic, x: Register) -> tuple[Register, Register]:
    """Return e (a float) and m in [sqrt(1/2), sqrt(2)) with x = m 2^e, for positive x; subnormal ones are scaled up."""
    small = a.compare("lt", x, a.number(2.0 ** (1 - BIAS[x.dtype]), x))
    up = MANTISSA[x.dtype] + 1
    e, m = _normal_parts(a, a.select(small, a.mul(x, a.number(2.0**up, x)), x))
    return a.select(small, a.sub(e, a.number(float(up), e)), e), m


def _normal_parts(a: Arithmetic, x: Register) -> tuple[Register, Register]:
    bits = a.bits(x)
    exponent = a.shift("ashr", a.sub(bits, a.bits(a.number(math.sqrt(0.5), x))), MANTISSA[x.dtype])
    m = a.from_bits(a.sub(bits, a.shift("shl", exponent, MANTISSA[x.dtype])), x.dtype)
    return a.out.value(f"sitofp {exponent} to {x.type}", x.dtype, x.lanes), m


def _log_core(a: Arithmetic, f: Register, e: Register, rest: Register) -> Register:
    """log(1 + f) + e ln 2 + rest, for 1 + f in [sqrt(1/2), sqrt(2))."""
    s = a.div(f, a.add(a.number(2.0, f), f))
    z = a.mul(s, s)
    terms = [2.0 / (2 * k + 1) for k in range(_LOG_TERMS[f.dtype], 0, -1)]
    series = a.mul(z, a.poly(z, terms))
    square = a.mul(a.number(0.5, f), a.mul(f, f))
    low = a.fma(e, a.number(LN2_LOW[f.dtype], f), rest)
    inner = a.sub(square, a.fma(s, a.add(square, series), low))
    return a.sub(a.mul(e, a.number(LN2_HIGH[f.dtype], f)), a.sub(inner, f))


def log_ends(a: Arithmetic, x: Register, result: Register) -> Register:
    """Put in the logarithm of 0, of negative numbers, infinity and NaN, by the argument of log."""
    zero = a.number(0.0, x)
    result = a.select(a.compare("lt", x, a.number(math.inf, x)), result, x)
    below = a.select(a.compare("lt", x, zero), a.number(math.nan, x), a.number(-math.inf, x))
    return a.select(a.compare("le", x, zero), below, result)


def log(a: Arithmetic, x: Register) -> Register:
    """The natural logarithm."""
    e, m = log_parts(a, x)
    return log_ends(a, x, _log_core(a, a.sub(m, a.number(1.0, m)), e, a.number(0.0, m)))


def log1p(a: Arithmetic, x: Register) -> Register:
    """log(1 + x): what the sum u = 1 + x rounds off is brought back as a term (x - (u - 1)) / u."""
    one = a.number(1.0, x)
    u = a.add(one, x)
    below, above = a.sub(x, a.sub(u, one)), a.sub(one, a.sub(u, x))
    lost = a.select(a.compare("lt", x, one), below, above)
    e, m = _normal_parts(a, u)
    result = _log_core(a, a.sub(m, one), e, a.div(lost, u))
    tiny = a.compare("lt", a.abs(x), a.number(2.0 ** -(MANTISSA[x.dtype] + 2), x))
    return a.select(tiny, x, log_ends(a, u, result))
