"""Dropout: the masks' statistics, and what they are a function of."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from clearprop import nn
from clearprop.randomness import Key

ONES = np.ones((400, 250))


def philox_uniform(seed: int, step: int, stream: int, count: int) -> np.ndarray:
    """The draws a mask is made of, by NumPy's own Philox bit generator of 32-bit words.

    NumPy's Philox is the 4x64 one, so the 4x32 rounds are written out here with Python's integers.
    """
    k0, k1 = (int(word) for word in Key(seed).words())
    draws = []
    for block in range(-(-count // 4)):
        c = [block, stream, step & 0xFFFFFFFF, step >> 32]
        a, b = k0, k1
        for _ in range(10):
            p0, p1 = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
            c = [(p1 >> 32) ^ c[1] ^ a, p1 & 0xFFFFFFFF, (p0 >> 32) ^ c[3] ^ b, p0 & 0xFFFFFFFF]
            a, b = (a + 0x9E3779B9) & 0xFFFFFFFF, (b + 0xBB67AE85) & 0xFFFFFFFF
        draws += c
    return np.array([bits >> 8 for bits in draws[:count]]) * 2.0**-24


def dropped(apply, x=ONES, rate=0.3, step=0, seed=0):
    return apply(nn.Dropout(rate), x, training=True, step=step, seed=seed).outputs()["result"]


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
def test_kept_values_are_scaled_and_the_rest_is_zero(apply, rate):
    result = dropped(apply, rate=rate)
    np.testing.assert_allclose(np.unique(result), [1.0] if rate == 0 else [0.0, 1 / (1 - rate)], rtol=1e-15)
    count = int((result == 0).sum())
    if rate:
        assert scipy.stats.binomtest(count, ONES.size, rate).pvalue > 1e-3
    assert abs(result.mean() - 1) < 0.02 + 0.02 * rate


@pytest.mark.parametrize("axis", [0, 1])
def test_rows_and_columns_are_dropped_alike(apply, axis):
    zeros = (dropped(apply) == 0).sum(axis=axis)
    n = ONES.shape[axis]
    statistic = ((zeros - 0.3 * n) ** 2 / (n * 0.3 * 0.7)).sum()
    assert 1e-3 < scipy.stats.chi2.cdf(statistic, len(zeros)) < 1 - 1e-3


def test_neighbours_are_independent(apply):
    mask = (dropped(apply) == 0).astype(float).ravel()
    for lag in (1, 2, 3, 4, 250):
        assert abs(np.corrcoef(mask[:-lag], mask[lag:])[0, 1]) < 4 / np.sqrt(mask.size)


@pytest.mark.parametrize("step", [0, 1, 7, 2**32, 2**40 + 3])
def test_the_mask_is_philox_of_key_step_and_stream(apply, step):
    expected = (philox_uniform(5, step, 1, 21) >= np.float32(0.3)).reshape(7, 3)
    result = dropped(apply, np.ones((7, 3)), step=step, seed=5)
    np.testing.assert_array_equal(result != 0, expected)


def test_masks_are_equal_in_float32_and_float64(apply):
    wide, narrow = dropped(apply), dropped(apply, ONES.astype(np.float32))
    assert narrow.dtype == np.float32
    np.testing.assert_array_equal(wide != 0, narrow != 0)


def test_a_mask_is_new_at_every_step_and_the_same_when_asked_again(apply):
    first, again, second = dropped(apply, step=3), dropped(apply, step=3), dropped(apply, step=4)
    np.testing.assert_array_equal(first, again)
    agreement = ((first == 0) == (second == 0)).mean()
    assert abs(agreement - (0.3**2 + 0.7**2)) < 0.01
    assert (dropped(apply, seed=1) != first).any()


def test_two_dropouts_of_a_network_have_streams_of_their_own(apply):
    network = nn.Parallel(nn.Dropout(0.5), nn.Dropout(0.5))
    result = apply(network, ONES, training=True).outputs()["result"]
    left, right = np.split(result == 0, 2, axis=1)
    assert abs((left == right).mean() - 0.5) < 0.01
    np.testing.assert_array_equal(left[:2, :3].ravel()[:3], (philox_uniform(0, 0, 1, 3) < 0.5))
    np.testing.assert_array_equal(right[:2, :3].ravel()[:3], (philox_uniform(0, 0, 2, 3) < 0.5))


def test_inference_is_the_identity_and_draws_nothing(apply):
    applied = apply(nn.Dropout(0.5), ONES)
    np.testing.assert_array_equal(applied.outputs()["result"], ONES)
    assert not applied.context.random
    assert not applied.context.hyper


def test_the_rate_is_given_when_the_program_runs(apply):
    layer = nn.Sequential(nn.Dropout(0.5, name="drop"))
    applied = apply(layer, ONES, training=True)
    assert applied.context.hyper == {"drop.rate": 0.5}
    result = applied.outputs(**{"drop.rate": np.asarray(0.1)})["result"]
    assert abs((result == 0).mean() - 0.1) < 0.01


def test_the_gradient_passes_through_the_mask(apply):
    x = np.random.default_rng(0).normal(size=(30, 20))
    applied = apply(nn.Dropout(0.4), x, training=True, step=9)
    weights = np.random.default_rng(1).normal(size=x.shape)
    mask = applied.outputs(x=np.ones_like(x))["result"]
    np.testing.assert_allclose(applied.gradients(weights, "x")["x"], weights * mask, rtol=1e-15)
