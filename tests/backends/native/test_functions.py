"""How many units in the last place the vector functions are off, over dense random samples and special values."""

import math

import numpy as np
import pytest
from native_steps import TARGETS_HERE

from clearprop import ops
from clearprop.backends.native import Native
from clearprop.ir import Batch, Type

SAMPLES = 40_000
LIMIT = 2.0
RANGES = {
    "exp": [(-104, 89), (-1, 1), (-746, 710)],
    "expm1": [(-40, 89), (-1, 1), (-1e-3, 1e-3), (0, 710)],
    "log": [(0, 4), (0.9, 1.1), (0, 1e30), (0, 1e-40)],
    "log1p": [(-1, 4), (-1e-3, 1e-3), (0, 1e30), (-0.5, 0.5)],
    "tanh": [(-25, 25), (-1, 1), (-1e-3, 1e-3)],
    "sigmoid": [(-90, 90), (-1, 1), (-700, 700)],
    "erf": [(-6, 6), (-1e-3, 1e-3)],
    "sin": [(-10, 10), (-1e6, 1e6)],
    "cos": [(-10, 10), (-1e6, 1e6)],
    "arctan": [(-10, 10), (-1e10, 1e10)],
    "sqrt": [(0, 4), (0, 1e-40), (0, 1e30)],
}
_WIDE = np.longdouble
TRUE = {
    "sigmoid": lambda x: np.where(x >= 0, 1 / (1 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x)))),
    "erf": lambda x: np.vectorize(math.erf, otypes=[float])(x.astype(float)).astype(_WIDE),
}


def samples(name: str, dtype: str) -> np.ndarray:
    rng = np.random.default_rng(len(name))
    parts = [rng.uniform(low, high, SAMPLES // len(RANGES[name])) for low, high in RANGES[name]]
    x = np.concatenate(parts).astype(dtype)
    return x[np.isfinite(x)]


def ulps(got: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Distance in units in the last place of the true value; subnormal results have the smallest unit."""
    rounded = np.abs(true).astype(got.dtype)
    unit = np.where(np.isfinite(rounded), np.spacing(rounded), np.inf).astype(_WIDE)
    return np.where(np.isfinite(rounded), np.abs(got.astype(_WIDE) - true) / unit, np.where(np.isinf(got), 0, np.inf))


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", RANGES)
def test_within_two_ulps(name: str, dtype: str, target: str) -> None:
    run = Native(target).compile(ops.trace(getattr(ops, name), {"x": Type(dtype, (Batch(),))}))
    x = samples(name, dtype)
    got = run({"x": x})["result"]
    with np.errstate(all="ignore"):
        true = TRUE.get(name, getattr(np, name, None))(x.astype(_WIDE))
        off = ulps(got, np.asarray(true, _WIDE))
    worst = int(np.argmax(off))
    assert off[worst] <= LIMIT, f"{name}({x[worst]!r}) = {got[worst]!r}, expected {true[worst]!r}: {off[worst]} ulps"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", RANGES)
def test_special_values(name: str, dtype: str) -> None:
    info = np.finfo(dtype)
    ends = [0.0, info.smallest_subnormal, info.tiny, info.eps, 1.0, info.max, np.inf]
    x = np.array([*ends, *(-np.array(ends, dtype)), np.nan], dtype)
    run = Native().compile(ops.trace(getattr(ops, name), {"x": Type(dtype, (Batch(),))}))
    got = run({"x": x})["result"]
    with np.errstate(all="ignore"):
        true = TRUE.get(name, getattr(np, name, None))(x.astype(_WIDE)).astype(dtype)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(true))
    valid = ~np.isnan(true)
    np.testing.assert_array_equal(np.signbit(got[valid]), np.signbit(true[valid]))
    np.testing.assert_allclose(got[valid], true[valid], rtol=2 * info.eps, atol=0)
