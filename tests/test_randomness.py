"""The order of an epoch: the shuffle by hand, its uniformity, and its limits. (Philox itself: tests/ops.)"""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from clearprop import randomness
from clearprop.errors import SettingsError
from clearprop.ops import PRIMITIVES
from clearprop.randomness import shuffle_key, shuffled

LEVEL = 1e-3
"""Of the tests of uniformity; the seeds are fixed, so they pass or fail for good."""


def test_by_hand(monkeypatch):
    """Half of the range of the words is 1/2: j = 0, 1, 1, 3 of i = 0, 1, 2, 3."""
    words = np.array([2**31, 2**31, 2**31, 2**32 - 1], np.uint32)
    monkeypatch.setattr(randomness, "philox", lambda key, epoch, stream, shape: words)
    # [0], [0, 1], [0, 2, 1], [0, 2, 1, 3]
    assert shuffled(4, np.zeros(2, np.uint32), 0).tolist() == [0, 2, 1, 3]


def test_the_words_are_those_of_random_bits():
    (philox,) = PRIMITIVES["random_bits"].helpers
    key, epoch, n = shuffle_key(3), 2**40 + 5, 11
    order: list[int] = []
    for i, word in enumerate(philox(key, epoch, 0, (n,)).tolist()):
        order.insert(i, i)
        j = word * (i + 1) // 2**32
        order[i], order[j] = order[j], order[i]
    assert shuffled(n, key, epoch).tolist() == order


def test_small_orders_are_equally_likely():
    """All 24 orders of 4 samples, over epochs of one seed and over seeds of one epoch."""
    for draws in (
        [shuffled(4, shuffle_key(1), epoch) for epoch in range(4800)],
        [shuffled(4, shuffle_key(seed), 0) for seed in range(4800)],
    ):
        counts = Counter(tuple(order.tolist()) for order in draws)
        assert set(counts) == set(itertools.permutations(range(4)))
        assert stats.chisquare(list(counts.values())).pvalue > LEVEL


def test_every_place_is_equally_likely_for_every_sample():
    n, epochs = 37, 3700
    counts = np.zeros((n, n))
    for epoch in range(epochs):
        counts[np.arange(n), shuffled(n, shuffle_key(0), epoch)] += 1
    statistic = ((counts - epochs / n) ** 2 / (epochs / n)).sum()
    assert LEVEL < stats.chi2((n - 1) ** 2).sf(statistic) < 1 - LEVEL


def test_neighbours_are_unrelated():
    order = shuffled(100_000, shuffle_key(0), 0)
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.01
    assert abs(np.corrcoef(order, np.arange(len(order)))[0, 1]) < 0.01


def test_limits():
    assert shuffled(0, shuffle_key(0), 0).tolist() == []
    assert shuffled(1, shuffle_key(0), 0).tolist() == [0]
    with pytest.raises(SettingsError, match=r"at most 4294967296 samples .* received 4294967297; give shuffle=False"):
        shuffled(2**32 + 1, shuffle_key(0), 0)
