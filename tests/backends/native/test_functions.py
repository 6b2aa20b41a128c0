"""How many units in the last place the vector functions are off, over dense random samples and special values."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from native_steps import TARGETS_HERE

from clearprop import ops
from clearprop.backends.native import Native
from clearprop.ir import Batch, Type

SAMPLES = 30_000
LIMIT = 2.0
RANGES = {
    "exp": [(-104, 89), (-1, 1), (-746, 710)],
    "expm1": [(-40, 89), (-1, 1), (-1e-3, 1e-3), (0, 710)],
    "log": [(0, 4), (0.9, 1.1), (0, 1e30), (0, 1e-40)],
    "log1p": [(-1, 4), (-1e-3, 1e-3), (0, 1e30), (-0.5, 0.5)],
    "tanh": [(-25, 25), (-1, 1), (-1e-3, 1e-3)],
    "sigmoid": [(-90, 90), (-1, 1), (-700, 700)],
    "erf": [(-6, 6), (-1.1, 1.1), (-1e-3, 1e-3)],
    "sin": [(-10, 10), (-1e6, 1e6), (-2e6, 2e6), (-1e-3, 1e-3)],
    "cos": [(-10, 10), (-1e6, 1e6), (-2e6, 2e6), (-1e-3, 1e-3)],
    "arctan": [(-10, 10), (-1, 1), (-1e10, 1e10), (-1e-3, 1e-3)],
    "sqrt": [(0, 4), (0, 1e-40), (0, 1e30)],
}
_WIDE = np.longdouble
_PI = _WIDE("3.14159265358979323846264338327950288")


def true_sigmoid(x: np.ndarray) -> np.ndarray:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def true_erf(x: np.ndarray) -> np.ndarray:
    """2 / sqrt(pi) e^(-x^2) (x + 2 x^3 / 3 + 4 x^5 / (3 5) + ...): the terms have one sign, so nothing cancels."""
    size = np.minimum(np.abs(x), _WIDE(7))
    term, total = size, np.zeros_like(size)
    for k in range(1, 200):
        total, term = total + term, term * (2 * size * size / (2 * k + 1))
    return np.copysign(2 / np.sqrt(_PI) * np.exp(-size * size) * total, x)


TRUE: dict[str, Callable[[np.ndarray], np.ndarray]] = {"sigmoid": true_sigmoid, "erf": true_erf}


def truth(name: str, *x: np.ndarray) -> np.ndarray:
    """The function in long double."""
    with np.errstate(all="ignore"):
        return np.asarray(TRUE.get(name, getattr(np, name, None))(*(item.astype(_WIDE) for item in x)), _WIDE)


def compiled(name: str, dtype: str, target: str) -> Callable[..., np.ndarray]:
    names = ("x", "y") if name == "power" else ("x",)
    program = ops.trace(getattr(ops, name), {item: Type(dtype, (Batch(),)) for item in names})
    executable = Native(target).compile(program)
    return lambda *arrays: executable(dict(zip(names, arrays, strict=True)))["result"]


def samples(name: str, dtype: str) -> np.ndarray:
    """Random numbers from the ranges, and random bits."""
    rng = np.random.default_rng(len(name))
    parts = [rng.uniform(low, high, SAMPLES // len(RANGES[name])) for low, high in RANGES[name]]
    bits = rng.integers(0, 2**32 if dtype == "float32" else 2**64 - 1, 8_000, np.uint64)
    whole = bits.astype(np.uint32).view(dtype) if dtype == "float32" else bits.view(dtype)
    with np.errstate(over="ignore"):
        x = np.concatenate([*(part.astype(dtype) for part in parts), whole])
    return x[np.isfinite(x)]


def ulps(got: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Distance in units in the last place of the true value; subnormal results have the smallest unit."""
    with np.errstate(all="ignore"):
        rounded = np.abs(true).astype(got.dtype)
        unit = np.where(np.isfinite(rounded), np.spacing(rounded), np.inf).astype(_WIDE)
        off = np.where(np.isfinite(rounded), np.abs(got.astype(_WIDE) - true) / unit, np.inf)
        same = (got == true.astype(got.dtype)) | (np.isnan(got) & np.isnan(true))
    return np.where(same, 0, off)


def check(name: str, run: Callable[..., np.ndarray], *x: np.ndarray) -> None:
    got, true = run(*x), truth(name, *x)
    off = ulps(got, true)
    worst = int(np.argmax(np.where(np.isnan(off), np.inf, off)))
    at = ", ".join(repr(item[worst]) for item in x)
    assert off[worst] <= LIMIT, f"{name}({at}) = {got[worst]!r}, expected {true[worst]!r}: {off[worst]} ulps"


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", RANGES)
def test_within_two_ulps(name: str, dtype: str, target: str) -> None:
    check(name, compiled(name, dtype, target), samples(name, dtype))


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["sin", "cos"])
def test_near_multiples_of_a_quarter_turn(name: str, dtype: str, target: str) -> None:
    """Where the result or its derivative vanishes, up to and beyond the bound from which on C's function answers."""
    quarters = np.unique(np.concatenate([np.arange(300), np.geomspace(300, 2**21, 2000).astype(int)]))
    x = (quarters * (_PI / 2)).astype(dtype)
    around = np.concatenate([x, np.nextafter(x, np.inf, dtype=dtype), np.nextafter(x, -np.inf, dtype=dtype)])
    far = np.array([1e22, 1e30, 1e300, 2.0**20, np.nextafter(2.0**20, 0)])
    check(name, compiled(name, dtype, target), np.concatenate([around, far[far < np.finfo(dtype).max].astype(dtype)]))


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_one_lane_far_away_leaves_the_others_right(name: str) -> None:
    x = np.linspace(-3, 3, 64)
    x[5::16] = 1e9
    check(name, compiled(name, "float64", ""), x)


def special(dtype: str) -> np.ndarray:
    info = np.finfo(dtype)
    ends = [0.0, info.smallest_subnormal, info.tiny, info.eps, 0.5, 1.0 - info.epsneg, 1.0, 1.0 + info.eps, info.max]
    edges = [math.log(float(info.max)), 103.97208, 745.13321, 87.33655, 708.3964, 4.0, 6.0, math.sqrt(2.0) - 1.0]
    x = np.array([*ends, *edges, np.inf], dtype)
    return np.concatenate([x, -x, np.array([np.nan], dtype)])


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", RANGES)
def test_special_values(name: str, dtype: str, target: str) -> None:
    x = special(dtype)
    got = compiled(name, dtype, target)(x)
    true = truth(name, x)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(true))
    valid = ~np.isnan(true)
    np.testing.assert_array_equal(np.signbit(got[valid]), np.signbit(true[valid]))
    assert ulps(got, true)[valid].max() <= LIMIT


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_power_within_two_ulps(dtype: str, target: str) -> None:
    """x everywhere and near 1, y such that x^y spans all of the numbers, and a little more."""
    rng = np.random.default_rng(1)
    info = np.finfo(dtype)
    top = math.log(float(info.max))
    parts = [rng.uniform(0, 4, SAMPLES), np.exp(rng.uniform(-top, top, SAMPLES))]
    parts += [1 + rng.normal(0, 1e-3, SAMPLES), rng.uniform(0, float(info.tiny), SAMPLES // 4)]
    x = np.concatenate(parts).astype(dtype)
    x = x[x > 0]
    with np.errstate(divide="ignore", over="ignore"):
        reach = np.minimum(1.05 * top / np.abs(np.log(x.astype(_WIDE))), _WIDE(info.max) / 2).astype(float)
    y = (rng.uniform(-1, 1, x.size) * reach).astype(dtype)
    run = compiled("power", dtype, target)
    check("power", run, x, y)
    check("power", run, x, np.full_like(x, 0.5))
    check("power", run, -x[:1000], np.round(y[:1000]))


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_power_of_special_values_is_numpys(dtype: str, target: str) -> None:
    numbers = [1.5, 2.0, 2.5, 3.0, 7.0, 1 / 3, 2.0**23 + 1, 2.0**24 + 1, 2.0**52 + 1, 2.0**53 + 2, 1e30]
    values = np.concatenate([special(dtype), np.array([*numbers, *(-number for number in numbers)], dtype)])
    x, y = (grid.ravel() for grid in np.meshgrid(values, values))
    got = compiled("power", dtype, target)(x, y)
    with np.errstate(all="ignore"):
        expected = np.power(x, y)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    valid = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(got[valid]), np.signbit(expected[valid]))
    assert ulps(got, expected.astype(_WIDE))[valid].max() <= LIMIT


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_power_of_single_numbers(dtype: str, target: str) -> None:
    program = ops.trace(ops.power, {"x": Type(dtype, ()), "y": Type(dtype, ())})
    run = Native(target).compile(program)
    for x, y in ((0.999, 1000.0), (-2.0, 3.0), (0.0, -1.0), (1.0, math.nan)):
        got = run({"x": np.asarray(x, dtype), "y": np.asarray(y, dtype)})["result"]
        with np.errstate(all="ignore"):
            np.testing.assert_allclose(
                got, np.power(np.asarray(x, dtype), np.asarray(y, dtype)), rtol=np.finfo(dtype).eps
            )
