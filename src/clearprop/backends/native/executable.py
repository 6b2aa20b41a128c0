"""A compiled program as a Python callable: checks the inputs, makes the outputs, calls the machine code."""

from __future__ import annotations

import ctypes
import threading
from dataclasses import dataclass

import numpy as np

from clearprop.backends.native.arena import ALIGNMENT, plan
from clearprop.backends.native.jit import MachineCode
from clearprop.backends.native.module import Module
from clearprop.backends.native.threads import Team
from clearprop.backends.protocol import Array, Arrays
from clearprop.errors import ShapeError
from clearprop.ir import Batch, Program, resolve_shape
from clearprop.ops.reductions import check_empty_batch


@dataclass
class _Memory:
    """What one thread needs for one batch size: the arena, the table that the machine code reads, the shapes.

    `shared` says whether some kernel is large enough for the team.
    """

    arena: Array
    status: Array
    table: Array
    address: int
    shapes: tuple[tuple[int, ...], ...]
    created: tuple[tuple[tuple[int, ...], str], ...]
    results: tuple[tuple[int, ...], ...]
    shared: bool


class NativeExecutable:
    """A program as machine code. Several threads may call it at once: each has its own arena.

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

    def __call__(self, inputs: Arrays) -> dict[str, Array]:
        """Return the outputs by name, as new arrays; the inputs are left untouched.

        Raises:
            ShapeError: an input is missing, or has another shape or dtype than the program says.
            IndexError: an index of `take` or `scatter_add` is out of range.
        """
        n = self._batch_size(inputs)
        memory = self._memory(n)
        given = [self._checked(place, inputs, memory.shapes[place], n) for place in range(len(self._dtypes))]
        created = [np.empty(shape, dtype) for shape, dtype in memory.created]
        memory.table[: len(given) + len(created)] = [_address(array) for array in (*given, *created)]
        memory.status[0] = 0
        self._function(n, memory.address, self.team.start() if memory.shared else None)
        if memory.status[0]:
            raise IndexError(f"{self.program.name}: an index of take or scatter_add is out of range")
        return self._results(given, created, memory.results)

    def _results(
        self, given: list[Array], created: list[Array], shapes: tuple[tuple[int, ...], ...]
    ) -> dict[str, Array]:
        """Give out each result once as it is, and copies where it goes by a second name or is an input."""
        results: dict[str, Array] = {}
        used: set[int] = set()
        for (name, _, place), shape in zip(self._module.results, shapes, strict=True):
            array = created[place] if place >= 0 else given[-1 - place]
            if place < 0 or place in used:
                array = array.copy()
            used.add(place)
            results[name] = array if array.shape == shape else array.reshape(shape)
        return results

    def _batch_size(self, inputs: Arrays) -> int:
        for value in self.program.inputs:
            for axis, dim in enumerate(value.type.shape):
                if isinstance(dim, Batch) and value.name in inputs:
                    shape = np.shape(inputs[value.name])
                    return int(shape[axis]) // dim.scale if axis < len(shape) else 0
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
        """Return this thread's memory for batches of n; planned on the first call."""
        cache: dict[int, _Memory] = self._local.__dict__.setdefault("memory", {})
        if n not in cache:
            if n == 0:
                check_empty_batch(self.program)
            starts, size = plan(self._module.arena, n, self.team.threads)
            block = np.empty(size + ALIGNMENT, np.uint8)
            first = -_address(block) % ALIGNMENT + _address(block)
            status = np.zeros(1, np.int64)
            before = len(self.program.inputs) + len(self._module.created)
            table = np.zeros(before + len(starts) + 1, np.uintp)
            table[before:] = [*(first + start for start in starts), _address(status)]
            cache[n] = _Memory(
                block,
                status,
                table,
                _address(table),
                tuple(resolve_shape(value.type.shape, n) for value in self.program.inputs),
                tuple((resolve_shape(type_.shape, n), type_.dtype) for type_ in self._module.created),
                tuple(resolve_shape(type_.shape, n) for _, type_, _ in self._module.results),
                any(region.is_worth(n, self.team.threshold) for region in self._module.regions),
            )
        return cache[n]


def _address(array: Array) -> int:
    """Return where an array's elements lie; several times as fast as `array.ctypes.data`."""
    return int(array.__array_interface__["data"][0])
