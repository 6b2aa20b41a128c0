"""A function of the C library, called for each lane in double."""

from __future__ import annotations

from clearprop.backends.native.arithmetic import Arithmetic
from clearprop.backends.native.emitter import Register


def by_lane(a: Arithmetic, name: str, *arguments: Register) -> Register:
    """Return the C library's double function of each lane."""
    first = arguments[0]
    if first.lanes == 1:
        return _call(a, name, arguments)
    result = Register("poison", first.dtype, first.lanes)
    for lane in range(first.lanes):
        items = [a.out.value(f"extractelement {argument}, i64 {lane}", argument.dtype, 1) for argument in arguments]
        item = _call(a, name, tuple(items))
        result = a.out.value(f"insertelement {result}, {item}, i64 {lane}", first.dtype, first.lanes)
    return result


def _call(a: Arithmetic, name: str, arguments: tuple[Register, ...]) -> Register:
    wide = [str(a.resized(argument, "float64")) for argument in arguments]
    return a.resized(Register(a.out.call("double", name, wide), "float64"), arguments[0].dtype)
