"""Philox 4x32-10 against Random123's known answers and NumPy's generator; uniform numbers from it."""

from __future__ import annotations

import numpy as np
import pytest

from clearprop import ops
from clearprop.backends.reference import Reference
from clearprop.ir import Batch, Program, Type
from clearprop.ops import PRIMITIVES

KEY, STEP = Type("uint32", (2,)), Type("int64")

KNOWN_ANSWERS = [  # Random123, tests/kat_vectors, philox4x32 with 10 rounds
    ([0] * 4, [0] * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]


class StartAt:
    """Stands in for NumPy, so that the counter's block number starts elsewhere than at 0."""

    def __init__(self, block: int) -> None:
        self.block = block

    def __getattr__(self, name: str) -> object:
        return getattr(np, name)

    def arange(self, count: int, dtype: type) -> object:
        return np.arange(self.block, self.block + count, dtype=dtype)


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN_ANSWERS)
def test_known_answers(counter: list[int], key: list[int], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (philox,) = PRIMITIVES["random_bits"].helpers
    monkeypatch.setitem(philox.__globals__, "np", StartAt(counter[0]))
    step = counter[2] | counter[3] << 32
    signed = step - 2**64 if step >= 2**63 else step
    result = philox(np.array(key, np.uint32), np.array(signed, np.int64), counter[1], (4,))
    assert " ".join(f"{int(word):08x}" for word in result) == words


def bits_program(stream: int = 3) -> Program:
    return ops.trace(
        lambda key, step, rows: ops.random_bits(key, step, stream, (Batch(), 5)),
        {"key": KEY, "step": STEP, "rows": Type("float32", (Batch(),))},
    )


def bits(key: tuple[int, int], step: int, n: int, stream: int = 3) -> np.ndarray:
    inputs = {"key": np.array(key, np.uint32), "step": np.array(step, np.int64), "rows": np.zeros(n, np.float32)}
    return Reference().compile(bits_program(stream))(inputs)["result"]


def test_elements_are_words_of_consecutive_blocks() -> None:
    (philox,) = PRIMITIVES["random_bits"].helpers
    key, step = np.array([7, 9], np.uint32), np.array(5, np.int64)
    many = philox(key, step, 3, (4 * 6,))
    for count in (0, 1, 3, 4, 5, 23):
        np.testing.assert_array_equal(philox(key, step, 3, (count,)), many[:count])
    np.testing.assert_array_equal(philox(key, step, 3, (2, 3, 4)), many.reshape(2, 3, 4))
    assert philox(key, step, 3, ()).shape == ()


def test_a_row_does_not_depend_on_the_size_of_the_batch() -> None:
    np.testing.assert_array_equal(bits((1, 2), 4, 7)[:3], bits((1, 2), 4, 3))
    assert bits((1, 2), 4, 0).shape == (0, 5)


@pytest.mark.parametrize(
    "other",
    [((1, 2), 5, 3), ((1, 2), 4 + 2**32, 3), ((1, 2), 4, 2), ((2, 1), 4, 3), ((1, 3), 4, 3)],
    ids=["step", "step, upper half", "stream", "key 0", "key 1"],
)
def test_every_argument_changes_the_bits(other: tuple[tuple[int, int], int, int]) -> None:
    key, step, stream = other
    assert np.mean(bits((1, 2), 4, 20) == bits(key, step, 20, stream)) == 0


def uniform(dtype: str, step: int = 0) -> np.ndarray:
    program = ops.trace(lambda key, step: ops.uniform(key, step, 0, (100_000,), dtype), {"key": KEY, "step": STEP})
    inputs = {"key": np.array([2024, 7], np.uint32), "step": np.array(step, np.int64)}
    return Reference().compile(program)(inputs)["result"]


def test_uniform_is_uniform() -> None:
    x = uniform("float32")
    assert x.dtype == np.float32
    assert x.min() >= 0.0
    assert x.max() < 1.0
    deviation = np.sqrt(1 / 12 / x.size)
    assert abs(x.mean(dtype=float) - 0.5) < 4 * deviation
    assert abs(x.var(dtype=float) - 1 / 12) < 4 * np.sqrt(1 / 180 / x.size)
    counts = np.bincount((x * 64).astype(int), minlength=64)
    chi_square = float(np.sum((counts - x.size / 64) ** 2) / (x.size / 64))
    assert 25 < chi_square < 120  # 63 degrees of freedom: each tail holds less than 1e-5
    assert abs(np.corrcoef(x[:-1], x[1:])[0, 1]) < 4 / np.sqrt(x.size)


def test_uniform_is_the_upper_24_bits_in_both_dtypes() -> None:
    single, double = uniform("float32"), uniform("float64")
    np.testing.assert_array_equal(single.astype(np.float64), double)
    np.testing.assert_array_equal(double * 2**24, np.floor(double * 2**24))
    (philox,) = PRIMITIVES["random_bits"].helpers
    raw = philox(np.array([2024, 7], np.uint32), np.array(0, np.int64), 0, (100_000,))
    np.testing.assert_array_equal(double, (raw >> 8) / 2**24)


def test_steps_are_not_correlated() -> None:
    assert abs(np.corrcoef(uniform("float64", 0), uniform("float64", 1))[0, 1]) < 4 / np.sqrt(100_000)
