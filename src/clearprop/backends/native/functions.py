"""Vector functions, each written once for float32 and float64 and any width.

Every function is a range reduction and a polynomial whose coefficients follow from a series (no fitted tables):
exp and expm1 from the Taylor series on |r| <= ln 2 / 2, log and log1p from the series of artanh on |s| <= 0.1716.
What is not here (sin, cos, arctan, erf, power) calls the C library's double function lane by lane.

Sources: W. J. Cody and W. Waite, Software Manual for the Elementary Functions (1980), for the two-part ln 2; the
compensated form of log is that of K. C. Ng's fdlibm (1993).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from clearprop.backends.native.arithmetic import BIAS, MANTISSA, Arithmetic
from clearprop.backends.native.emitter import SCALARS, Emitter, Register, suffix, vector

_LN2_HIGH = {"float32": 0.693359375, "float64": 0.693147180369123816490}
"""ln 2 with trailing zero bits, so that a whole number times it is exact."""
_LN2_LOW = {"float32": -2.121944400546905827679e-4, "float64": 1.90821492927058770002e-10}
_EXP_TERMS = {"float32": 7, "float64": 13}
_LOG_TERMS = {"float32": 5, "float64": 11}
_EXP_LOW = {"float32": -104.0, "float64": -746.0}
_EXP_HIGH = {"float32": 89.0, "float64": 710.0}
_TANH_ONE = {"float32": 10.0, "float64": 22.0}


def _reduce(a: Arithmetic, x: Register) -> tuple[Register, Register, Register]:
    """Return n, r and the rounding error of r, with x = n ln 2 + r."""
    n = a.round_even(a.mul(x, a.number(1.0 / math.log(2.0), x)))
    high = a.sub(x, a.mul(n, a.number(_LN2_HIGH[x.dtype], x)))
    low = a.mul(n, a.number(_LN2_LOW[x.dtype], x))
    r = a.sub(high, low)
    return n, r, a.sub(a.sub(high, r), low)


def _clamp(a: Arithmetic, x: Register, low: float, high: float) -> Register:
    """Bring x between two numbers; NaN becomes the lower one."""
    x = a.select(a.compare("lt", a.number(low, x), x), x, a.number(low, x))
    return a.select(a.compare("lt", x, a.number(high, x)), x, a.number(high, x))


def _scale(a: Arithmetic, x: Register, n: Register) -> Register:
    """Return x 2^n in two steps, so that a subnormal result is rounded once."""
    whole = a.whole(n)
    half = a.out.value(f"ashr {whole}, {a.number(1, whole).text}", whole.dtype, whole.lanes)
    rest = a.sub(whole, half)
    return a.mul(a.mul(x, a.power_of_two(half, x.dtype)), a.power_of_two(rest, x.dtype))


def _exp_series(dtype: str, first: int) -> list[float]:
    """Return 1/k! for k from the last term down to `first`."""
    return [1.0 / math.factorial(k) for k in range(_EXP_TERMS[dtype], first - 1, -1)]


def exp(a: Arithmetic, x: Register) -> Register:
    """e^x = 2^n (1 + r + r^2 P(r))."""
    safe = _clamp(a, x, _EXP_LOW[x.dtype], _EXP_HIGH[x.dtype])
    n, r, rest = _reduce(a, safe)
    tail = a.fma(a.mul(r, r), a.poly(r, _exp_series(x.dtype, 2)), rest)
    result = _scale(a, a.add(a.number(1.0, x), a.add(r, tail)), n)
    return a.select(a.is_nan(x), x, result)


def expm1(a: Arithmetic, x: Register) -> Register:
    """e^x - 1 = 2^n (r + r^2 P(r)) + (2^n - 1); x itself where it is tiny."""
    safe = _clamp(a, x, -40.0 if x.dtype == "float64" else -20.0, _EXP_HIGH[x.dtype])
    n, r, rest = _reduce(a, safe)
    tail = a.fma(a.mul(r, r), a.poly(r, _exp_series(x.dtype, 2)), rest)
    # 2^n overflows for the largest x although the result does not: 2^(n-1) is added twice
    half = a.power_of_two(a.whole(a.sub(n, a.number(1.0, n))), x.dtype)
    base, linear = a.sub(half, a.number(0.5, x)), a.mul(r, half)
    high = a.add(base, linear)
    lost = a.sub(linear, a.sub(high, base))
    total = a.add(high, a.fma(tail, half, lost))
    result = a.add(total, total)
    tiny = a.compare("lt", a.abs(x), a.number(2.0 ** -(MANTISSA[x.dtype] + 2), x))
    return a.select(a.is_nan(x), x, a.select(tiny, x, result))


def _log_parts(a: Arithmetic, x: Register) -> tuple[Register, Register]:
    """Return e (a float) and m in [sqrt(1/2), sqrt(2)) with x = m 2^e, for normal positive x."""
    bits = a.bits(x)
    root = a.bits(a.number(math.sqrt(0.5), x))
    shifted = a.sub(bits, root)
    exponent = a.out.value(f"ashr {shifted}, {a.number(MANTISSA[x.dtype], bits).text}", bits.dtype, bits.lanes)
    back = a.out.value(f"shl {exponent}, {a.number(MANTISSA[x.dtype], bits).text}", bits.dtype, bits.lanes)
    m = a.from_bits(a.sub(bits, back), x.dtype)
    return a.out.value(f"sitofp {exponent} to {x.type}", x.dtype, x.lanes), m


def _log_core(a: Arithmetic, f: Register, e: Register, rest: Register) -> Register:
    """log(1 + f) + e ln 2 + rest, for 1 + f in [sqrt(1/2), sqrt(2))."""
    s = a.div(f, a.add(a.number(2.0, f), f))
    z = a.mul(s, s)
    terms = [2.0 / (2 * k + 1) for k in range(_LOG_TERMS[f.dtype], 0, -1)]
    series = a.mul(z, a.poly(z, terms))
    square = a.mul(a.number(0.5, f), a.mul(f, f))
    low = a.fma(e, a.number(_LN2_LOW[f.dtype], f), rest)
    inner = a.sub(square, a.fma(s, a.add(square, series), low))
    return a.sub(a.mul(e, a.number(_LN2_HIGH[f.dtype], f)), a.sub(inner, f))


def _log_ends(a: Arithmetic, x: Register, result: Register) -> Register:
    """Put in the logarithm of 0, of negative numbers, infinity and NaN, by the argument of log."""
    zero, infinite = a.number(0.0, x), a.number(math.inf, x)
    result = a.select(a.compare("eq", x, infinite), infinite, result)
    result = a.select(a.compare("lt", x, zero), a.number(math.nan, x), result)
    result = a.select(a.compare("eq", x, zero), a.number(-math.inf, x), result)
    return a.select(a.is_nan(x), x, result)


def log(a: Arithmetic, x: Register) -> Register:
    """The natural logarithm; subnormal numbers are scaled up first."""
    tiny = 2.0 ** (1 - BIAS[x.dtype])
    small = a.compare("lt", x, a.number(tiny, x))
    up = MANTISSA[x.dtype] + 1
    normal = a.select(small, a.mul(x, a.number(2.0**up, x)), x)
    e, m = _log_parts(a, normal)
    e = a.select(small, a.sub(e, a.number(float(up), e)), e)
    result = _log_core(a, a.sub(m, a.number(1.0, m)), e, a.number(0.0, m))
    return _log_ends(a, x, result)


def log1p(a: Arithmetic, x: Register) -> Register:
    """log(1 + x): what the sum u = 1 + x rounds off is brought back as a term (x - (u - 1)) / u."""
    one = a.number(1.0, x)
    u = a.add(one, x)
    below, above = a.sub(x, a.sub(u, one)), a.sub(one, a.sub(u, x))
    lost = a.select(a.compare("lt", x, one), below, above)
    e, m = _log_parts(a, u)
    result = _log_core(a, a.sub(m, one), e, a.div(lost, u))
    tiny = a.compare("lt", a.abs(x), a.number(2.0 ** -(MANTISSA[x.dtype] + 2), x))
    return a.select(tiny, x, _log_ends(a, u, result))


def tanh(a: Arithmetic, x: Register) -> Register:
    """t / (t + 2) with t = expm1(2 |x|), in the form 1 - 2 / (t + 2) for |x| >= 1; odd."""
    size = a.abs(x)
    capped = a.select(a.compare("lt", size, a.number(_TANH_ONE[x.dtype], x)), size, a.number(_TANH_ONE[x.dtype], x))
    t = expm1(a, a.add(capped, capped))
    below = a.add(t, a.number(2.0, t))
    small = a.compare("lt", size, a.number(1.0, x))
    ratio = a.div(a.select(small, t, a.number(2.0, x)), below)
    result = a.select(small, ratio, a.sub(a.number(1.0, x), ratio))
    # a subnormal x doubles exactly, and halves back in the quotient
    return a.select(a.is_nan(x), x, a.copysign(result, x))


def sigmoid(a: Arithmetic, x: Register) -> Register:
    """1 / (1 + e) for x >= 0 and e / (1 + e) for x < 0, with e = exp(-|x|), which does not overflow."""
    one = a.number(1.0, x)
    e = exp(a, a.neg(a.abs(x)))
    top = a.select(a.compare("lt", x, a.number(0.0, x)), e, one)
    return a.div(top, a.add(one, e))


def _through_c(name: str) -> Callable[..., Register]:
    """A function of the C library, called for each lane in double."""

    def function(a: Arithmetic, *arguments: Register) -> Register:
        first = arguments[0]
        if first.lanes == 1:
            return _scalar_call(a, name, arguments)
        result = Register("poison", first.dtype, first.lanes)
        for lane in range(first.lanes):
            items = [a.out.value(f"extractelement {argument}, i64 {lane}", argument.dtype, 1) for argument in arguments]
            item = _scalar_call(a, name, tuple(items))
            result = a.out.value(f"insertelement {result}, {item}, i64 {lane}", first.dtype, first.lanes)
        return result

    return function


def _scalar_call(a: Arithmetic, name: str, arguments: tuple[Register, ...]) -> Register:
    dtype = arguments[0].dtype
    if dtype == "float64":
        return Register(a.out.call("double", name, [str(argument) for argument in arguments]), dtype)
    wide = [f"double {a.out.get(f'fpext {argument} to double')}" for argument in arguments]
    return a.out.value(f"fptrunc double {a.out.call('double', name, wide)} to float", dtype, 1)


FUNCTIONS: dict[str, Callable[..., Register]] = {
    "exp": exp,
    "expm1": expm1,
    "log": log,
    "log1p": log1p,
    "tanh": tanh,
    "sigmoid": sigmoid,
    "sin": _through_c("sin"),
    "cos": _through_c("cos"),
    "arctan": _through_c("atan"),
    "erf": _through_c("erf"),
    "power": _through_c("pow"),
}
"""Every function that is called rather than written in place, by the primitive's name."""


def function_name(name: str, dtype: str, lanes: int) -> str:
    """Return what the function is called in the module."""
    return f"clearprop.{name}.{suffix(SCALARS[dtype], lanes)}"


def define(name: str, dtype: str, lanes: int) -> tuple[str, set[str]]:
    """Return the text of one function, and the declarations that it needs."""
    out = Emitter()
    type_ = vector(SCALARS[dtype], lanes)
    arguments = [Register(f"%x{i}", dtype, lanes) for i in range(2 if name == "power" else 1)]
    result = FUNCTIONS[name](Arithmetic(out), *arguments)
    out.do(f"ret {result}")
    parameters = ", ".join(map(str, arguments))
    return out.function(
        f"define internal {type_} @{function_name(name, dtype, lanes)}({parameters}) nounwind"
    ), out.declares
