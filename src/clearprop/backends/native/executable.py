"""A compiled program as a Python callable: checks the inputs, makes the outputs, calls the machine code."""

from __future__ import annotations

import ctypes
import math
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from clearprop.backends.native.arena import address, aligned, plan
from clearprop.backends.native.jit import MachineCode
from clearprop.backends.native.module import Module
from clearprop.backends.native.threads import Team
from clearprop.backends.protocol import Array, Arrays
from clearprop.errors import ShapeError
from clearprop.ir import Batch, Program, resolve_shape
from clearprop.ops.reductions import check_empty_batch

_SMALL = 4096
"""Bytes up to which a result is computed in memory that is kept and then copied, which takes less than new memory."""

_SIZES = 8
"""For how many batch sizes a thread keeps its memory."""


@dataclass
class _Memory:
    """What one thread needs for one batch size.

    Attributes:
        arena: the memory of the intermediate values.
        status: what the machine code sets where an index is out of range.
        table: the addresses of all buffers, which the machine code reads.
        address: where the table is.
        held: for each input without rows what was given last, once its address is in the table.
        shapes: of the inputs.
        small: for each result buffer, memory that is kept, and copied from; of a large one a stand-in.
        large: place, shape and dtype of the large result buffers, which are made anew by each call.
        results: the shapes of the outputs.
        shared: whether the team has a use for a kernel.
    """

    arena: Array
    status: ctypes.c_int64
    table: ctypes.Array[ctypes.c_size_t]
    address: int
    held: list[Array | None]
    shapes: tuple[tuple[int, ...], ...]
    small: list[Array]
    large: list[tuple[int, tuple[int, ...], np.dtype[Any]]]
    results: tuple[tuple[int, ...], ...]
    shared: bool


class NativeExecutable:
    """A program as machine code. Several threads may call it at once: each has its own arena.

    An input without rows, such as a parameter, is checked when it is another array than in the call before.

    Attributes:
        program: what it computes.
        text: the LLVM text it was compiled from.
        team: the threads that share its large kernels.
    """

    def __init__(self, program: Program, module: Module, code: MachineCode, team: Team) -> None:
        self.program, self.text, self.code, self.team = program, module.text, code, team
        self._module = module
        self._function = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(code.address)
        self._local = threading.local()
        self._dtypes = [np.dtype(value.type.dtype) for value in program.inputs]
        self._names = [value.name for value in program.inputs]
        self._rows = [
            (value.name, axis, dim.scale)
            for value in program.inputs
            for axis, dim in enumerate(value.type.shape)
            if isinstance(dim, Batch)
        ]
        with_rows = {name for name, _, _ in self._rows}
        self._keeps = [name not in with_rows for name in self._names]

    def __call__(self, inputs: Arrays) -> dict[str, Array]:
        """Return the outputs by name, as new arrays; the inputs are left untouched.

        Raises:
            ShapeError: an input is missing, or has another shape or dtype than the program says.
            IndexError: an index of `take` or `scatter_add` is out of range.
        """
        n = self._batch_size(inputs)
        memory = self._memory(n)
        table, held = memory.table, memory.held
        given = []
        for place, name in enumerate(self._names):
            array = inputs.get(name)
            if array is None or array is not held[place]:
                array = self._give(place, inputs, memory, n)
            given.append(array)
        created = memory.small
        if memory.large:
            created = created.copy()
            for place, shape, dtype in memory.large:
                created[place] = array = np.empty(shape, dtype)
                table[len(given) + place] = address(array)
        memory.status.value = 0
        self._function(n, memory.address, self.team.start() if memory.shared else None)
        if memory.status.value:
            raise IndexError(f"{self.program.name}: an index of take or scatter_add is out of range")
        return self._results(given, created, memory.results)

    def _give(self, place: int, inputs: Arrays, memory: _Memory, n: int) -> Array:
        """Check an input, put its address into the table, and return the array that must live through the call."""
        array = self._checked(place, inputs, memory.shapes[place], n)
        memory.held[place] = None  # nothing is kept of the array before, even if the next line is the last
        memory.table[place] = address(array)
        if self._keeps[place]:
            # a copy, made of what is not contiguous or no array, would not follow what it was made of
            memory.held[place] = array if array is inputs[self._names[place]] else None
        return array

    def _results(
        self, given: list[Array], created: list[Array], shapes: tuple[tuple[int, ...], ...]
    ) -> dict[str, Array]:
        """Give out each result once as it is, and copies where it goes by a second name or is an input."""
        results: dict[str, Array] = {}
        used: set[int] = set()
        for (name, _, place), shape in zip(self._module.results, shapes, strict=True):
            array = created[place] if place >= 0 else given[-1 - place]
            if place < 0 or place in used or array.nbytes <= _SMALL:
                array = array.copy()
            used.add(place)
            results[name] = array if array.shape == shape else array.reshape(shape)
        return results

    def _batch_size(self, inputs: Arrays) -> int:
        for name, axis, scale in self._rows:
            if name in inputs:
                array = inputs[name]
                shape = array.shape if isinstance(array, np.ndarray) else np.shape(array)
                return int(shape[axis]) // scale if axis < len(shape) else 0
        return 0

    def _checked(self, place: int, inputs: Arrays, shape: tuple[int, ...], n: int) -> Array:
        value = self.program.inputs[place]
        if value.name not in inputs:
            raise ShapeError(f"the input {value.name} ({value.type}) is missing; received {', '.join(inputs)}")
        array = np.asarray(inputs[value.name])
        if array.dtype != self._dtypes[place] or array.shape != shape:
            received = f"{array.dtype}[{', '.join(map(str, array.shape))}]"
            raise ShapeError(f"the input {value.name} must be {value.type} with n = {n}, received {received}")
        # order "C" makes a 0-d array of a 0-d array, which ascontiguousarray does not
        return array if array.flags.c_contiguous else np.asarray(array, order="C")

    def _memory(self, n: int) -> _Memory:
        """Return this thread's memory for batches of n; planned on the first call, forgotten after other sizes."""
        cache: dict[int, _Memory] = self._local.__dict__.setdefault("memory", {})
        if n not in cache:
            if n == 0:
                check_empty_batch(self.program)
            if len(cache) == _SIZES:
                del cache[next(iter(cache))]
            cache[n] = self._new_memory(n)
        return cache[n]

    def _new_memory(self, n: int) -> _Memory:
        starts, size = plan(self._module.arena, n, self.team.threads)
        block, status = aligned(size), ctypes.c_int64()
        results = [(resolve_shape(type_.shape, n), np.dtype(type_.dtype)) for type_ in self._module.created]
        large = [
            (place, shape, dtype)
            for place, (shape, dtype) in enumerate(results)
            if math.prod(shape) * dtype.itemsize > _SMALL
        ]
        stand_in = {place for place, _, _ in large}
        small = [np.empty(0 if place in stand_in else shape, dtype) for place, (shape, dtype) in enumerate(results)]
        places = [0] * len(self._names) + [address(array) for array in small]
        places += [address(block) + start for start in starts] + [ctypes.addressof(status)]
        table = (ctypes.c_size_t * len(places))(*places)
        return _Memory(
            block,
            status,
            table,
            ctypes.addressof(table),
            [None] * len(self._names),
            tuple(resolve_shape(value.type.shape, n) for value in self.program.inputs),
            small,
            large,
            tuple(resolve_shape(type_.shape, n) for _, type_, _ in self._module.results),
            any(region.is_worth(n, self.team.threshold) for region in self._module.regions),
        )
