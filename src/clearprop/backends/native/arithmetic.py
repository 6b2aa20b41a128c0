"""Typed arithmetic on registers of any width: the vocabulary that operations and functions are written in."""

from __future__ import annotations

from clearprop.backends.native.emitter import SCALARS, Emitter, Register, constant, suffix, vector

BITS = {"float32": 32, "float64": 64}
MANTISSA = {"float32": 23, "float64": 52}
BIAS = {"float32": 127, "float64": 1023}


class Arithmetic:
    """Arithmetic that appends to an emitter; `contract` lets the compiler fuse a product and a sum into one FMA."""

    def __init__(self, emitter: Emitter, contract: bool = False) -> None:
        self.out = emitter
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
        return self.out.value(f"fdiv {a.type} {a.text}, {b.text}", a.dtype, a.lanes)

    def neg(self, a: Register) -> Register:
        """-a, of floats."""
        return self.out.value(f"fneg {a}", a.dtype, a.lanes)

    def fma(self, a: Register, b: Register, c: Register) -> Register:
        """a b + c, in one rounding where the CPU can."""
        return self._intrinsic("fmuladd", a, b, c)

    def sqrt(self, a: Register) -> Register:
        """The square root."""
        return self._intrinsic("sqrt", a)

    def abs(self, a: Register) -> Register:
        """|a|, of floats."""
        return self._intrinsic("fabs", a)

    def copysign(self, a: Register, sign: Register) -> Register:
        """|a| with the sign of another."""
        return self._intrinsic("copysign", a, sign)

    def round_even(self, a: Register) -> Register:
        """The nearest whole number, for |a| < 2^22 (float32) or 2^51 (float64): add a large number and take it off."""
        large = self.number(1.5 * 2.0 ** MANTISSA[a.dtype], a)
        # without flags: nothing may be re-associated here
        plain = Arithmetic(self.out)
        return plain.sub(plain.add(a, large), large)

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
        """The polynomial with these coefficients, highest power first, by Horner's rule."""
        result = self.number(coefficients[0], x)
        for coefficient in coefficients[1:]:
            result = self.fma(result, x, self.number(coefficient, x))
        return result

    def whole(self, a: Register) -> Register:
        """A float that holds a whole number, as an integer of its own width."""
        return self.out.value(f"fptosi {a} to {self._whole_type(a)}", self._whole_dtype(a), a.lanes)

    def bits(self, a: Register) -> Register:
        """The bits of a float as an integer."""
        return self.out.value(f"bitcast {a} to {self._whole_type(a)}", self._whole_dtype(a), a.lanes)

    def from_bits(self, a: Register, dtype: str) -> Register:
        """The float of these bits."""
        return self.out.value(f"bitcast {a} to {vector(SCALARS[dtype], a.lanes)}", dtype, a.lanes)

    def power_of_two(self, exponent: Register, dtype: str) -> Register:
        """2^exponent for an integer exponent of a normal number."""
        biased = self.add(exponent, self.number(BIAS[dtype], exponent))
        shifted = self.out.value(
            f"shl {biased}, {self.number(MANTISSA[dtype], exponent).text}", exponent.dtype, exponent.lanes
        )
        return self.from_bits(shifted, dtype)

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
