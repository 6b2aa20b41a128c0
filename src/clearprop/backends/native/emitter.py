"""A writer of LLVM text: fresh names, blocks, loops and typed instructions. It imports no LLVM."""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

Made = TypeVar("Made")

SCALARS = {"bool": "i1", "int32": "i32", "int64": "i64", "uint32": "i32", "float32": "float", "float64": "double"}
"""The LLVM type of a dtype in a register; in memory a bool is a byte."""

BYTES = {"bool": 1, "int32": 4, "int64": 8, "uint32": 4, "float32": 4, "float64": 8}


@dataclass(frozen=True)
class Register:
    """A value in a register: its LLVM text, its dtype and how many lanes it has (1 is a scalar)."""

    text: str
    dtype: str
    lanes: int = 1

    @property
    def type(self) -> str:
        """The LLVM type."""
        return vector(SCALARS[self.dtype], self.lanes)

    @property
    def is_float(self) -> bool:
        """Whether it is float32 or float64."""
        return self.dtype.startswith("float")

    def __str__(self) -> str:
        return f"{self.type} {self.text}"


@functools.cache
def vector(scalar: str, lanes: int) -> str:
    """Return the LLVM type of this many scalars."""
    return scalar if lanes == 1 else f"<{lanes} x {scalar}>"


def suffix(scalar: str, lanes: int) -> str:
    """Return how an intrinsic's name ends for a type."""
    short = {"float": "f32", "double": "f64"}.get(scalar, scalar)
    return short if lanes == 1 else f"v{lanes}{short}"


def literal(number: float, dtype: str) -> str:
    """Return a number as LLVM writes it; floats as the bits of a double, which every LLVM float takes."""
    if dtype == "bool":
        return "true" if number else "false"
    if dtype == "float32":
        number = _nearest_float32(float(number))
    if dtype.startswith("float"):
        return f"0x{struct.unpack('<Q', struct.pack('<d', float(number)))[0]:016X}"
    return str(int(number))


def _nearest_float32(number: float) -> float:
    try:
        return float(struct.unpack("<f", struct.pack("<f", number))[0])
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")


class Emitter:
    """Appends instructions to one function.

    `declares` collects the intrinsics and external functions called, `uses` the names of library functions,
    `helpers` the texts of functions that kernels share.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.entry: list[str] = []
        self.declares: set[str] = set()
        self.uses: set[tuple[str, str, int]] = set()
        self.helpers: dict[str, str] = {}
        self.block = "entry"
        self._count = 0

    def name(self, hint: str = "v") -> str:
        """Return a name nothing else has."""
        self._count += 1
        return f"{hint}{self._count}"

    def do(self, line: str) -> None:
        """Append an instruction that gives nothing."""
        self.lines.append("  " + line)

    def get(self, line: str) -> str:
        """Append an instruction and return the name of what it gives."""
        self._count += 1
        name = f"%v{self._count}"
        self.lines.append(f"  {name} = {line}")
        return name

    def value(self, line: str, dtype: str, lanes: int) -> Register:
        """Append an instruction that gives a register."""
        return Register(self.get(line), dtype, lanes)

    def call(self, result: str, function: str, arguments: Sequence[str], tail: Sequence[str] = ()) -> str:
        """Append a call of a declared function; `arguments` are written "type value"."""
        types = ", ".join(_type_of(argument) for argument in (*arguments, *tail))
        self.declares.add(f"declare {result} @{function}({types})")
        line = f"call {result} @{function}({', '.join((*arguments, *tail))})"
        if result == "void":
            self.do(line)
            return ""
        return self.get(line)

    def label(self, name: str) -> None:
        """Start a block."""
        self.lines.append(f"{name}:")
        self.block = name

    def slot(self, type_: str, first: str) -> str:
        """Return a variable that lives for the function; `first` is stored where the emitter stands."""
        name = "%" + self.name("slot")
        self.entry.append(f"  {name} = alloca {type_}")
        self.do(f"store {type_} {first}, ptr {name}")
        return name

    def loop(self, start: str, stop: str, step: int | str, body: Callable[[str], None]) -> None:
        """Append `for i in range(start, stop, step): body(i)` over signed 64-bit numbers."""
        head, inside, done = (self.name(hint) for hint in ("head", "body", "done"))
        i, following = "%" + self.name("i"), "%" + self.name("next")
        before = self.block
        self.do(f"br label %{head}")
        self.label(head)
        place = len(self.lines)
        self.lines.append("")
        test = self.get(f"icmp slt i64 {i}, {stop}")
        self.do(f"br i1 {test}, label %{inside}, label %{done}")
        self.label(inside)
        body(i)
        self.do(f"{following} = add i64 {i}, {step}")
        self.lines[place] = f"  {i} = phi i64 [ {start}, %{before} ], [ {following}, %{self.block} ]"
        self.do(f"br label %{head}")
        self.label(done)

    def fold(
        self, stop: str, first: Sequence[tuple[str, str]], body: Callable[[list[str]], Sequence[str]]
    ) -> list[str]:
        """Append `values = first; for _ in range(stop): values = body(values)`, and return the last values.

        A first value is a type and a text; the values stay in registers from turn to turn.
        """
        head, inside, done = (self.name(hint) for hint in ("head", "body", "done"))
        carried = [("i64", "0"), *first]
        values = ["%" + self.name() for _ in carried]
        before = self.block
        self.do(f"br label %{head}")
        self.label(head)
        place = len(self.lines)
        test = self.get(f"icmp slt i64 {values[0]}, {stop}")
        self.do(f"br i1 {test}, label %{inside}, label %{done}")
        self.label(inside)
        following = [*body(values[1:])]
        following.insert(0, self.add(values[0], "1"))
        self.lines[place:place] = [
            f"  {value} = phi {type_} [ {start}, %{before} ], [ {after}, %{self.block} ]"
            for value, (type_, start), after in zip(values, carried, following, strict=True)
        ]
        self.do(f"br label %{head}")
        self.label(done)
        return values[1:]

    def when(self, condition: str, body: Callable[[], None]) -> str:
        """Append `if condition: body()`; return the block that the body ends in."""
        yes, after = self.name("then"), self.name("after")
        self.do(f"br i1 {condition}, label %{yes}, label %{after}")
        self.label(yes)
        body()
        inside = self.block
        self.do(f"br label %{after}")
        self.label(after)
        return inside

    def unless(self, odd: str, usual: Sequence[Register], other: Callable[[], Sequence[Register]]) -> list[Register]:
        """Append `other() if odd else usual`, and return what it gives; `odd` is expected to be false."""
        expected = self.call("i1", "llvm.expect.i1", [f"i1 {odd}", "i1 false"])
        before = self.block
        values = usual

        def body() -> None:
            nonlocal values
            values = other()

        inside = self.when(expected, body)
        return [
            self.value(f"phi {a.type} [ {a.text}, %{before} ], [ {b.text}, %{inside} ]", a.dtype, a.lanes)
            for a, b in zip(usual, values, strict=True)
        ]

    def multiply(self, a: str, b: str) -> str:
        """Multiply two i64, at once where both are known."""
        if "0" in (a, b):
            return "0"
        if "1" in (a, b):
            return b if a == "1" else a
        if known(a) and known(b):
            return str(int(a) * int(b))
        return self.get(f"mul i64 {a}, {b}")

    def add(self, a: str, b: str) -> str:
        """Add two i64, at once where both are known."""
        if "0" in (a, b):
            return b if a == "0" else a
        if known(a) and known(b):
            return str(int(a) + int(b))
        return self.get(f"add i64 {a}, {b}")

    def subtract(self, a: str, b: str) -> str:
        """Subtract two i64, at once where both are known."""
        if b == "0":
            return a
        if known(a) and known(b):
            return str(int(a) - int(b))
        return self.get(f"sub i64 {a}, {b}")

    def divide(self, a: str, b: str) -> str:
        """Divide two i64 that are not negative, rounding down, at once where both are known."""
        if b == "1":
            return a
        if known(a) and known(b):
            return str(int(a) // int(b))
        return self.get(f"udiv i64 {a}, {b}")

    def least(self, a: str, b: str) -> str:
        """Return the smaller of two i64, at once where both are known."""
        if known(a) and known(b):
            return str(min(int(a), int(b)))
        return self.call("i64", "llvm.smin.i64", [f"i64 {a}", f"i64 {b}"])

    def most(self, a: str, b: str) -> str:
        """Return the larger of two i64, at once where both are known."""
        if known(a) and known(b):
            return str(max(int(a), int(b)))
        return self.call("i64", "llvm.smax.i64", [f"i64 {a}", f"i64 {b}"])

    def remainder(self, a: str, b: int) -> str:
        """Return what a division of i64 that are not negative leaves, at once where both are known."""
        return str(int(a) % b) if known(a) else self.get(f"urem i64 {a}, {b}")

    def after(self, pointer: str, offset: str) -> str:
        """Return a pointer this many bytes on."""
        return pointer if offset == "0" else self.get(f"getelementptr i8, ptr {pointer}, i64 {offset}")

    def splat(self, scalar: Register, lanes: int) -> Register:
        """Return a scalar in every lane."""
        if lanes == scalar.lanes:
            return scalar
        type_ = vector(scalar.type, lanes)
        one = self.get(f"insertelement {type_} poison, {scalar}, i64 0")
        text = f"shufflevector {type_} {one}, {type_} poison, <{lanes} x i32> zeroinitializer"
        return self.value(text, scalar.dtype, lanes)

    def shuffle(self, a: Register, b: Register, places: Sequence[int]) -> Register:
        """Return the lanes of a, followed by those of b, at these places."""
        mask = ", ".join(f"i32 {place}" for place in places)
        return self.value(f"shufflevector {a}, {b}, <{len(places)} x i32> <{mask}>", a.dtype, len(places))

    def at_start(self, write: Callable[[], Made]) -> Made:
        """Let `write` append at the function's start, and return its result."""
        lines, self.lines = self.lines, []
        result = write()
        self.entry += self.lines
        self.lines = lines
        return result

    def function(self, head: str) -> str:
        """Return the text of the function."""
        body = "\n".join(["entry:", *self.entry, *self.lines])
        return f"{head} {{\n{body}\n}}\n"


def constant(number: float, dtype: str, lanes: int) -> Register:
    """Return a number as a register of any width."""
    text = literal(number, dtype)
    if lanes == 1:
        return Register(text, dtype)
    return Register(f"splat ({SCALARS[dtype]} {text})", dtype, lanes)


def known(text: str) -> bool:
    """Whether an i64 is a number already."""
    return text.lstrip("-").isdigit()


def _type_of(argument: str) -> str:
    """Return the type of "type value"; the value is the last word, unless it is a vector constant."""
    if argument.startswith("<"):
        return argument[: argument.index(">") + 1]
    return argument.split(" ", 1)[0]


def lines_of(items: Iterable[str]) -> str:
    """Join lines in a fixed order."""
    return "".join(f"{item}\n" for item in sorted(items))
