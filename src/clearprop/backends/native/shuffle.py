"""The order of an epoch as machine code: `randomness.shuffled`, written once in LLVM text.

`void program(i64 n, ptr order, ptr numbers, i64 epoch)` fills `order`. `numbers` are the counter words and the keys of
Philox's rounds, as `stream_numbers` lays them out; the epoch is written into them.
"""

from __future__ import annotations

import functools

import numpy as np

from clearprop.backends.native.emitter import Emitter
from clearprop.backends.native.jit import MachineCode, compile_text
from clearprop.backends.native.random_bits import define_philox, philox_name, round_keys
from clearprop.backends.native.targets import Target
from clearprop.backends.protocol import Array

_WORDS = 4


def stream_numbers(key: Array) -> Array:
    """Return what the function needs of a key: room for three counter words, and the keys of all rounds."""
    return np.array([0, 0, 0, *round_keys(int(key[0]), int(key[1]))], np.int64)


@functools.cache
def shuffle_code(target: Target) -> MachineCode:
    """Return the function; one a target and process."""
    return compile_text(write_shuffle(target.vector_bytes // 8), target)


def write_shuffle(blocks: int) -> str:
    """Return the text of the module, with Philox in vectors of so many blocks."""
    philox, declares = define_philox(blocks, sets=1)
    out, count = Emitter(), _WORDS * blocks
    buffer = "%" + out.name("words")
    out.entry.append(f"  {buffer} = alloca [{count} x i32], align 64")
    for place, word in ((1, "%epoch"), (2, out.get("lshr i64 %epoch, 32"))):
        out.do(f"store i64 {word}, ptr {out.get(f'getelementptr i64, ptr %numbers, i64 {place}')}")

    def fill(start: str) -> None:
        block = out.get(f"lshr i64 {start}, 2")
        out.do(f"call void @{philox_name(blocks)}(ptr {buffer}, ptr %numbers, i64 {block})")
        out.loop(start, out.least("%n", out.add(start, str(count))), 1, lambda i: insert(i, start))

    def insert(i: str, start: str) -> None:
        word = out.get(f"getelementptr i32, ptr {buffer}, i64 {out.get(f'sub i64 {i}, {start}')}")
        wide = out.get(f"zext i32 {out.get(f'load i32, ptr {word}')} to i64")
        scaled = out.multiply(wide, out.add(i, "1"))
        drawn = out.get(f"lshr i64 {scaled}, 32")
        here, there = (out.get(f"getelementptr i64, ptr %order, i64 {place}") for place in (i, drawn))
        out.do(f"store i64 {out.get(f'load i64, ptr {there}')}, ptr {here}")
        out.do(f"store i64 {i}, ptr {there}")

    out.loop("0", "%n", count, fill)
    out.do("ret void")
    head = "define void @program(i64 %n, ptr %order, ptr %numbers, i64 %epoch) nounwind"
    return "".join((philox, out.function(head), *(f"{line}\n" for line in sorted(declares | out.declares))))
