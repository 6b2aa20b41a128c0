"""Splits and orders: what they are for given seeds, pinned, because a resumed run depends on them."""

import numpy as np
import pytest

from clearprop.data import batch_order, split
from clearprop.errors import DataError, SettingsError
from clearprop.randomness import shuffle_key, shuffled


def test_batch_order_is_the_shuffle_of_the_seed():
    assert batch_order(100, seed=7, epoch=3).tolist() == shuffled(100, shuffle_key(7), 3).tolist()
    with pytest.raises(SettingsError, match="seed is -1"):
        batch_order(3, seed=-1, epoch=0)


def test_batch_orders_differ():
    orders = {tuple(batch_order(20, seed=seed, epoch=epoch)) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


def test_proportions_are_kept():
    target = np.array(["a"] * 60 + ["b"] * 30 + ["c"] * 10)
    train, held = split(target, 0.2, seed=0)
    assert [int((target[held] == label).sum()) for label in "abc"] == [12, 6, 2]
    assert len(train) == 80


def test_largest_remainders():
    # 0.25 of 5 + 5 + 2 rows is 3: 1.25, 1.25, 0.5; after 1, 1, 0 the third remainder is the largest
    target = np.array(["a"] * 5 + ["b"] * 5 + ["c"] * 2)
    _, held = split(target, 0.25, seed=1)
    assert [int((target[held] == label).sum()) for label in "abc"] == [1, 1, 1]


def test_a_class_of_one_row_is_trained_on():
    target = np.array(["a"] * 9 + ["b"])
    for seed in range(20):
        assert 9 in split(target, 0.5, seed=seed)[0]


def test_xor():
    _, held = split(np.array([0, 1, 1, 0]), 0.25, seed=0)
    assert len(held) == 1


def test_regression_is_not_stratified():
    assert [len(part) for part in split(np.linspace(0, 1, 50), 0.3, seed=0)] == [35, 15]
    assert [len(part) for part in split(np.zeros((50, 2)), 0.3, seed=0)] == [35, 15]
    assert [len(part) for part in split(50, 0.3, seed=0)] == [35, 15]


def test_seeds():
    assert split(100, 0.2, seed=1)[1].tolist() == split(100, 0.2, seed=1)[1].tolist()
    assert split(100, 0.2, seed=1)[1].tolist() != split(100, 0.2, seed=2)[1].tolist()


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 2, float("nan")])
def test_fractions_that_are_none(fraction):
    with pytest.raises(SettingsError, match="between 0 and 1"):
        split(10, fraction, seed=0)


def test_too_few_rows():
    with pytest.raises(DataError, match="at least 2"):
        split(1, 0.5, seed=0)
    with pytest.raises(SettingsError, match="labels"):
        split(10, 0.5, seed=0, stratify=True)
    with pytest.raises(SettingsError, match="seed"):
        split(10, 0.5, seed=-1)
