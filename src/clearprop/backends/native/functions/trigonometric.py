"""sin and cos: x = n pi/2 + r with |r| <= pi/4, in double; arctan: a quotient of at most tan(pi/8) in size.

Beyond |x| = 2^20, where n times a part of pi/2 would no longer be exact, sin and cos call the C library.

Source: W. J. Cody and W. Waite, Software Manual for the Elementary Functions (1980).
"""

from __future__ import annotations

import functools
import math
from decimal import Decimal

from clearprop.backends.native.arithmetic import MANTISSA, Arithmetic
from clearprop.backends.native.emitter import Register
from clearprop.backends.native.functions.by_lane import by_lane
from clearprop.backends.native.functions.fits import fit, pi, split, total

_FAR = 2.0**20
_PART_BITS = {"float32": (33,), "float64": (33, 33, 33)}
"""The bits of the parts of pi/2 that n of 20 bits is multiplied with exactly; a last part holds the rest."""
_SIN_DEGREE = {"float32": 3, "float64": 5}
_COS_DEGREE = {"float32": 2, "float64": 5}
_ARCTAN_DEGREE = {"float32": 4, "float64": 11}


@functools.cache
def _parts(dtype: str) -> list[float]:
    """Return numbers whose sum is pi/2."""
    return split(pi(2), *_PART_BITS[dtype])


@functools.cache
def _sin_series(degree: int) -> list[float]:
    """Return P of sin r = r + r^3 P(r^2)."""
    return fit(lambda z: _alternating(z, 3), 0.0, (math.pi / 4) ** 2, degree)


@functools.cache
def _cos_series(degree: int) -> list[float]:
    """Return Q of cos r = 1 - r^2 / 2 + r^4 Q(r^2)."""
    return fit(lambda z: -_alternating(z, 4), 0.0, (math.pi / 4) ** 2, degree)


def _alternating(z: Decimal, first: int) -> Decimal:
    """-1/first! + z / (first + 2)! - z^2 / (first + 4)! ..."""
    return total(-((-z) ** k) / math.factorial(first + 2 * k) for k in range(40))


@functools.cache
def _arctan_series(degree: int) -> list[float]:
    """Return P of arctan s = s + s^3 P(s^2), for |s| <= tan(pi/8)."""
    top = (math.sqrt(2.0) - 1.0) ** 2
    return fit(lambda z: -total((-z) ** k / (2 * k + 3) for k in range(80)), 0.0, top, degree)


def sin(a: Arithmetic, x: Register) -> Register:
    """sin x; x itself where it is tiny."""
    tiny = a.compare("lt", a.abs(x), a.number(2.0**-27, x))
    return a.select(tiny, x, _near_or_far(a, x, "sin", 0))


def cos(a: Arithmetic, x: Register) -> Register:
    """cos x = sin(x + pi/2)."""
    return _near_or_far(a, x, "cos", 1)


def _near_or_far(a: Arithmetic, x: Register, name: str, quarters: int) -> Register:
    """sin(x + quarters pi/2), by the C library if any lane is far away."""
    near = a.resized(_near(a, a.resized(x, "float64"), x.dtype, quarters), x.dtype)
    slot = a.out.slot(x.type, near.text)
    far = a.compare("le", a.number(_FAR, x), a.abs(x))
    a.out.when(a.any(far), lambda: a.out.do(f"store {by_lane(a, name, x)}, ptr {slot}"))
    return a.out.value(f"load {x.type}, ptr {slot}", x.dtype, x.lanes)


def _near(a: Arithmetic, x: Register, dtype: str, quarters: int) -> Register:
    """sin(x + quarters pi/2) in double, as exact as the dtype asks for."""
    n, bits = a.nearest(x, 2.0 / math.pi)
    r, rest = _reduce(a, x, n, _parts(dtype))
    z = a.mul(r, r)
    half, one = a.mul(z, a.number(0.5, z)), a.number(1.0, z)
    cubic = a.mul(a.mul(z, r), a.poly(z, _sin_series(_SIN_DEGREE[dtype])))
    sine = a.add(r, a.add(cubic, a.fma(a.neg(half), rest, rest)))
    high = a.sub(one, half)
    low = a.sub(a.sub(one, high), half)
    quartic = a.mul(a.mul(z, z), a.poly(z, _cos_series(_COS_DEGREE[dtype])))
    cosine = a.add(high, a.add(low, a.sub(quartic, a.mul(r, rest))))
    turn = a.add(bits, a.number(quarters, bits))
    odd = a.compare("ne", a.logical("and", turn, a.number(1, turn)), a.number(0, turn))
    value = a.select(odd, cosine, sine)
    sign = a.shift("shl", a.logical("and", turn, a.number(2, turn)), 62)
    return a.from_bits(a.logical("xor", a.bits(value), sign), x.dtype)


def _reduce(a: Arithmetic, x: Register, n: Register, parts: list[float]) -> tuple[Register, Register]:
    """Return r and its rounding error, with x = n (sum of the parts) + r; every product but the last is exact."""
    r = a.sub(x, a.mul(n, a.number(parts[0], x)))
    rest = a.number(0.0, x)
    for part in parts[1:]:
        product = a.mul(n, a.number(part, x))
        low = a.sub(rest, product)
        r, rest = _sum(a, r, low)
    return r, rest


def _sum(a: Arithmetic, x: Register, y: Register) -> tuple[Register, Register]:
    """Return x + y rounded, and what the rounding takes off (D. E. Knuth)."""
    total_ = a.add(x, y)
    seen = a.sub(total_, x)
    return total_, a.add(a.sub(x, a.sub(total_, seen)), a.sub(y, seen))


def arctan(a: Arithmetic, x: Register) -> Register:
    """0, pi/4 or pi/2, and the arctan of |x|, (|x| - 1) / (|x| + 1) or -1 / |x|; odd."""
    size, one = a.abs(x), a.number(1.0, x)
    root = math.sqrt(2.0)
    middle = a.compare("lt", a.number(root - 1.0, x), size)
    large = a.compare("lt", a.number(root + 1.0, x), size)
    above = a.select(large, a.number(-1.0, x), a.select(middle, a.sub(size, one), size))
    below = a.select(large, size, a.select(middle, a.add(size, one), one))
    s = a.div(above, below)
    z = a.mul(s, s)
    series = a.mul(a.mul(s, z), a.poly(z, _arctan_series(_ARCTAN_DEGREE[x.dtype])))
    quarter, low = split(pi(4), MANTISSA[x.dtype] + 1)

    def angle(value: float) -> Register:
        return a.select(large, a.number(2.0 * value, x), a.select(middle, a.number(value, x), a.number(0.0, x)))

    return a.copysign(a.add(angle(quarter), a.add(s, a.add(series, angle(low)))), x)
