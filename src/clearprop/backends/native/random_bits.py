"""Philox 4x32-10 in vectors: every lane runs the block of its own element and keeps one of the four words."""

from __future__ import annotations

from clearprop.backends.native.arithmetic import Arithmetic
from clearprop.backends.native.emitter import Emitter, Register, constant
from clearprop.backends.native.regions import Kernel, iota
from clearprop.ir import Node

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_PARAMETERS = 5


def philox_name(lanes: int) -> str:
    """Return what the function is called in the module."""
    return f"clearprop.philox.{lanes}"


def philox_word(kernel: Kernel, node: Node, position: str, lanes: int) -> Register:
    """Return the random words of elements position, position + 1 ...; the counter is (block, stream, step)."""
    out = kernel.out
    a = Arithmetic(out)
    key, step = (kernel.pointer(value) for value in node.inputs)
    words = [out.get(f"load i32, ptr {key}, align 4")]
    second = out.get(f"getelementptr i32, ptr {key}, i64 1")
    words.append(out.get(f"load i32, ptr {second}, align 4"))
    count = out.get(f"load i64, ptr {step}, align 8")
    low, high = out.get(f"trunc i64 {count} to i32"), out.get(f"lshr i64 {count}, 32")
    words += [low, out.get(f"trunc i64 {high} to i32")]
    place = a.add(out.splat(Register(position, "int64"), lanes), iota("int64", lanes))
    out.uses.add(("random_bits", "uint32", lanes))
    spread = ", ".join(str(Register(word, "uint32")) for word in (*words, str(node.attrs["stream"])))
    result = constant(0, "uint32", lanes)
    text = f"call {result.type} @{philox_name(lanes)}({place}, {spread})"
    return out.value(text, "uint32", lanes)


def define_philox(lanes: int) -> tuple[str, set[str]]:
    """Return the text of the function: places, two key words, two step words, stream -> words."""
    out = Emitter()
    a = Arithmetic(out)
    place = Register("%place", "int64", lanes)
    parameters = [Register(f"%w{i}", "uint32") for i in range(_PARAMETERS)]
    k0, k1, low, high, stream = (_wide(out, word, lanes) for word in parameters)
    block = out.value(f"lshr {place}, {a.number(2, place).text}", "int64", lanes)
    counters = (block, stream, low, high)
    for _ in range(_ROUNDS):
        counters = _round(a, counters, (k0, k1))
        k0, k1 = (_low(a, a.add(k, a.number(w, k))) for k, w in zip((k0, k1), _WEYL, strict=True))
    which = a.logical("and", place, a.number(3, place))
    word = counters[0]
    for i in (1, 2, 3):
        word = a.select(a.compare("eq", which, a.number(i, which)), counters[i], word)
    result = constant(0, "uint32", lanes)
    out.do(f"ret {result.type} {out.get(f'trunc {word} to {result.type}')}")
    arguments = ", ".join(map(str, (place, *parameters)))
    return out.function(f"define internal {result.type} @{philox_name(lanes)}({arguments}) nounwind"), out.declares


def _round(
    a: Arithmetic, counters: tuple[Register, ...], keys: tuple[Register, Register]
) -> tuple[Register, Register, Register, Register]:
    c0, c1, c2, c3 = counters
    first, second = (a.mul(c, a.number(m, c)) for c, m in zip((c0, c2), _MULTIPLIERS, strict=True))
    left = a.logical("xor", a.logical("xor", _high(a, second), c1), keys[0])
    right = a.logical("xor", a.logical("xor", _high(a, first), c3), keys[1])
    return left, _low(a, second), right, _low(a, first)


def _high(a: Arithmetic, x: Register) -> Register:
    return a.out.value(f"lshr {x}, {a.number(32, x).text}", x.dtype, x.lanes)


def _low(a: Arithmetic, x: Register) -> Register:
    return a.logical("and", x, a.number(0xFFFFFFFF, x))


def _wide(out: Emitter, word: Register, lanes: int) -> Register:
    wide = Register(out.get(f"zext {word} to i64"), "int64")
    return out.splat(wide, lanes)
