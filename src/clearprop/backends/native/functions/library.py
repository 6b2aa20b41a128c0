"""The vector functions by the primitive's name: the short ones are written in place, the long ones are called."""

from __future__ import annotations

from collections.abc import Callable

from clearprop.backends.native.arithmetic import Arithmetic
from clearprop.backends.native.emitter import SCALARS, Emitter, Register, suffix
from clearprop.backends.native.functions.error_function import erf
from clearprop.backends.native.functions.exponentials import exp, expm1, sigmoid, tanh
from clearprop.backends.native.functions.logarithms import log, log1p
from clearprop.backends.native.functions.power import power
from clearprop.backends.native.functions.trigonometric import arctan, cos, sin

Function = Callable[..., Register]

_IN_PLACE: dict[str, Function] = {
    "exp": exp,
    "expm1": expm1,
    "log": log,
    "log1p": log1p,
    "tanh": tanh,
    "sigmoid": sigmoid,
}
_CALLED: dict[str, Function] = {"sin": sin, "cos": cos, "arctan": arctan, "erf": erf, "power": power}
FUNCTIONS = (*_IN_PLACE, *_CALLED)
"""The primitives that are functions here."""


def function(name: str) -> Function:
    """Return how a function is applied to registers: in place, where a loop keeps its constants, or by a call."""

    def apply(a: Arithmetic, *arguments: Register) -> Register:
        plain = Arithmetic(a.out, target=a.target)
        if name in _IN_PLACE:
            return _IN_PLACE[name](plain, *arguments)
        first = arguments[0]
        a.out.uses.add((name, first.dtype, first.lanes))
        call = f"call {first.type} @{_symbol(name, first)}({', '.join(map(str, arguments))})"
        return a.out.value(call, first.dtype, first.lanes)

    return apply


def _symbol(name: str, like: Register) -> str:
    return f"clearprop.{name}.{suffix(SCALARS[like.dtype], like.lanes)}"


def define(name: str, dtype: str, lanes: int, target: str) -> tuple[str, set[str]]:
    """Return the text of one function that is called, and the declarations that it needs."""
    out = Emitter()
    arguments = [Register(f"%x{i}", dtype, lanes) for i in range(2 if name == "power" else 1)]
    first = arguments[0]
    out.do(f"ret {_CALLED[name](Arithmetic(out, target=target), *arguments)}")
    parameters = ", ".join(map(str, arguments))
    head = f"define internal {first.type} @{_symbol(name, first)}({parameters}) nounwind"
    return out.function(head), out.declares
