"""Initialisers: moments, bounds, and streams that do not depend on their siblings."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
import scipy.stats

from clearprop import nn
from clearprop.randomness import Key

FAN_IN, FAN_OUT = 300, 200
SHAPE = (FAN_IN, FAN_OUT)
ROOT3 = math.sqrt(3.0)

CASES = {
    nn.Zeros(): (0.0, None),
    nn.Uniform(): (0.05 / ROOT3, "uniform"),
    nn.Uniform(2.0): (2.0 / ROOT3, "uniform"),
    nn.Normal(): (0.05, "normal"),
    nn.Normal(3.0): (3.0, "normal"),
    nn.Xavier(): (math.sqrt(2 / 500), "uniform"),
    nn.Xavier("normal", gain=5 / 3): (5 / 3 * math.sqrt(2 / 500), "normal"),
    nn.Kaiming(): (math.sqrt(2 / 300), "normal"),
    nn.Kaiming("uniform", mode="fan_out"): (math.sqrt(2 / 200), "uniform"),
    nn.Kaiming(gain=1.0): (math.sqrt(1 / 300), "normal"),
}
KINDS = [
    thing
    for name in nn.__all__
    if inspect.isclass(thing := getattr(nn, name))
    and issubclass(thing, nn.Initializer)
    and not inspect.isabstract(thing)
]


def test_every_initializer_has_a_case():
    assert set(KINDS) == {type(case) for case in CASES} == set(nn.INITIALIZERS.values())


@pytest.mark.parametrize("name", nn.INITIALIZERS)
def test_names(name):
    assert nn.initializer(name) == nn.INITIALIZERS[name]()


@pytest.mark.parametrize("initializer", CASES, ids=str)
def test_moments_and_bounds(initializer):
    std, distribution = CASES[initializer]
    values = initializer(Key(0).child("W"), SHAPE, FAN_IN, FAN_OUT)
    assert values.shape == SHAPE
    assert values.dtype == np.float64
    if distribution is None:
        assert not values.any()
        return
    law = scipy.stats.norm(0, std) if distribution == "normal" else scipy.stats.uniform(-std * ROOT3, 2 * std * ROOT3)
    assert scipy.stats.kstest(values.ravel(), law.cdf).pvalue > 1e-3
    assert abs(values.std() / std - 1) < 0.02
    if distribution == "uniform":
        assert np.abs(values).max() <= std * ROOT3


@pytest.mark.parametrize("initializer", [case for case in CASES if case != nn.Zeros()], ids=str)
def test_a_key_decides_the_numbers(initializer):
    def draw(key: Key) -> np.ndarray:
        return initializer(key, (5, 4), 5, 4)

    np.testing.assert_array_equal(draw(Key(1).child("W")), draw(Key(1).child("W")))
    assert (draw(Key(1).child("W")) != draw(Key(2).child("W"))).all()
    assert (draw(Key(1).child("W")) != draw(Key(1).child("b"))).all()


def test_a_layer_does_not_depend_on_its_siblings():
    short = nn.Sequential(nn.Dense(3, name="first"), nn.Dense(2, name="last")).init(Key(0), (4,))
    long = nn.Sequential(
        nn.Parallel(nn.Dense(7), nn.Identity()), nn.Flatten(), nn.Dense(3, name="middle"), nn.Dense(2, name="last")
    ).init(Key(0), (4,))
    np.testing.assert_array_equal(short["last.W"], long["last.W"])


def test_equal_layers_start_differently():
    params = nn.Sequential(nn.Dense(4), nn.Dense(4), nn.Sequential(nn.Dense(4))).init(Key(0), (4,))
    a, b, c = (params[name] for name in ("dense1.W", "dense2.W", "sequential1.dense1.W"))
    assert (a != b).all()
    assert (a != c).all()


def test_zero_fans_do_not_divide_by_zero():
    assert nn.Kaiming()(Key(0), (0, 3), 0, 3).shape == (0, 3)
    assert nn.Xavier()(Key(0), (0, 0), 0, 0).shape == (0, 0)
