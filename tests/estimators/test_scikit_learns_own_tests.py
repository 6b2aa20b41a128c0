"""scikit-learn's own tests of its perceptrons, from the installed package, with ours put in their place."""

import importlib.util
from types import ModuleType
from unittest import mock

import pytest
import sklearn.neural_network

import clearprop as cp

NOT_RUN: dict[str, str] = {}
"""Tests of private internals that ours does not have, each with the reason. So far there is none."""

pytestmark = pytest.mark.filterwarnings("default", "ignore::sklearn.exceptions.ConvergenceWarning")


def with_ours() -> ModuleType:
    """A fresh copy of scikit-learn's test module, which finds our classes where it looks for scikit-learn's."""
    spec = importlib.util.find_spec("sklearn.neural_network.tests.test_mlp")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    ours = {"MLPClassifier": cp.MLPClassifier, "MLPRegressor": cp.MLPRegressor}
    with mock.patch.multiple(sklearn.neural_network, **ours):
        spec.loader.exec_module(module)
    return module


THEIRS = with_ours()
TESTS = {name: test for name, test in vars(THEIRS).items() if name.startswith("test_") and name not in NOT_RUN}
globals().update(TESTS)


@pytest.fixture
def global_random_seed() -> int:
    """scikit-learn's fixture of this name, with its default."""
    return 42


def test_ours_stand_in_their_place():
    assert THEIRS.MLPClassifier is cp.MLPClassifier
    assert THEIRS.MLPRegressor is cp.MLPRegressor
    assert len(TESTS) >= 40
