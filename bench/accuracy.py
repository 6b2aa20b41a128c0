"""Measure clearprop beside scikit-learn with the same network and settings, and write docs/results.md.

    python bench/accuracy.py                 every data set, three seeds; Fashion-MNIST if it is installed
    python bench/accuracy.py --quick         one seed, few epochs, nothing written: a pass for continuous integration

Both libraries get the same encoded arrays, layers, optimiser (Adam), batch size, epochs and penalty. Each pair of fits
runs one after the other in this process; scores are means over the seeds, times are medians.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

import clearprop as cp

REPORT = Path(__file__).parent.parent / "docs" / "results.md"
RATE = 0.001
BACKENDS = ("reference", "native")
PENALTY = 1e-4


@dataclass(frozen=True)
class Workload:
    """One data set and the network it is learnt with."""

    data: str
    hidden: tuple[int, ...]
    epochs: int
    batch_size: int = 32


WORKLOADS = (
    Workload("iris", (32,), 200),
    Workload("wine", (32,), 100),
    Workload("breast-cancer", (32,), 60),
    Workload("digits", (64,), 60),
    Workload("diabetes", (32,), 60),
    Workload("fashion-mnist", (256, 128), 10, 128),
)


@dataclass(frozen=True)
class Outcome:
    """The test score (accuracy or R2) and the seconds of a fit."""

    score: float
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one seed, two epochs, nothing written")
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds (default 3)")
    parser.add_argument("--data", nargs="*", help="only these data sets")
    options = parser.parse_args()
    rows = []
    for workload in WORKLOADS:
        if options.data and workload.data not in options.data:
            continue
        if options.quick:
            workload = Workload(workload.data, workload.hidden, 2, workload.batch_size)
        row = measure(workload, 1 if options.quick or workload.data == "fashion-mnist" else options.seeds)
        if row is not None:
            rows.append(row)
            print(row, flush=True)
    if not options.quick and not options.data:
        REPORT.write_text(report(rows))
        print(f"written to {REPORT.relative_to(Path.cwd()) if REPORT.is_relative_to(Path.cwd()) else REPORT}")


def measure(workload: Workload, seeds: int) -> str | None:
    """Fit both libraries with every seed; return a row of the table, or None where the data is not installed."""
    try:
        dataset = cp.data.load(workload.data)
    except cp.DataError as error:
        print(f"{workload.data} left out: {error}")
        return None
    pairs = [fit_all(workload, dataset, seed) for seed in range(seeds)]
    sides = tuple(zip(*pairs, strict=True))
    network = "-".join(map(str, workload.hidden))
    kind = "R2" if workload.data == "diabetes" else "accuracy"
    scores = " | ".join(f"{statistics.mean(o.score for o in side):.4f}" for side in sides)
    seconds = " | ".join(f"{statistics.median(o.seconds for o in side):.2f}" for side in sides)
    settings = f"{network} | {workload.batch_size} | {workload.epochs} | {seeds}"
    return f"| {workload.data} | {settings} | {kind} | {scores} | {seconds} |"


def fit_all(workload: Workload, dataset: cp.data.Dataset, seed: int) -> tuple[Outcome, ...]:
    """Encode once and fit one after the other on the same arrays: both backends, then scikit-learn."""
    features, target, test_features, test_target = parts(dataset, seed)
    encoding = cp.Encoding.fit(features, target)
    x, y = encoding.features(features), encoding.target(target)
    test = (encoding.features(test_features), encoding.target(test_target))
    flat = tuple(array.reshape(len(array), -1) for array in (x, test[0]))
    classes = encoding.task == "classification"
    arrays = (flat[0], y, (flat[1], test[1]))
    ours = (fit_ours(workload, *arrays, encoding.n_outputs, classes, seed, name) for name in BACKENDS)
    return *ours, fit_sklearn(workload, *arrays, classes, seed)


def parts(dataset: cp.data.Dataset, seed: int) -> tuple:
    """Return training and test samples: the official test part, or a fifth held out."""
    if dataset.test is not None:
        return dataset.features, dataset.target, *dataset.test
    by = dataset.target if dataset.target.dtype.kind != "f" else len(dataset.target)
    train, test = cp.data.split(by, 0.2, seed=seed)
    rows = dataset.features.take if hasattr(dataset.features, "take") else dataset.features.__getitem__
    if isinstance(dataset.features, np.ndarray):
        rows = dataset.features.__getitem__
    return rows(train), dataset.target[train], rows(test), dataset.target[test]


def fit_ours(
    workload: Workload,
    x: np.ndarray,
    y: np.ndarray,
    test: tuple,
    outputs: int,
    classes: bool,
    seed: int,
    backend: str,
) -> Outcome:
    penalty = cp.L2(PENALTY / workload.batch_size)  # scikit-learn divides its penalty by the batch size
    hidden = [cp.Dense(units, "relu", penalty=penalty) for units in workload.hidden]
    loss = "cross_entropy" if classes else cp.SquaredError(scale=0.5)
    model = cp.Model([*hidden, cp.Dense(outputs, penalty=penalty)], loss, cp.Adam(RATE), seed=seed, backend=backend)
    started = time.perf_counter()
    model.fit(x, y, epochs=workload.epochs, batch_size=workload.batch_size, progress="quiet")
    seconds = time.perf_counter() - started
    name = "accuracy" if classes else "r2"
    return Outcome(model.evaluate(*test, metrics=[name])[name], seconds)


def fit_sklearn(workload: Workload, x: np.ndarray, y: np.ndarray, test: tuple, classes: bool, seed: int) -> Outcome:
    kind = MLPClassifier if classes else MLPRegressor
    model = kind(
        hidden_layer_sizes=workload.hidden,
        alpha=PENALTY,
        batch_size=workload.batch_size,
        learning_rate_init=RATE,
        max_iter=workload.epochs,
        n_iter_no_change=workload.epochs,
        tol=0,
        random_state=seed,
    )
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, y if classes else y.ravel())
    seconds = time.perf_counter() - started
    return Outcome(model.score(test[0], test[1] if classes else test[1].ravel()), seconds)


PAGE = """# Results beside scikit-learn

Made by `make results`; do not edit. The same arrays, layers (ReLU), Adam with rate 0.001, batch size, epochs and L2
penalty for both, float32, one fit after the other in one process. Scores are of a held-out fifth (Fashion-MNIST: of
its official test part), as means over the seeds; seconds are medians of the whole fit, compilation included.
clearprop is measured with both of its backends: reference (NumPy, one operation at a time) and native (its first stage:
one thread).

Machine: {machine}. Versions: {versions}.

| data | hidden | batch | epochs | seeds | score | reference | native | sklearn | reference s | native s | sklearn s |
|---|---|---|---|---|---|---|---|---|---|---|---|
{rows}
"""


def report(rows: list[str]) -> str:
    """Return the page, with the machine and the versions."""
    machine = f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}"
    versions = f"clearprop {cp.__version__}, scikit-learn {sklearn.__version__}, NumPy {np.__version__}"
    return PAGE.format(machine=machine, versions=versions, rows="\n".join(rows))


if __name__ == "__main__":
    main()
