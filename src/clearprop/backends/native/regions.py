"""Emission inside of a kernel: the addresses of elements, loads and stores of whole and partial vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from clearprop.backends.native.emitter import BYTES, SCALARS, Emitter, Made, Register, suffix, vector
from clearprop.backends.native.extents import Extent
from clearprop.backends.native.kernels import Access
from clearprop.ir import Value

READ, WRITTEN = ("i32 0", "i32 3", "i32 1"), ("i32 1", "i32 3", "i32 1")
"""How memory is asked for that is read, or written to."""

_AHEAD = 1024
"""Bytes beyond what is stored, of what is asked for."""


@dataclass(frozen=True)
class Lanes:
    """Which elements one instruction works on: `count` of them from an index on, all or those of a mask."""

    count: int
    mask: str = ""


class Kernel:
    """One function being written: its emitter, and its pointer parameters in the order of their first use."""

    def __init__(self, alias: Mapping[Value, Value]) -> None:
        self.out = Emitter()
        self._alias = alias
        self.buffers: dict[Value, str] = {}
        self._extents: dict[Extent, str] = {}
        self._once: dict[object, object] = {}

    def pointer(self, value: Value) -> str:
        """Return the parameter that points to a value's memory."""
        value = self._alias.get(value, value)
        return self.buffers.setdefault(value, f"%p{len(self.buffers)}")

    def extent(self, extent: Extent) -> str:
        """Return an extent as an i64, computed at the function's start."""
        if extent.fixed:
            return str(extent.coefficient)
        if extent not in self._extents:
            power = "%n"
            for _ in range(extent.power - 1):
                power = self._first(f"mul i64 {power}, %n")
            text = power if extent.coefficient == 1 else self._first(f"mul i64 {power}, {extent.coefficient}")
            self._extents[extent] = text
        return self._extents[extent]

    def _first(self, line: str) -> str:
        name = "%" + self.out.name("e")
        self.out.entry.append(f"  {name} = {line}")
        return name

    def once(self, key: object, write: Callable[[], Made]) -> Made:
        """Return what `write` gives, which is written once for a key, at the function's start."""
        if key not in self._once:
            self._once[key] = self.out.at_start(write)
        return cast(Made, self._once[key])

    def scratch(self, type_: str) -> str:
        """Return the address of memory for one value that lives for the function."""
        name = "%" + self.out.name("scratch")
        self.out.entry.append(f"  {name} = alloca {type_}, align 64")
        return name

    def offset(self, offsets: Sequence[Extent], strides: Sequence[Extent], variables: Sequence[str]) -> str:
        """Return offset + sum of variable times stride."""
        total = "0"
        for item in offsets:
            total = self.out.add(total, self.extent(item))
        for stride, variable in zip(strides, variables, strict=True):
            total = self.out.add(total, self.out.multiply(variable, self.extent(stride)))
        return total

    def address(self, value: Value, offset: str) -> str:
        """Return the address of an element."""
        pointer = self.pointer(value)
        if offset == "0":
            return pointer
        return self.out.get(f"getelementptr inbounds {memory_type(value.type.dtype)}, ptr {pointer}, i64 {offset}")

    def load(self, access: Access, variables: Sequence[str], lanes: Lanes) -> Register:
        """Load the elements of an access; the last variable is that of the lanes."""
        dtype = access.source.type.dtype
        address = self.address(access.source, self.offset(access.offsets, access.strides, variables))
        step = access.strides[-1] if access.strides else Extent(0)
        if lanes.count == 1 or step.coefficient == 0:
            return self.out.splat(self._from_memory(self._load(dtype, address, Lanes(1)), dtype, 1), lanes.count)
        if step == Extent(1):
            return self._from_memory(self._load(dtype, address, lanes), dtype, lanes.count)
        return self._from_memory(self._gather(dtype, address, step, lanes), dtype, lanes.count)

    def store(self, register: Register, access: Access, variables: Sequence[str], lanes: Lanes) -> None:
        """Store the elements of an access; scattered where they do not lie next to each other."""
        address = self.address(access.source, self.offset(access.offsets, access.strides, variables))
        step = access.strides[-1] if access.strides else Extent(0)
        if lanes.count == 1 or step == Extent(1):
            self.put(register, address, lanes)
            return
        dtype = access.source.type.dtype
        pointers = self._pointers(dtype, address, step, lanes)
        name = f"llvm.masked.scatter.{suffix(memory_type(dtype), lanes.count)}.v{lanes.count}p0"
        self.out.call("void", name, [self._to_memory(register), pointers, self._mask(lanes)])

    def announce(self, access: Access, variables: Sequence[str]) -> None:
        """Ask for the memory some lines beyond an element in order to write there, however far away it is.

        A line that another core has read, or written, is fetched from there by the store otherwise, and no store
        after it is done before: several times the cost of the arithmetic.
        """
        element = self.address(access.source, self.offset(access.offsets, access.strides, variables))
        self.out.call("void", "llvm.prefetch.p0", [f"ptr {self.out.after(element, str(_AHEAD))}", *WRITTEN])

    def take(self, dtype: str, address: str, lanes: Lanes) -> Register:
        """Load the elements that lie next to each other from an address on."""
        return self._from_memory(self._load(dtype, address, lanes), dtype, lanes.count)

    def put(self, register: Register, address: str, lanes: Lanes) -> None:
        """Store a register from an address on."""
        item, size = self._to_memory(register), BYTES[register.dtype]
        if not lanes.mask:
            self.out.do(f"store {item}, ptr {address}, align {size}")
            return
        name = f"llvm.masked.store.{suffix(memory_type(register.dtype), lanes.count)}.p0"
        self.out.call("void", name, [item, f"ptr align {size} {address}", self._mask(lanes)])

    def _to_memory(self, register: Register) -> str:
        if register.dtype != "bool":
            return str(register)
        type_ = vector("i8", register.lanes)
        return f"{type_} {self.out.get(f'zext {register} to {type_}')}"

    def _load(self, dtype: str, address: str, lanes: Lanes) -> str:
        type_ = vector(memory_type(dtype), lanes.count)
        if not lanes.mask:
            return self.out.get(f"load {type_}, ptr {address}, align {BYTES[dtype]}")
        name = f"llvm.masked.load.{suffix(memory_type(dtype), lanes.count)}.p0"
        arguments = [f"ptr align {BYTES[dtype]} {address}", self._mask(lanes)]
        return self.out.call(type_, name, arguments, [f"{type_} zeroinitializer"])

    def _gather(self, dtype: str, address: str, step: Extent, lanes: Lanes) -> str:
        type_ = vector(memory_type(dtype), lanes.count)
        pointers = self._pointers(dtype, address, step, lanes)
        name = f"llvm.masked.gather.{suffix(memory_type(dtype), lanes.count)}.v{lanes.count}p0"
        return self.out.call(type_, name, [pointers, self._mask(lanes)], [f"{type_} zeroinitializer"])

    def _pointers(self, dtype: str, address: str, step: Extent, lanes: Lanes) -> str:
        if step.fixed and step.coefficient * lanes.count < 2**31:
            # constant 32-bit distances: half of the registers and instructions that 64-bit ones take
            items = ", ".join(f"i32 {step.coefficient * lane}" for lane in range(lanes.count))
            places = f"{vector('i32', lanes.count)} <{items}>"
        else:
            places = f"{vector('i64', lanes.count)} {self.scaled_iota(step, lanes.count)}"
        got = self.out.get(f"getelementptr {memory_type(dtype)}, ptr {address}, {places}")
        return f"align {BYTES[dtype]} ".join((f"<{lanes.count} x ptr> ", got))

    def scaled_iota(self, step: Extent, lanes: int) -> str:
        """Return (0, 1, 2 ...) times a stride, as i64 lanes."""
        places = iota("int64", lanes)
        if step == Extent(1):
            return places.text
        stride = self.out.splat(Register(self.extent(step), "int64"), lanes)
        return self.out.get(f"mul {places.type} {places.text}, {stride.text}")

    @staticmethod
    def _mask(lanes: Lanes) -> str:
        return f"<{lanes.count} x i1> {lanes.mask or 'splat (i1 true)'}"

    def _from_memory(self, text: str, dtype: str, lanes: int) -> Register:
        if dtype != "bool":
            return Register(text, dtype, lanes)
        none = "0" if lanes == 1 else "zeroinitializer"
        return self.out.value(f"icmp ne {vector('i8', lanes)} {text}, {none}", dtype, lanes)


def memory_type(dtype: str) -> str:
    """Return the LLVM type of an element in memory."""
    return "i8" if dtype == "bool" else SCALARS[dtype]


def iota(dtype: str, lanes: int) -> Register:
    """Return the register (0, 1, 2 ...)."""
    if lanes == 1:
        return Register("0", dtype)
    items = ", ".join(f"{SCALARS[dtype]} {lane}" for lane in range(lanes))
    return Register(f"<{items}>", dtype, lanes)
