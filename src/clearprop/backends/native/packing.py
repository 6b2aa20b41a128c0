"""Packing: a panel of a matrix is copied to one place without gaps, line after line, as the micro-kernels read it.

A line holds the elements of one k. Where they lie next to each other in the source they are copied as vectors; where
those of neighbouring k do, small squares are transposed in registers; else they are gathered.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from clearprop.backends.native.emitter import BYTES, SCALARS, Emitter, Register, suffix, vector
from clearprop.backends.native.loops import tail_mask
from clearprop.backends.native.regions import Kernel, Lanes, iota

PARAMETERS = "i64 %depth, ptr %from, i64 %row, i64 %column, ptr %to, i64 %step, i64 %left"
"""Of all: how many lines, the source's first element and the strides of its lines and columns in bytes, where the
packed lines go and the bytes from one to the next, and how many columns there are; lanes beyond become zeros."""

_PIECE = 16
"""Bytes: the side of the squares that are transposed, within which a shuffle costs one instruction."""


def square(dtype: str) -> int:
    """Return how many lines are transposed at once."""
    return _PIECE // BYTES[dtype]


@functools.cache
def define_packing(how: str, vectors: int, lanes: int, dtype: str, masked: bool) -> tuple[str, str, frozenset[str]]:
    """Return the name and the text of a function that packs vectors of columns, and the intrinsics that it calls.

    `how` is "copy" for columns next to each other, "turn" for lines next to each other (one whole vector, and a
    number of lines that `square` divides), or "gather" (one vector).
    """
    kernel = Kernel({})
    mask = tail_mask(kernel.out, "0", "%left", lanes) if masked and how != "turn" else ""
    last = Lanes(lanes, mask)
    if how == "copy":
        _copy(kernel, dtype, [*[Lanes(lanes)] * (vectors - 1), last])
    else:
        (_turn if how == "turn" else _gather)(kernel, dtype, last)
    kernel.out.do("ret void")
    name = f"pack_{how}{vectors}x{lanes}.{dtype}"
    text = kernel.out.function(f"({PARAMETERS}) noinline nounwind")
    return name, f"define internal void @{name}{text}", frozenset(kernel.out.declares)


def _copy(kernel: Kernel, dtype: str, lanes: Sequence[Lanes]) -> None:
    size = lanes[0].count * BYTES[dtype]

    def line(source: str) -> list[Register]:
        return [kernel.take(dtype, kernel.out.after(source, str(v * size)), item) for v, item in enumerate(lanes)]

    _lines(kernel, line)


def _gather(kernel: Kernel, dtype: str, lanes: Lanes) -> None:
    out, count = kernel.out, lanes.count
    stride = out.splat(Register("%column", "int64"), count)
    offsets = out.get(f"mul {stride}, {iota('int64', count).text}")
    type_, mask = vector(SCALARS[dtype], count), lanes.mask or "splat (i1 true)"
    name = f"llvm.masked.gather.{suffix(SCALARS[dtype], count)}.v{count}p0"

    def line(source: str) -> list[Register]:
        places = out.get(f"getelementptr i8, ptr {source}, <{count} x i64> {offsets}")
        arguments = [f"<{count} x ptr> align {BYTES[dtype]} {places}", f"<{count} x i1> {mask}"]
        return [Register(out.call(type_, name, arguments, [f"{type_} zeroinitializer"]), dtype, count)]

    _lines(kernel, line)


def _lines(kernel: Kernel, line: Callable[[str], list[Register]]) -> None:
    """Store one line for each turn."""

    def one(pointers: list[str]) -> list[str]:
        source, target = pointers
        for v, item in enumerate(line(source)):
            place = kernel.out.after(target, str(v * item.lanes * BYTES[item.dtype]))
            kernel.put(item, place, Lanes(item.lanes))
        return [kernel.out.after(source, "%row"), kernel.out.after(target, "%step")]

    kernel.out.fold("%depth", [("ptr", "%from"), ("ptr", "%to")], one)


def _turn(kernel: Kernel, dtype: str, lanes: Lanes) -> None:
    """Transpose squares: the pieces of the columns r, r + side, r + 2 side ... make register r."""
    out = kernel.out
    offsets = [out.multiply("%column", str(column)) for column in range(lanes.count)]

    def squares(pointers: list[str]) -> list[str]:
        source, target = pointers
        for item in turned(out, [out.after(source, offset) for offset in offsets], dtype):
            kernel.put(item, target, Lanes(lanes.count))
            target = out.after(target, "%step")
        return [out.after(source, str(_PIECE)), target]

    out.fold(out.divide("%depth", str(square(dtype))), [("ptr", "%from"), ("ptr", "%to")], squares)


def turned(out: Emitter, places: Sequence[str], dtype: str) -> list[Register]:
    """Return the elements at these places as one register, those after them as the next, as many as `square` says."""
    side = square(dtype)
    piece = vector(SCALARS[dtype], side)
    pieces = [out.get(f"load {piece}, ptr {place}, align {BYTES[dtype]}") for place in places]
    rows = [_joined(out, pieces[r::side], dtype) for r in range(side)]
    return [Register(text, dtype, len(places)) for text in _transposed(out, rows, 1, len(places), dtype)]


def _joined(out: Emitter, pieces: Sequence[str], dtype: str) -> str:
    """Return pieces one after another in one register."""
    size = square(dtype)
    while len(pieces) > 1:
        pairs = zip(pieces[::2], pieces[1::2], strict=True)
        pieces = [_shuffle(out, pair, size, range(2 * size), dtype) for pair in pairs]
        size *= 2
    return pieces[0]


def _transposed(out: Emitter, rows: Sequence[str], unit: int, lanes: int, dtype: str) -> list[str]:
    """Transpose each square of the rows: interleave pairs by units of 1, 2 ... elements."""
    if len(rows) == 1:
        return list(rows)
    side = square(dtype)
    halves: tuple[list[str], list[str]] = ([], [])
    for pair in zip(rows[::2], rows[1::2], strict=True):
        for half, texts in enumerate(halves):
            starts = [
                first + half * side // 2 + at for first in range(0, lanes, side) for at in range(0, side // 2, unit)
            ]
            order = [row * lanes + start + i for start in starts for row in range(2) for i in range(unit)]
            texts.append(_shuffle(out, pair, lanes, order, dtype))
    return [text for texts in halves for text in _transposed(out, texts, 2 * unit, lanes, dtype)]


def _shuffle(out: Emitter, pair: tuple[str, str], size: int, order: Sequence[int], dtype: str) -> str:
    type_ = vector(SCALARS[dtype], size)
    picked = ", ".join(f"i32 {lane}" for lane in order)
    return out.get(f"shufflevector {type_} {pair[0]}, {type_} {pair[1]}, <{len(order)} x i32> <{picked}>")
