"""Programs whose every buffer lies at the edge of a page that nobody may touch: what reads or writes outside crashes.

As a script it tries all programs of these tests on the target that is its argument, with the buffers at either edge;
`--quick` leaves most of them out. The last line printed tells what was running.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import itertools
import math
import mmap
import sys
from collections.abc import Iterator, Mapping, Sequence
from unittest import mock

import numpy as np
from native_steps import CASES, programs

from clearprop import ops
from clearprop.backends.native import cuts, partition
from clearprop.backends.native.jit import compile_text
from clearprop.backends.native.module import Module, write_module, write_step_module
from clearprop.backends.native.shuffle import shuffle_code
from clearprop.backends.native.stepper import NativeStep
from clearprop.backends.native.targets import TARGETS, Target
from clearprop.backends.native.threads import Team
from clearprop.backends.protocol import Array
from clearprop.backends.reference import Reference
from clearprop.backends.stepping import Roles
from clearprop.errors import ShapeError
from clearprop.ir import Batch, Program, Type, Value, resolve_shape
from clearprop.ops import PRIMITIVES
from clearprop.testing import draw_example, draw_inputs, example_program

SIZES = (0, 1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 33, 64)
FEW = (1, 7, 33)
EDGES = (False, True)
"""Whether blocks end at a page's edge, or begin."""

N = Batch()
_NOTHING = 0x5A
_LIBRARY = ctypes.CDLL(None, use_errno=True)


class Guards:
    """Blocks of memory that end, or begin, where a page without any rights begins, or ends."""

    def __init__(self, at_end: bool) -> None:
        self.at_end = at_end
        self._maps: list[mmap.mmap] = []

    def place(self, size: int) -> int:
        """Return the address of a block of so many bytes; what it holds makes no sense."""
        page = mmap.PAGESIZE
        inside = max(-(-size // page), 1) * page
        block = mmap.mmap(-1, inside + 2 * page)
        self._maps.append(block)
        view = ctypes.c_char.from_buffer(block)
        first = ctypes.addressof(view)
        del view
        ctypes.memset(first + page, _NOTHING, inside)
        for edge in (first, first + page + inside):
            if _LIBRARY.mprotect(ctypes.c_void_p(edge), ctypes.c_size_t(page), 0):
                raise OSError(ctypes.get_errno(), "mprotect")
        return first + page + (inside - size if self.at_end else 0)

    def array(self, shape: Sequence[int], dtype: str) -> Array:
        """Return an array there."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        bytes_ = (ctypes.c_char * size).from_address(self.place(size))
        return np.frombuffer(bytes_, dtype).reshape(shape)

    def copy(self, array: Array) -> Array:
        """Return a copy there."""
        result = self.array(array.shape, array.dtype.name)
        result[...] = array
        return result

    def close(self) -> None:
        """Give the memory back."""
        for block in self._maps:
            block.close()


def table(guards: Guards, module: Module, inputs: Sequence[Array], n: int) -> tuple[list[int], list[Array], Array]:
    """Return the addresses of a module's buffers, the arrays of its results, and the status."""
    created = [guards.array(resolve_shape(type_.shape, n), type_.dtype) for type_ in module.created]
    arena = [guards.place(interval.at(n, 1)) for interval in module.arena]
    status = guards.copy(np.zeros(1, np.int64))
    return [*map(_address, (*inputs, *created)), *arena, _address(status)], created, status


def _address(array: Array) -> int:
    return int(array.ctypes.data)


def run_program(program: Program, target: Target, drawn: Mapping[int, Mapping[str, Array]]) -> None:
    """Run a program, for each batch size with the inputs drawn for it, and compare it with the reference."""
    module = write_module(program, target)
    code = compile_text(module.text, target)
    run = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(code.address)
    oracle = Reference().compile(program)
    for (n, given), at_end in itertools.product(drawn.items(), EDGES):
        try:
            expected = oracle(given)
        except (ShapeError, ValueError):
            continue  # the largest element of nothing
        guards = Guards(at_end)
        inputs = [guards.copy(given[name]) for name in program.input_names]
        addresses, created, status = table(guards, module, inputs, n)
        buffers = guards.copy(np.array(addresses, np.uintp))
        run(n, _address(buffers), None)
        assert not status[0]
        for name, _, place in module.results:
            got, right = created[place] if place >= 0 else inputs[-1 - place], expected[name]
            _compare(f"{program.name}, n = {n}: {name}", got.reshape(right.shape), right)
        for name, array in zip(program.input_names, inputs, strict=True):
            np.testing.assert_array_equal(array, given[name], err_msg=f"{program.name} changed {name}")
        guards.close()


def _compare(what: str, got: Array, right: Array) -> None:
    if right.dtype.kind != "f":
        np.testing.assert_array_equal(got, right, err_msg=what)
        return
    near = 1e-3 if right.dtype == np.float32 else 1e-9
    largest = np.max(np.abs(right), where=np.isfinite(right), initial=0.0)
    np.testing.assert_allclose(got, right, rtol=near, atol=near * float(largest), err_msg=what)


def run_step(program: Program, target: Target, given: Mapping[str, Array], batches: Sequence[int]) -> None:
    """Run two epochs of steps, the last batch smaller; the state has the bits that it has in ordinary memory."""
    module = write_step_module(program, Roles.of(program), target)
    step = NativeStep(program, module, compile_text(module.text, target), Team(1), shuffle_code(target))
    for batch in batches:
        run_epochs(step, given, batch)


def run_epochs(step: NativeStep, given: Mapping[str, Array], batch: int) -> None:
    """Run two epochs in batches of one size, in ordinary memory and at either edge."""
    usual = step.start(given, batch)
    expected = usual.run(0, 2 * usual.given.batches, {}, 0.0)
    assert not expected.diverged
    for at_end in EDGES:
        guards = Guards(at_end)

        def lay_out(types: Sequence[Type], n: int, guards: Guards = guards) -> tuple[Array, list[Array]]:
            return np.zeros(0), [guards.array(resolve_shape(type_.shape, n), type_.dtype) for type_ in types]

        def aligned(size: int, guards: Guards = guards) -> Array:
            return guards.array((size,), "uint8")

        with mock.patch.multiple("clearprop.backends.native.stepper", lay_out=lay_out, aligned=aligned):
            stepper = step.start({name: guards.copy(np.asarray(array)) for name, array in given.items()}, batch)
            assert stepper.run(0, 2 * stepper.given.batches, {}, 0.0) == expected
        for name, array in usual.state.items():
            np.testing.assert_array_equal(stepper.state[name], array, err_msg=f"{step.program.name}: {name}")
        del stepper
        guards.close()


def primitives(dtypes: Sequence[str]) -> Iterator[tuple[Program, dict[int, dict[str, Array]]]]:
    """Yield every example of every primitive, with inputs for every batch size."""
    for name, dtype in itertools.product(sorted(PRIMITIVES), dtypes):
        for example in PRIMITIVES[name].examples:
            program = example_program(PRIMITIVES[name], example, dtype)
            has_rows = any(isinstance(dim, Batch) for value in program.inputs for dim in value.type.shape)
            yield (
                program,
                {
                    n: dict(
                        zip(program.input_names, draw_example(example, np.random.default_rng(n), n, dtype), strict=True)
                    )
                    for n in (SIZES if has_rows else (0,))
                },
            )


def products(dtypes: Sequence[str]) -> Iterator[Program]:
    """Yield products of odd sizes, small and packed, of factors as they are and turned."""
    for (m, k, n), dtype in itertools.product(((N, 3, 5), (N, 33, 17), (130, N, 141), (131, 67, 203)), dtypes):
        for turned in range(4):
            a, b = turned & 1, turned >> 1
            types = {"x": Type(dtype, (k, m) if a else (m, k)), "y": Type(dtype, (n, k) if b else (k, n))}

            def product(x: ops.Tensor, y: ops.Tensor, a: int = a, b: int = b) -> ops.Tensor:
                return (ops.permute_dims(x) if a else x) @ (ops.permute_dims(y) if b else y)

            yield ops.trace(product, types, f"product{m}x{k}x{n}.{turned}")
    for dtype in dtypes:  # a narrow panel at the end of one product, and whole ones alone in the other
        types = {name: Type(dtype, shape) for name, shape in (("x", (N, 18)), ("v", (18, 100)), ("w", (100, 144)))}
        yield ops.trace(lambda x, v, w: (x @ v) @ w, types, "products")


def operand_ranges(program: Program, n: int) -> dict[str, Array]:
    """Draw the inputs of a step: second moments are positive, decays and rates in their ranges."""
    drawn = draw_inputs(program, np.random.default_rng(n), n)

    def fit(value: Value) -> Array:
        array = drawn[value.name]
        if not value.type.dtype.startswith("float"):
            return array
        if value.type.rank == 0:
            return np.asarray(0.01 if "rate" in value.name else 0.5 + 0.1 * np.abs(array), array.dtype)
        return np.abs(array) if value.name.endswith(".v") else np.asarray(0.25 * array, array.dtype)

    return {value.name: fit(value) for value in program.inputs}


def main(target_name: str, quick: bool) -> int:
    """Try everything; return how many programs ran."""
    faulthandler.enable()
    target = TARGETS[target_name]
    dtypes = ("float32",) if quick else ("float32", "float64")
    count = 0

    def told(name: str) -> None:
        nonlocal count
        count += 1
        print(name, flush=True)

    for program, drawn in primitives(dtypes):
        told(f"{program.name}({', '.join(map(repr, program.inputs))})")
        run_program(program, target, drawn)
    for program in products(dtypes):
        told(f"{program.name}({', '.join(map(repr, program.inputs))})")
        sizes = SIZES if any(isinstance(d, Batch) for v in program.inputs for d in v.type.shape) else (0,)
        run_program(program, target, {n: operand_ranges(program, n) for n in sizes})
    for case, dtype in itertools.product(("dropout", "images", "lstm") if quick else CASES, dtypes):
        few = quick and case != "dropout"
        for name, program in programs(case, dtype).items():
            for fine in (False, True)[: 2 - few]:
                with contextlib.ExitStack() as changed:
                    if fine:
                        changed.enter_context(mock.patch.multiple(partition, SMALL=0, CHUNK=64))
                        changed.enter_context(mock.patch.multiple(cuts, _SMALL=0, _LED_ROWS=8))
                    told(f"{case}, {name}, {dtype}, parts of {partition.CHUNK}")
                    run_program(program, target, {n: operand_ranges(program, n) for n in (FEW if few else SIZES)})
                    if name == "step":
                        run_step(program, target, operand_ranges(program, 70), (33,) if few else (1, 4, 16, 33))
    return count


if __name__ == "__main__":
    print(main(sys.argv[1], "--quick" in sys.argv), "programs")
