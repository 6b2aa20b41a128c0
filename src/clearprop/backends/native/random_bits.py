"""Philox 4x32-10 in vectors, many blocks at a time into a buffer that the loop around reads from.

A vector holds one of the four words of as many blocks as it has lanes of 64 bits, so that a product of 32-bit words
is one instruction; only the low half of a lane counts. A round waits for the one before, hence several sets of blocks.

Source: J. K. Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (SC 2011).
"""

from __future__ import annotations

from dataclasses import dataclass

from clearprop.backends.native.arithmetic import Arithmetic
from clearprop.backends.native.emitter import Emitter, Register, vector
from clearprop.backends.native.regions import Kernel, iota
from clearprop.ir import Node

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_WORDS = 4


@dataclass(frozen=True)
class _Stream:
    """The random words of one node in one kernel.

    Attributes:
        numbers: where three counter words and the keys of the rounds lie.
        buffer: where `count` words lie, from element `*first` on.
    """

    numbers: str
    buffer: str
    first: str
    blocks: int

    @property
    def count(self) -> int:
        return _sets(self.blocks) * _WORDS * self.blocks


def _sets(blocks: int) -> int:
    """Return how many sets of blocks fit into the registers: there are 32 where a vector has 8 lanes."""
    return 4 if blocks == 8 else 3


def philox_word(kernel: Kernel, node: Node, position: str, lanes: int) -> Register:
    """Return the random words of elements position, position + 1 ...; the counter is (block, stream, step)."""
    key = ("random_bits", *node.inputs, node.attrs["stream"])
    stream = kernel.once(key, lambda: _stream(kernel, node, max(lanes, _WORDS) // 2))
    out = kernel.out

    def place() -> str:
        return out.get(f"sub i64 {position}, {out.get(f'load i64, ptr {stream.first}')}")

    def refill() -> None:
        block = out.get(f"lshr i64 {position}, 2")
        out.uses.add(("random_bits", "uint32", stream.blocks))
        name = philox_name(stream.blocks)
        out.do(f"call void @{name}(ptr {stream.buffer}, ptr {stream.numbers}, i64 {block})")
        out.do(f"store i64 {out.get(f'shl i64 {block}, 2')}, ptr {stream.first}")

    out.when(out.get(f"icmp ugt i64 {place()}, {stream.count - lanes}"), refill)
    address = out.get(f"getelementptr i32, ptr {stream.buffer}, i64 {place()}")
    return out.value(f"load {vector('i32', lanes)}, ptr {address}, align 4", "uint32", lanes)


def _stream(kernel: Kernel, node: Node, blocks: int) -> _Stream:
    """Write what is done once: the counter words and the keys of all rounds go to memory."""
    key, step = (kernel.pointer(value) for value in node.inputs)
    out = kernel.out
    count = out.get(f"load i64, ptr {step}, align 8")
    numbers = [str(node.attrs["stream"]), count, out.get(f"lshr i64 {count}, 32")]
    second = out.get(f"getelementptr i32, ptr {key}, i64 1")
    keys = [out.get(f"zext i32 {out.get(f'load i32, ptr {p}, align 4')} to i64") for p in (key, second)]
    for number in range(_ROUNDS):
        numbers += [out.add(k, str(number * weyl)) for k, weyl in zip(keys, _WEYL, strict=True)]
    buffer = kernel.scratch(f"[{_sets(blocks) * _WORDS * blocks} x i32]")
    stream = _Stream(kernel.scratch(f"[{len(numbers)} x i64]"), buffer, out.slot("i64", str(-(2**62))), blocks)
    for place, item in enumerate(numbers):
        out.do(f"store i64 {item}, ptr {_place(out, stream.numbers, place)}")
    return stream


def philox_name(blocks: int) -> str:
    """Return what the function is called in the module."""
    return f"clearprop.philox.{blocks}"


def round_keys(first: int, second: int) -> list[int]:
    """Return the keys of all rounds, of which only the low 32 bits count: two for each round."""
    return [key + number * weyl for number in range(_ROUNDS) for key, weyl in zip((first, second), _WEYL, strict=True)]


def define_philox(blocks: int, sets: int = 0) -> tuple[str, set[str]]:
    """Return the text of the function: the buffer to fill, the numbers of the stream, the first block.

    It fills the buffer with as many sets of blocks as are asked for, or as fit into the registers.
    """
    out = Emitter()
    a = Arithmetic(out)
    sets = sets or _sets(blocks)

    def number(place: str) -> Register:
        address = out.get(f"getelementptr i64, ptr %numbers, i64 {place}")
        return out.splat(Register(out.get(f"load i64, ptr {address}, align 8"), "int64"), blocks)

    stream, low, high = (number(str(place)) for place in range(3))
    first = a.add(out.splat(Register("%block", "int64"), blocks), iota("int64", blocks))
    starts = [(a.add(first, a.number(i * blocks, first)), stream, low, high) for i in range(sets)]
    slots = [[out.slot(counter.type, counter.text) for counter in counters] for counters in starts]

    def counters_of(set_: list[str]) -> tuple[Register, ...]:
        return tuple(out.value(f"load {first.type}, ptr {slot}", "int64", blocks) for slot in set_)

    def two_rounds(place: str) -> None:
        keys = [number(out.add(place, str(i))) for i in range(4)]
        for set_ in slots:
            counters = _round(a, _round(a, counters_of(set_), (keys[0], keys[1])), (keys[2], keys[3]))
            for slot, counter in zip(set_, counters, strict=True):
                out.do(f"store {counter}, ptr {slot}")

    # a loop, since all the rounds in a row take 30 ms more to compile
    out.loop("3", str(3 + 2 * _ROUNDS), 4, two_rounds)
    for place, set_ in enumerate(slots):
        _store(a, counters_of(set_), place)
    out.do("ret void")
    head = f"define internal void @{philox_name(blocks)}(ptr %buffer, ptr %numbers, i64 %block) nounwind"
    return out.function(head), out.declares


def _round(
    a: Arithmetic, counters: tuple[Register, ...], keys: tuple[Register, Register]
) -> tuple[Register, Register, Register, Register]:
    c0, c1, c2, c3 = counters
    first, second = (a.mul(_low(a, c), a.number(m, c)) for c, m in zip((c0, c2), _MULTIPLIERS, strict=True))
    left = a.logical("xor", a.logical("xor", c1, keys[0]), a.shift("lshr", second, 32))
    right = a.logical("xor", a.logical("xor", c3, keys[1]), a.shift("lshr", first, 32))
    return left, second, right, first


def _store(a: Arithmetic, counters: tuple[Register, ...], place: int) -> None:
    """Store the words of a set, block after block."""
    c0, c1, c2, c3 = counters
    low, high = (a.logical("or", _low(a, x), a.shift("shl", y, 32)) for x, y in ((c0, c1), (c2, c3)))
    blocks = c0.lanes
    order = [half * blocks + block for block in range(blocks) for half in (0, 1)]
    for part in (0, 1):
        item = a.out.shuffle(low, high, order[part * blocks : (part + 1) * blocks])
        a.out.do(f"store {item}, ptr {_place(a.out, '%buffer', (2 * place + part) * blocks)}, align 16")


def _low(a: Arithmetic, x: Register) -> Register:
    return a.logical("and", x, a.number(0xFFFFFFFF, x))


def _place(out: Emitter, start: str, number: int) -> str:
    return out.get(f"getelementptr i64, ptr {start}, i64 {number}")
