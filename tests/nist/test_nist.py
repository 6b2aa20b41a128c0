"""NIST's certified regressions, to 6 digits and more, from the second start."""

from __future__ import annotations

import numpy as np
import pytest
from nist_models import FORMULAS, PROBLEMS, Curve, data, digits, solve

from clearprop.model import Model


def test_all_problems_are_there():
    assert set(PROBLEMS) == set(FORMULAS)
    assert len(PROBLEMS) == 27


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_formula_is_the_certified_one(name):
    """At the certified parameters its residual sum of squares is the certified one."""
    model = Model(Curve(FORMULAS[name], tuple(PROBLEMS[name]["certified"])), dtype="float64")
    x, y = data(name)
    model.init(x.shape[1:])
    squares = float(np.sum((model.predict(x) - y) ** 2))
    assert squares == pytest.approx(PROBLEMS[name]["certified_rss"], rel=1e-6, abs=1e-18)


@pytest.mark.parametrize("name", PROBLEMS)
def test_levenberg_marquardt(name):
    model, history = solve(name)
    assert history.reason == "converged"
    assert digits(name, model) >= 6


@pytest.mark.parametrize("name", ["Misra1a", "Rat43", "Thurber"])
def test_on_the_native_backend(name):
    model, _ = solve(name, backend="native")
    assert digits(name, model) >= 6
