"""Many fits in one process do not make it grow; `python bench/fits.py --fits 1000` prints the figures of many more."""

import gc
import tracemalloc
import weakref

import numpy as np
import pytest

import clearprop as cp

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).normal(size=(300, 20))
Y = X[:, 0] > 0
MADE = [
    lambda seed: cp.MLPClassifier(16, max_iter=2, random_state=seed),
    lambda seed: cp.MLPClassifier(16, max_iter=2, solver="lbfgs", random_state=seed),
    lambda seed: cp.NeuralClassifier(width=16, epochs=2, random_state=seed),
]


@pytest.mark.parametrize("make", MADE, ids=["adam", "lbfgs", "neural"])
def test_memory_does_not_grow(make):
    def fits(first, count):
        for number in range(first, first + count):
            rows = 200 + number % 50  # other numbers of rows need other memory
            make(number).fit(X[:rows], Y[:rows]).predict(X[:rows])
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = fits(0, 10)
        after = fits(10, 15)
    finally:
        tracemalloc.stop()
    one_copy_of_the_data = X.nbytes
    assert after - before < 5 * one_copy_of_the_data


@pytest.mark.parametrize("make", MADE, ids=["adam", "lbfgs", "neural"])
def test_nothing_holds_an_estimator_that_nobody_needs(make):
    estimator = make(0).fit(X, Y)
    gone = weakref.ref(estimator)
    del estimator
    gc.collect()
    assert gone() is None
