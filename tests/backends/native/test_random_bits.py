"""Philox as the native backend writes it: Random123's known answers, and the reference's bits wherever a row starts."""

import ctypes

import numpy as np
import pytest
from native_steps import TARGETS_HERE

from clearprop import ops
from clearprop.backends.native import Native
from clearprop.backends.native.jit import compile_text
from clearprop.backends.native.random_bits import define_philox, philox_name
from clearprop.backends.native.targets import TARGETS
from clearprop.backends.reference import Reference
from clearprop.ir import Batch, Type

WEYL = (0x9E3779B9, 0xBB67AE85)
KNOWN_ANSWERS = [  # Random123, tests/kat_vectors, philox4x32 with 10 rounds: counter, key, words
    ([0] * 4, [0] * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]
INPUTS = {"key": np.array([0xDEADBEEF, 2**32 - 2], np.uint32), "step": np.array(-(2**40) - 5, np.int64)}
TYPES = {"key": Type("uint32", (2,)), "step": Type("int64", ())}


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize(("counter", "key", "words"), KNOWN_ANSWERS)
def test_known_answers(counter: list[int], key: list[int], words: str, target: str) -> None:
    blocks = TARGETS[target].vector_bytes // 8
    text, declares = define_philox(blocks)
    caller = (
        "define void @program(i64 %n, ptr %buffers) nounwind {\n"
        "  %words = load ptr, ptr %buffers\n"
        "  %place = getelementptr ptr, ptr %buffers, i64 1\n"
        "  %numbers = load ptr, ptr %place\n"
        f"  call void @{philox_name(blocks)}(ptr %words, ptr %numbers, i64 %n)\n  ret void\n}}\n"
    )
    code = compile_text(text + caller + "\n".join(declares), TARGETS[target])
    numbers = [*counter[1:], *(k + number * weyl for number in range(10) for k, weyl in zip(key, WEYL, strict=True))]
    given, got = np.array(numbers, np.int64), np.zeros(1024, np.uint32)
    start = -got.ctypes.data % 64 // 4
    table = np.array([got[start:].ctypes.data, given.ctypes.data], np.uintp)
    ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p)(code.address)(counter[0], table.ctypes.data)
    assert " ".join(f"{int(word):08x}" for word in got[start : start + 4]) == words


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("shape", [(), (1,), (3,), (4,), (129,), (1000,), (7, 3), (33, 17), (2, 3, 5), (0,)])
def test_the_bits_of_the_reference(shape: tuple[int, ...], target: str) -> None:
    program = ops.trace(lambda key, step: ops.random_bits(key, step, 7, shape), TYPES)
    expected = Reference().compile(program)(INPUTS)["result"]
    np.testing.assert_array_equal(Native(target).compile(program)(INPUTS)["result"], expected)


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("columns", [1, 2, 3, 5, 16, 17, 30, 64, 127, 130, 257])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_that_start_anywhere(columns: int, dtype: str, target: str) -> None:
    """A sum over each row keeps the rows apart, so that vectors start at positions that are no multiple of four."""

    def rows(key: ops.Tensor, step: ops.Tensor, weights: ops.Tensor, x: ops.Tensor) -> ops.Tensor:
        bits = ops.random_bits(key, step, 7, (Batch(), columns))
        other = ops.random_bits(key, step, 8, (Batch(), columns))
        low = ops.astype(bits, "int64") - ops.astype(other, "int64")
        return ops.sum(ops.astype(low, dtype) * 2.0**-31 * weights, axis=1) + x

    program = ops.trace(rows, {**TYPES, "weights": Type(dtype, (columns,)), "x": Type(dtype, (Batch(),))})
    rng = np.random.default_rng(columns)
    for n in (0, 1, 9):
        inputs = {**INPUTS, "weights": rng.uniform(1, 2, columns).astype(dtype), "x": np.zeros(n, dtype)}
        got, expected = (backend.compile(program)(inputs)["result"] for backend in (Native(target), Reference()))
        tolerance = 100 * np.finfo(dtype).eps * columns
        np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance)
