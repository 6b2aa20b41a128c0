"""Typed arithmetic on registers of any width: the vocabulary that operations and functions are written in."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from clearprop.backends.native.emitter import SCALARS, Emitter, Register, constant, suffix, vector

BITS = {"float32": 32, "float64": 64}
MANTISSA = {"float32": 23, "float64": 52}
BIAS = {"float32": 127, "float64": 1023}

_NO_NUMBER = 0x19
"""Quiet NaN and the infinities, as AVX-512 numbers classes of floats."""


def multiplies_out(target: str, dtype: str, lanes: int) -> bool:
    """Whether a target has what `Arithmetic` needs to compute quotients of such vectors by multiplications."""
    return target == "avx512" and (dtype, lanes) == ("float32", 16)


class Arithmetic:
    """Arithmetic that appends to an emitter.

    Attributes:
        out: the emitter.
        target: by its name, whose own instructions may be used.
        near: whether quotients may be rounded as `_quotient` rounds them, where that is faster.

    With `contract` the compiler may fuse a product and a sum into one FMA.
    """

    def __init__(self, emitter: Emitter, contract: bool = False, target: str = "baseline", near: bool = False) -> None:
        self.out, self.target, self.near = emitter, target, near
        self._flags = "contract " if contract else ""

    def number(self, value: float, like: Register) -> Register:
        """Return a number of the type of another register."""
        return constant(value, like.dtype, like.lanes)

    def _binary(self, floating: str, whole: str, a: Register, b: Register) -> Register:
        operation = f"{floating} {self._flags}" if a.is_float else f"{whole} "
        return self.out.value(f"{operation}{a.type} {a.text}, {b.text}", a.dtype, a.lanes)

    def add(self, a: Register, b: Register) -> Register:
        """a + b."""
        return self._binary("fadd", "add", a, b)

    def sub(self, a: Register, b: Register) -> Register:
        """a - b."""
        return self._binary("fsub", "sub", a, b)

    def mul(self, a: Register, b: Register) -> Register:
        """a b."""
        return self._binary("fmul", "mul", a, b)

    def div(self, a: Register, b: Register) -> Register:
        """a / b, of floats."""
        return self.quotients([(a, b)])[0]

    def quotients(self, pairs: Sequence[tuple[Register, Register]]) -> list[Register]:
        """a / b of each pair of a group of floats of one type."""
        a, out = pairs[0][0], self.out
        if not (self.near and multiplies_out(self.target, a.dtype, a.lanes)):
            return [out.value(f"fdiv {a.type} {a.text}, {b.text}", a.dtype, a.lanes) for a, b in pairs]
        found, tested = zip(*(self._quotient(a, b) for a, b in pairs), strict=True)
        zero = self.number(0.0, a)
        test = functools.reduce(lambda total, item: self.fused(item, zero, total), tested[1:], tested[0])
        name = "llvm.x86.avx512.fpclass.ps.512"
        odd = Register(out.call("<16 x i1>", name, [str(test), f"i32 {_NO_NUMBER}"]), "bool", a.lanes)
        return out.unless(self.any(odd), found, lambda: Arithmetic(out).quotients(pairs))

    def neg(self, a: Register) -> Register:
        """-a, of floats."""
        return self.out.value(f"fneg {a}", a.dtype, a.lanes)

    def fma(self, a: Register, b: Register, c: Register) -> Register:
        """a b + c, in one rounding where the CPU can."""
        return self._intrinsic("fmuladd", a, b, c)

    def fused(self, a: Register, b: Register, c: Register) -> Register:
        """a b + c in one rounding everywhere; a slow call where the CPU has no such instruction."""
        return self._intrinsic("fma", a, b, c)

    def floor(self, a: Register) -> Register:
        """The largest whole number that is not above."""
        return self._intrinsic("floor", a)

    def sqrt(self, a: Register) -> Register:
        """The square root."""
        return self._intrinsic("sqrt", a)

    def abs(self, a: Register) -> Register:
        """|a|, of floats."""
        return self._intrinsic("fabs", a)

    def copysign(self, a: Register, sign: Register) -> Register:
        """|a| with the sign of another."""
        return self._intrinsic("copysign", a, sign)

    def _intrinsic(self, name: str, *arguments: Register) -> Register:
        first = arguments[0]
        function = f"llvm.{name}.{suffix(SCALARS[first.dtype], first.lanes)}"
        return Register(self.out.call(first.type, function, [str(a) for a in arguments]), first.dtype, first.lanes)

    def compare(self, how: str, a: Register, b: Register) -> Register:
        """Compare: lt, le, eq or ne; false where a float is NaN, but for ne."""
        if a.is_float:
            test = f"fcmp {'une' if how == 'ne' else 'o' + {'lt': 'lt', 'le': 'le', 'eq': 'eq'}[how]}"
        else:
            unsigned = a.dtype in ("uint32", "bool")
            test = f"icmp {how if how in ('eq', 'ne') else ('u' if unsigned else 's') + how}"
        return self.out.value(f"{test} {a.type} {a.text}, {b.text}", "bool", a.lanes)

    def is_nan(self, a: Register) -> Register:
        """Whether a float is NaN."""
        return self.out.value(f"fcmp uno {a.type} {a.text}, {a.text}", "bool", a.lanes)

    def logical(self, operation: str, a: Register, b: Register) -> Register:
        """And, or, xor of bits."""
        return self.out.value(f"{operation} {a.type} {a.text}, {b.text}", a.dtype, a.lanes)

    def invert(self, a: Register) -> Register:
        """Not, of a bool."""
        return self.logical("xor", a, self.number(1, a))

    def select(self, condition: Register, yes: Register, no: Register) -> Register:
        """Choose lane by lane."""
        return self.out.value(f"select {condition}, {yes}, {no}", yes.dtype, yes.lanes)

    def poly(self, x: Register, coefficients: list[float]) -> Register:
        """The polynomial with these coefficients, highest power first: Horner's rule in x^2, on pairs c x + d."""
        numbers = [self.number(coefficient, x) for coefficient in coefficients]
        odd = len(numbers) % 2
        square, result = self.mul(x, x), numbers[0]
        for place in range(odd, len(numbers), 2):
            pair = self.fma(numbers[place], x, numbers[place + 1])
            result = self.fma(result, square, pair) if place else pair
        return result

    def bits(self, a: Register) -> Register:
        """The bits of a float as an integer."""
        return self.out.value(f"bitcast {a} to {self._whole_type(a)}", self._whole_dtype(a), a.lanes)

    def from_bits(self, a: Register, dtype: str) -> Register:
        """The float of these bits."""
        return self.out.value(f"bitcast {a} to {vector(SCALARS[dtype], a.lanes)}", dtype, a.lanes)

    def resized(self, a: Register, dtype: str) -> Register:
        """A float as a float of another width."""
        if a.dtype == dtype:
            return a
        how = "fpext" if dtype == "float64" else "fptrunc"
        return self.out.value(f"{how} {a} to {vector(SCALARS[dtype], a.lanes)}", dtype, a.lanes)

    def any(self, condition: Register) -> str:
        """Whether a bool is true in any lane."""
        if condition.lanes == 1:
            return condition.text
        return self.out.call("i1", f"llvm.vector.reduce.or.v{condition.lanes}i1", [str(condition)])

    def shift(self, how: str, a: Register, count: int) -> Register:
        """Shift the bits of integers: shl, lshr or ashr."""
        return self.out.value(f"{how} {a}, {self.number(count, a).text}", a.dtype, a.lanes)

    def at_least(self, a: Register, low: float) -> Register:
        """The larger of a and a number; NaN stays NaN."""
        bound = self.number(low, a)
        return self.select(self.compare("lt", a, bound), bound, a)

    def at_most(self, a: Register, high: float) -> Register:
        """The smaller of a and a number; NaN stays NaN."""
        bound = self.number(high, a)
        return self.select(self.compare("lt", bound, a), bound, a)

    def nearest(self, a: Register, factor: float) -> tuple[Register, Register]:
        """The whole number n nearest to a times a factor, for |n| < 2^(mantissa - 2), and an integer n + 2^k m.

        Adding 1.5 2^mantissa rounds to a whole number and leaves it in the low bits, which fills the rest with zeros:
        shifted up to the exponent, those bits are n alone.
        """
        large = self.number(1.5 * 2.0 ** MANTISSA[a.dtype], a)
        shifted = self.fma(a, self.number(factor, a), large)
        return self.sub(shifted, large), self.bits(shifted)

    def power_of_two(self, bits: Register, dtype: str) -> Register:
        """2^n for the integer n of a normal number, as it is or as `nearest` returns it."""
        one = self.number(BIAS[dtype] << MANTISSA[dtype], bits)
        return self.from_bits(self.add(self.shift("shl", bits, MANTISSA[dtype]), one), dtype)

    def scale(self, a: Register, n: Register, bits: Register) -> Register:
        """a 2^n for what `nearest` returns; a subnormal result is rounded once."""
        if self.target == "avx512" and BITS[a.dtype] * a.lanes == 512:
            return self._scalef(a, n)
        whole = self.sub(bits, self.bits(self.number(1.5 * 2.0 ** MANTISSA[a.dtype], a)))
        half = self.shift("ashr", whole, 1)
        rest = self.sub(whole, half)
        return self.mul(self.mul(a, self.power_of_two(half, a.dtype)), self.power_of_two(rest, a.dtype))

    def _scalef(self, a: Register, n: Register) -> Register:
        """The same in one instruction."""
        name = f"llvm.x86.avx512.mask.scalef.{'ps' if a.dtype == 'float32' else 'pd'}.512"
        rest = [f"{a.type} zeroinitializer", f"i{a.lanes} -1", "i32 4"]
        return Register(self.out.call(a.type, name, [str(a), str(n), *rest]), a.dtype, a.lanes)

    def _quotient(self, a: Register, b: Register) -> tuple[Register, Register]:
        """a / b by multiplications, while the divider takes a root: Newton's step to 1 / b, and one to the quotient.

        Return it, and a number that is not finite where the instruction has to divide: an operand or the result is out
        of range.

        It is rounded as the instruction rounds, but for some quotients within 2^-22 units of the middle between two
        floats, and for |a| < 2^-101, where it is within 1.5 units: the remainder may be denormal.
        """
        out = self.out
        rest = [f"{a.type} zeroinitializer", f"i{a.lanes} -1"]
        first = Register(out.call(a.type, "llvm.x86.avx512.rcp14.ps.512", [str(b), *rest]), a.dtype, a.lanes)
        negative = self.neg(b)
        inverse = self.fused(self.fused(negative, first, self.number(1.0, b)), first, first)
        close = self.mul(a, inverse)
        quotient = self.copysign(self.fused(self.fused(negative, close, a), inverse, close), close)  # -0 / b is -0
        # infinite or NaN where the quotient is, and where |b| is 2^126 or more, whose inverse may be flushed to zero
        checked = self.fused(b, self.number(4.0, b), quotient)
        return quotient, checked

    @staticmethod
    def _whole_dtype(a: Register) -> str:
        return "int32" if a.dtype == "float32" else "int64"

    def _whole_type(self, a: Register) -> str:
        return vector(SCALARS[self._whole_dtype(a)], a.lanes)


def maximum(a: Arithmetic, x: Register, y: Register) -> Register:
    """The larger one; NaN where either is NaN, and y where both are zeros."""
    if not x.is_float:
        return a.select(a.compare("lt", y, x), x, y)
    larger = a.select(a.compare("lt", y, x), x, y)
    return a.select(a.is_nan(x), x, larger)


def minimum(a: Arithmetic, x: Register, y: Register) -> Register:
    """The smaller one; NaN where either is NaN, and y where both are zeros."""
    if not x.is_float:
        return a.select(a.compare("lt", x, y), x, y)
    smaller = a.select(a.compare("lt", x, y), x, y)
    return a.select(a.is_nan(x), x, smaller)
