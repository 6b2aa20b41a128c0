"""The time of whole fits: scikit-learn's perceptrons over ours, which train the same.

    python bench/fits.py              the table: digits, and the data of scikit-learn's own examples
    python bench/fits.py --quick      few epochs: a pass for continuous integration
    python bench/fits.py --fits 1000  that many fits in one process, and what they add to its memory

Fits of both sides take turns in one process, on one thread. The first fit, which compiles, is given apart; a program
that an earlier process compiled comes from the disk.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn import neural_network
from sklearn.datasets import load_digits, load_iris, make_circles, make_classification, make_moons, make_regression
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from threadpoolctl import threadpool_limits

import clearprop as cp

Data = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


def scaled(data: Data, scaler: Any = StandardScaler) -> Data:
    return scaler().fit_transform(data[0]), data[1]


def digits(dtype: type = np.float64) -> Data:
    X, y = scaled(load_digits(return_X_y=True))
    return X.astype(dtype), y


CASES: dict[str, tuple[str, Callable[[], Data], dict[str, Any]]] = {
    "digits, 100": ("MLPClassifier", digits, {}),
    "digits, 64-32": ("MLPClassifier", digits, {"hidden_layer_sizes": (64, 32)}),
    "digits, 100, batch 32": ("MLPClassifier", digits, {"batch_size": 32}),
    "digits, 64-32, batch 32": ("MLPClassifier", digits, {"hidden_layer_sizes": (64, 32), "batch_size": 32}),
    "digits, 100, float32": ("MLPClassifier", lambda: digits(np.float32), {}),
    "digits, 64-32, float32": ("MLPClassifier", lambda: digits(np.float32), {"hidden_layer_sizes": (64, 32)}),
    "digits, 100, sgd": ("MLPClassifier", digits, {"solver": "sgd", "learning_rate_init": 0.1}),
    "digits, 100, lbfgs": ("MLPClassifier", digits, {"solver": "lbfgs"}),
    "training curves: iris": (
        "MLPClassifier",
        lambda: scaled(load_iris(return_X_y=True), MinMaxScaler),
        {"solver": "sgd", "learning_rate_init": 0.2},
    ),
    "training curves: circles": (
        "MLPClassifier",
        lambda: scaled(make_circles(noise=0.2, factor=0.5, random_state=1), MinMaxScaler),
        {"learning_rate_init": 0.01},
    ),
    "varying alpha: moons, 100-100": (
        "MLPClassifier",
        lambda: scaled(make_moons(noise=0.3, random_state=0)),
        {"solver": "lbfgs", "hidden_layer_sizes": (100, 100), "alpha": 0.1},
    ),
    "docstring: classification": ("MLPClassifier", lambda: make_classification(random_state=1), {"max_iter": 300}),
    "docstring: regression": (
        "MLPRegressor",
        lambda: make_regression(n_samples=200, n_features=20, random_state=1),
        {"max_iter": 2000, "tol": 0.1},
    ),
}
"""The table's rows: the class, its data, its settings beside the defaults."""


def seconds(fit: Callable[[], Any]) -> float:
    started = time.perf_counter()
    fit()
    return time.perf_counter() - started


def measure(name: str, repeats: int, epochs: int | None) -> str:
    """Return a row of the table: the fastest of several fits, by turns."""
    kind, make, settings = CASES[name]
    X, y = make()
    settings = settings | {"random_state": 0} | ({} if epochs is None else {"max_iter": epochs})
    theirs, ours = (getattr(module, kind)(**settings) for module in (neural_network, cp))
    first = seconds(lambda: ours.fit(X, y))
    pairs = [(seconds(lambda: theirs.fit(X, y)), seconds(lambda: ours.fit(X, y))) for _ in range(repeats)]
    before, now = (min(times) for times in zip(*pairs, strict=True))
    gap = abs(float(theirs.loss_) - float(ours.loss_))
    return f"| {name} | {1e3 * first:.0f} | {1e3 * before:.1f} | {1e3 * now:.1f} | {before / now:.1f} | {gap:.0e} |"


def memory() -> float:
    """Return the most MiB that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def many(fits: int) -> tuple[float, float]:
    """Run fits of networks of 40 shapes in turn; return the MiB after the first tenth and at the end."""
    X, y = scaled(load_iris(return_X_y=True))
    early = memory()
    for number in range(fits):
        cp.MLPClassifier(5 + number % 40, max_iter=3, random_state=number).fit(X, y).predict(X)
        if number == fits // 10:
            early = memory()
    return early, memory()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--fits", type=int)
    given = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    if given.fits:
        early, late = many(given.fits)
        print(f"{given.fits} fits: {early:.1f} MiB after a tenth, {late:.1f} MiB at the end")
        return
    os.environ["CLEARPROP_THREADS"] = "1"
    threadpool_limits(1)
    print("| fit | first, ms | scikit-learn, ms | clearprop, ms | times faster | losses differ by |")
    print("|---|---:|---:|---:|---:|---:|")
    for name in CASES:
        print(measure(name, 1 if given.quick else 5, 2 if given.quick else None), flush=True)


if __name__ == "__main__":
    main()
