"""Do two backends agree? Values, dtypes, shapes, inputs untouched, and the same bits twice."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from clearprop.backends.protocol import Array, Backend, Executable
from clearprop.backends.reference import Reference
from clearprop.ir import Program, is_float
from clearprop.ops import OpDef, Operand, primitive
from clearprop.testing.sampling import draw_example, draw_inputs, example_program, has_batch

SIZES: tuple[int, ...] = (0, 1, 2, 3, 7, 16, 17, 31, 64, 65)
"""Batch sizes that find mistakes: empty, one, primes, full vectors of every width, and one more than that."""

FLOATS: tuple[str, ...] = ("float32", "float64")

ULPS = 16.0
"""How many units in the last place an element may differ by."""


def check_primitive(
    operation: str | OpDef,
    backend: Backend,
    oracle: Backend | None = None,
    sizes: Sequence[int] = SIZES,
    seed: int = 0,
    ulps: float = ULPS,
) -> int:
    """Compare two backends on every example of a primitive, in both float dtypes and for all batch sizes.

    Returns how many comparisons were made, so that a test can tell that there were any.

    Raises:
        AssertionError: the backends differ; the message lists every difference.
    """
    operation = primitive(operation) if isinstance(operation, str) else operation
    count = 0
    for example, dtype in itertools.product(operation.examples, FLOATS):
        program = example_program(operation, example, dtype)
        run, expect = backend.compile(program), (oracle or Reference()).compile(program)
        for n in sizes if has_batch(program) else (1,):
            arrays = draw_example(example, np.random.default_rng([seed, n]), n, dtype)
            inputs = dict(zip(program.input_names, arrays, strict=True))
            count += _compare(run, expect, inputs, n, ulps, tight=operation.elementwise)
    return count


def check_program(
    program: Program,
    backend: Backend,
    oracle: Backend | None = None,
    sizes: Sequence[int] = SIZES,
    operands: Mapping[str, Operand] | None = None,
    seed: int = 0,
    ulps: float = 16 * ULPS,
) -> int:
    """Compare two backends on a program with random inputs, for all batch sizes.

    Args:
        program: what to run.
        backend: the backend on trial.
        oracle: the backend that is right (the reference, when None).
        sizes: the batch sizes, if the program has a batch.
        operands: where to draw inputs from, by name; others lie in -2..2, integers in 0..2.
        seed: of the inputs.
        ulps: how many units in the last place of an output's largest element an element may differ by.

    Returns how many comparisons were made.

    Raises:
        AssertionError: the backends differ.
    """
    run, expect = backend.compile(program), (oracle or Reference()).compile(program)
    count = 0
    for n in sizes if has_batch(program) else (1,):
        inputs = draw_inputs(program, np.random.default_rng([seed, n]), n, operands)
        count += _compare(run, expect, inputs, n, ulps)
    return count


def check_special_values(
    operation: str | OpDef, backend: Backend, oracle: Backend | None = None, ulps: float = ULPS
) -> int:
    """Compare two backends on an elementwise primitive at NaN, infinities, signed zeros and extreme numbers.

    Every combination of special values is tried. A conversion of floats to integers is left out, because it
    has no meaning there. Returns how many comparisons were made.
    """
    operation = primitive(operation) if isinstance(operation, str) else operation
    count = 0
    for example, dtype in itertools.product(operation.examples, FLOATS):
        program = example_program(operation, example, dtype)
        floats = [is_float(value.type) for value in program.inputs]
        if not operation.elementwise or not any(floats) or not program.inputs[0].type.rank:
            continue
        if not has_batch(program) or (operation.name == "astype" and not is_float(program.outputs[0][1].type)):
            continue
        combinations = list(itertools.product(*(_special(dtype) if f else (False, True) for f in floats)))
        n = len(combinations)
        inputs = {}
        for value, column in zip(program.inputs, zip(*combinations, strict=True), strict=True):
            rest = (1,) * (value.type.rank - 1)
            column_array = np.asarray(column, value.type.dtype).reshape(n, *rest)
            inputs[value.name] = np.array(np.broadcast_to(column_array, (n, *map(int, value.type.shape[1:]))))  # type: ignore[arg-type]
        run, expect = backend.compile(program), (oracle or Reference()).compile(program)
        count += _compare(run, expect, inputs, n, ulps, tight=True)
    return count


def _special(dtype: str) -> tuple[float, ...]:
    info = np.finfo(dtype)
    tiny = float(info.tiny)
    ends = (0.0, float(info.smallest_subnormal), 0.5 * tiny, tiny, float(info.max), np.inf)
    middle = (0.5, 1.0, 1.5, 2.0, 3.0, 20.0, 90.0, 100.0, 710.0, 750.0)
    return (*ends, *middle, *(-number for number in ends + middle), np.nan)


def check_agreement(
    backend: Backend, program: Program, inputs: Mapping[str, Array], n: int, ulps: float = 16 * ULPS
) -> None:
    """Compare a backend with the reference on given inputs; `AssertionError` if they differ."""
    _compare(backend.compile(program), Reference().compile(program), inputs, n, ulps)


def _compare(
    run: Executable, expect: Executable, inputs: Mapping[str, Array], n: int, ulps: float, tight: bool = False
) -> int:
    """Compare one call, repeated, and with arrays laid out in strides; return how many were compared."""
    try:
        expected = expect(inputs)
    except ValueError:
        if n == 0:
            return 0  # the largest element of nothing: there is no result to compare with
        raise
    problems: list[str] = []
    before = {name: np.array(array) for name, array in inputs.items()}
    received = run(inputs)
    problems += _differences(received, expected, ulps, tight)
    if not all(isinstance(array, np.ndarray) for array in received.values()):
        raise AssertionError(f"{run.program.name}, n = {n}: {'; '.join(problems)}")
    problems += [f"the input {name} was changed" for name in inputs if not _same(before[name], inputs[name])]
    problems += [
        f"the output {out} shares memory with the input {name}"
        for out, name in itertools.product(received, inputs)
        if np.shares_memory(received[out], inputs[name])
    ]
    again = run(inputs)
    problems += [f"{name} is not the same bits again" for name in again if not _same(again[name], received[name])]
    strided = run({name: _strided(array) for name, array in inputs.items()})
    problems += [f"from strided inputs, {wrong}" for wrong in _differences(strided, expected, ulps, tight)]
    if problems:
        types = ", ".join(map(repr, run.program.inputs))
        raise AssertionError(f"{run.program.name}({types}), n = {n}: " + "; ".join(problems))
    return 1


def _differences(received: Mapping[str, Array], expected: Mapping[str, Array], ulps: float, tight: bool) -> list[str]:
    if list(received) != list(expected):
        return [f"the outputs are {', '.join(received)}; expected {', '.join(expected)}"]
    problems = []
    for name, right in expected.items():
        got = received[name]
        if not isinstance(got, np.ndarray) or got.dtype != right.dtype or got.shape != right.shape:
            form = f"{got.dtype}{got.shape}" if isinstance(got, np.ndarray) else type(got).__name__
            problems.append(f"{name} is {form}; expected {right.dtype}{right.shape}")
        elif wrong := _first_wrong(got, right, ulps, tight):
            problems.append(f"{name}{wrong}")
    return problems


def _first_wrong(got: Array, right: Array, ulps: float, tight: bool) -> str:
    if right.dtype.kind != "f":
        wrong = got != right
    else:
        finite = np.isfinite(right)
        epsilon = np.finfo(right.dtype).eps
        with np.errstate(all="ignore"):
            scale = np.abs(right)
            if not tight:
                scale = np.full(right.shape, np.max(scale, where=finite, initial=0.0), right.dtype)
            allowed = ulps * np.maximum(epsilon * scale, np.finfo(right.dtype).smallest_subnormal)
            near = np.abs(got - right) <= allowed
        wrong = np.where(finite, ~near, (got != right) & ~(np.isnan(got) & np.isnan(right)))
        if tight:
            wrong |= (right == 0) & (np.signbit(got) != np.signbit(right)) & ~np.isnan(got)
    if not np.any(wrong):
        return ""
    place: Any = tuple(int(i[0]) for i in np.nonzero(wrong)) if wrong.ndim else ()
    where = f"[{', '.join(map(str, place))}]"
    return f"{where} is {got[place]!r}; expected {right[place]!r} ({int(np.sum(wrong))} of {right.size} differ)"


def _same(first: Array, second: Array) -> bool:
    return first.dtype == second.dtype and first.shape == second.shape and first.tobytes() == second.tobytes()


def _strided(array: Array) -> Array:
    """Return the same values, but not next to each other in memory."""
    wide = np.zeros((*array.shape, 2), array.dtype)
    wide[..., 0] = array
    return wide[..., 0]
