"""Our perceptrons beside scikit-learn's own: the same weights, losses and predictions."""

import inspect
from functools import partial

import numpy as np
import pytest
from sklearn import neural_network
from sklearn.datasets import load_digits, load_iris, make_multilabel_classification
from sklearn.preprocessing import StandardScaler

import clearprop as cp
from clearprop.backends.native import Native
from clearprop.estimators import perceptron, programs, work

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

IRIS = StandardScaler().fit_transform(load_iris().data), load_iris().target
DIGITS = StandardScaler().fit_transform(load_digits().data), load_digits().target
MULTILABEL = make_multilabel_classification(n_samples=120, n_classes=4, random_state=0)
NUMBERS = IRIS[0], IRIS[0] @ [1.0, -2.0, 0.5, 0.0] + np.sin(IRIS[0][:, 0])
SEVERAL = IRIS[0], np.column_stack([NUMBERS[1], IRIS[0][:, 0] ** 2, IRIS[1]])
COUNTS = IRIS[0], np.random.default_rng(0).poisson(np.exp(0.5 * IRIS[0][:, 0] + 0.2)).astype(float)
WEIGHT = np.random.default_rng(1).uniform(0.1, 3.0, 150)


def both(name, X, y, sample_weight=None, **settings):
    """scikit-learn's estimator and ours, fitted to the same samples."""
    settings = {"random_state": 3, "max_iter": 30} | settings
    kinds = getattr(neural_network, name), getattr(cp, name)
    return [kind(**settings).fit(X, y, sample_weight=sample_weight) for kind in kinds]


def check_same(theirs, ours, X, tolerance=1e-6):
    """Compare everything that a fit leaves behind."""
    assert {name for name in vars(theirs) if name.endswith("_")} == {name for name in vars(ours) if name.endswith("_")}
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(ours, name) == getattr(theirs, name), name
    for name in ("loss_", "loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_"):
        if getattr(theirs, name, None) is not None:
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=0, atol=tolerance, err_msg=name)
    for one, other in zip(ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=0, atol=tolerance)


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("data", [IRIS, DIGITS], ids=["iris", "digits"])
def test_loss_curves_agree_to_a_millionth(data, solver):
    theirs, ours = both("MLPClassifier", *data, solver=solver)
    check_same(theirs, ours, data[0])
    np.testing.assert_allclose(ours.predict_proba(data[0]), theirs.predict_proba(data[0]), atol=1e-6)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_activations(activation, solver):
    settings = {"activation": activation, "solver": solver, "hidden_layer_sizes": (7, 5), "alpha": 0.1}
    check_same(*both("MLPClassifier", *IRIS, batch_size=33, **settings), IRIS[0])


@pytest.mark.parametrize(
    "settings",
    [
        {"momentum": 0.0},
        {"momentum": 1.0, "learning_rate_init": 1e-4},
        {"nesterovs_momentum": False},
        {"learning_rate": "invscaling", "power_t": 0.3, "learning_rate_init": 0.1},
        {"learning_rate": "adaptive", "learning_rate_init": 0.3, "tol": 0.05, "max_iter": 120},
        {"early_stopping": True, "max_iter": 80, "n_iter_no_change": 3},
        {"shuffle": False, "batch_size": 1},
        {"solver": "adam", "beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3},
        {"solver": "adam", "tol": 0.02, "n_iter_no_change": 2, "max_iter": 200},
        {"solver": "adam", "early_stopping": True, "validation_fraction": 0.3},
    ],
)
def test_settings_of_the_stochastic_solvers(settings):
    check_same(*both("MLPClassifier", *IRIS, **({"solver": "sgd"} | settings)), IRIS[0])


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize(
    ("name", "data", "settings"),
    [
        ("MLPClassifier", (IRIS[0], IRIS[1] == 1), {}),
        ("MLPClassifier", (IRIS[0], np.array(["a", "b", "c"])[IRIS[1]]), {}),
        ("MLPClassifier", (IRIS[0], np.eye(3, dtype=int)[IRIS[1]][:, :2]), {}),
        ("MLPRegressor", NUMBERS, {}),
        ("MLPRegressor", SEVERAL, {}),
        ("MLPRegressor", COUNTS, {"loss": "poisson"}),
    ],
    ids=["binary", "strings", "multilabel", "regression", "multioutput", "poisson"],
)
def test_kinds_of_targets(name, data, settings, weight, solver):
    X, y = data
    theirs, ours = both(name, X, y, weight, solver=solver, **settings)
    if y.dtype.kind == "U":
        assert (ours.predict(X) == theirs.predict(X)).all()
        X = X[:0].reshape(0, 4)
        np.testing.assert_allclose(ours.loss_, theirs.loss_, atol=1e-6)
    else:
        check_same(theirs, ours, X)


def test_saturated_probabilities_are_reported_as_scikit_learn_does():
    X = np.array([[-400.0], [-1.0], [2.0], [500.0]])
    for y in ([1, 1, 0, 0], [1, 2, 0, 0]):
        theirs, ours = both("MLPClassifier", X, y, solver="sgd", max_iter=3, learning_rate_init=0.01)
        np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-6)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_partial_fit_goes_on_from_the_optimiser_as_it_was(solver):
    pairs = [kind(random_state=0, solver=solver) for kind in (neural_network.MLPClassifier, cp.MLPClassifier)]
    for _ in range(5):
        for part in (slice(0, 70), slice(70, 150)):
            for estimator in pairs:
                estimator.partial_fit(IRIS[0][part], IRIS[1][part], classes=[0, 1, 2], sample_weight=WEIGHT[part])
    check_same(*pairs, IRIS[0])
    assert pairs[0]._optimizer.learning_rate == pairs[1]._optimizer.learning_rate


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_warm_start(solver):
    pairs = both("MLPClassifier", *IRIS, solver=solver, warm_start=True, max_iter=5)
    for estimator in pairs:
        estimator.set_params(max_iter=12).fit(*IRIS)
    check_same(*pairs, IRIS[0])


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_float32_stays_near_and_keeps_its_dtype(name, solver):
    X = IRIS[0].astype(np.float32)
    # every rounding to float32 is amplified by a line search
    theirs, ours = both(name, X, IRIS[1], solver=solver, max_iter=4 if solver == "lbfgs" else 30)
    check_same(theirs, ours, X, tolerance=2e-4)
    assert ours.predict(X).dtype == theirs.predict(X).dtype
    assert ours.predict(IRIS[0]).dtype == theirs.predict(IRIS[0]).dtype


def test_weights_that_are_all_zero_in_a_batch_are_refused_as_by_scikit_learn():
    weight = np.ones(150)
    weight[100:] = 0
    for kind in (neural_network.MLPClassifier, cp.MLPClassifier):
        with pytest.raises(ZeroDivisionError, match="Weights sum to zero"):
            kind(shuffle=False, batch_size=50).fit(*IRIS, sample_weight=weight)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("learning_rate", ["constant", "adaptive"])
def test_verbose_prints_the_same(capsys, early_stopping, learning_rate):
    printed = []
    for kind in (neural_network.MLPClassifier, cp.MLPClassifier):
        settings = {"solver": "sgd", "tol": 0.05, "n_iter_no_change": 2, "max_iter": 60, "learning_rate": learning_rate}
        kind(verbose=True, random_state=0, early_stopping=early_stopping, **settings).fit(*IRIS)
        printed.append(capsys.readouterr().out)
    assert printed[1] == printed[0]
    assert "Iteration 1, loss" in printed[0]


WIDTHS = {"avx512": 11, "avx2": 12, "baseline": 13, "reference": 14}
"""A network of its own for each, because programs are kept for the process."""


@pytest.mark.parametrize("where", WIDTHS)
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_every_target_and_backend(where, solver, monkeypatch):
    if where == "reference":
        for name in ("compile_step", "compile_program"):
            monkeypatch.setattr(programs, name, partial(getattr(programs, name), backend="reference"))
    else:
        monkeypatch.setenv("CLEARPROP_NATIVE_TARGET", where)
        try:
            Native()
        except cp.SettingsError:
            pytest.skip(f"this CPU has no {where}")
    check_same(*both("MLPClassifier", *IRIS, solver=solver, hidden_layer_sizes=WIDTHS[where]), IRIS[0])


def test_epochs_in_several_stretches_are_the_same(monkeypatch):
    (_, whole), settings = both("MLPClassifier", *IRIS, batch_size=7), {"random_state": 3, "max_iter": 30}
    monkeypatch.setattr(work, "STRETCH_STEPS", 4)
    parts = cp.MLPClassifier(batch_size=7, **settings).fit(*IRIS)
    assert parts.loss_curve_ == whole.loss_curve_


def test_ctrl_c_ends_training_with_the_weights_so_far(monkeypatch):
    three = cp.MLPClassifier(max_iter=3, random_state=0).fit(*IRIS)
    epoch, done = work.Work.epoch, []

    def interrupted(self):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(1)
        return epoch(self)

    monkeypatch.setattr(work.Work, "epoch", interrupted)
    with pytest.warns(UserWarning, match="interrupted by user"):
        stopped = cp.MLPClassifier(random_state=0).fit(*IRIS)
    assert stopped.n_iter_ == 3
    np.testing.assert_array_equal(stopped.coefs_[0], three.coefs_[0])


def test_what_is_replaced_is_there_and_takes_what_ours_takes():
    """scikit-learn's private methods may change: then this fails first, and says which."""
    ours = [name for name in vars(perceptron._Programs) if hasattr(neural_network.MLPClassifier, name)]
    replaced = {name for name in ours if inspect.isfunction(vars(perceptron._Programs)[name])} - {"__init__"}
    assert replaced == {"_forward_pass_fast", "_backprop", "_fit_stochastic"}
    for name in replaced:
        theirs = list(inspect.signature(getattr(neural_network.MLPClassifier, name)).parameters)
        expected = ["X", "check_input"] if name == "_forward_pass_fast" else ["X", "y", "sample_weight"]
        assert theirs[1 : len(expected) + 1] == expected, name
    last = list(inspect.signature(neural_network.MLPClassifier._fit_stochastic).parameters)[-1]
    assert last == "incremental"
