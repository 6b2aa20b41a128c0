"""How many samples are evaluated at a time, and that the figures do not depend on it."""

from __future__ import annotations

import numpy as np

import clearprop as cp
from clearprop.train import fit, slices_at_once


def model_of_images() -> cp.Model:
    model = cp.Model([cp.nn.Conv2D(8, 3, "relu", padding="same"), cp.Flatten(), cp.Dense(3)], "cross_entropy")
    model.init((16, 16))
    return model


def test_rows_follow_the_largest_value():
    samples = model_of_images().samples(np.zeros((4, 16, 16), np.float32), np.zeros(4, np.int64))
    program = model_of_images().compiled_evaluation(samples).program
    assert slices_at_once(program, 10_000)[0].stop == 4096
    wide = cp.Model([cp.Dense(1 << 20), cp.Dense(1)])
    wide.init((1,))
    program = wide.compiled_evaluation(wide.samples(np.zeros((4, 1)), np.zeros((4, 1)))).program
    assert slices_at_once(program, 10_000)[0].stop == (1 << 24) >> 20


def test_figures_do_not_depend_on_the_parts(monkeypatch):
    rng = np.random.default_rng(0)
    x, y = rng.random((50, 16, 16), np.float32), rng.integers(0, 3, 50)
    model = model_of_images()
    whole, prediction = model.evaluate(x, y, ["accuracy"]), model.predict(x)
    monkeypatch.setattr(fit, "_MOST_NUMBERS", 7 * 8 * 16 * 16)
    assert model.evaluate(x, y, ["accuracy"]) == whole
    np.testing.assert_array_equal(model.predict(x), prediction)
