"""Estimators in model files: what `clearprop.load` reads as a model is read here as the estimator around it.

Beside the model, such a file holds the estimator's class, its parameters and what it learnt, as JSON. What only a
next fit would need is not kept: callbacks, random states other than a seed, and an optimiser's moments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.validation import check_is_fitted

from clearprop import losses, nn, optim
from clearprop.description import build, describe
from clearprop.errors import FileFormatError, SettingsError
from clearprop.estimators.neural import Neural
from clearprop.estimators.perceptron import MLPClassifier, MLPRegressor
from clearprop.estimators.programs import LOSSES, Perceptron
from clearprop.estimators.supervised import NeuralClassifier, NeuralRegressor
from clearprop.estimators.transformer import NeuralTransformer
from clearprop.files import read_arrays
from clearprop.model import Model
from clearprop.model import load as load_model
from clearprop.model.saving import save as save_model
from clearprop.train import History

_CLASSES: dict[str, type] = {
    kind.__name__: kind for kind in (MLPClassifier, MLPRegressor, NeuralClassifier, NeuralRegressor, NeuralTransformer)
}
_LEARNT = (
    *("n_iter_", "n_features_in_", "validation_scores_", "loss_", "loss_curve_", "best_loss_"),
    *("best_validation_score_", "t_", "n_outputs_", "n_layers_", "out_activation_", "_no_improvement_count"),
    *("_several", "_seed", "_n_features_out"),
)
_ARRAYS = ("classes_", "feature_names_in_")
_NOT_KEPT = ("callbacks", "scoring")

Custom = Mapping[str, Callable[..., Any]]


def save(estimator: Any, path: str | Path) -> None:
    """Write a fitted estimator of this package to a model file, atomically and without pickle.

    Raises:
        SettingsError: it is no estimator of this package, or a parameter cannot be described.
        NotFittedError: it has not been fitted.
    """
    kind = type(estimator).__name__
    if type(estimator) not in _CLASSES.values():
        raise SettingsError(f"save takes one of {', '.join(_CLASSES)}, received {estimator!r}")
    check_is_fitted(estimator)
    params = {name: _plain(value) for name, value in estimator.get_params(deep=False).items() if name not in _NOT_KEPT}
    if not isinstance(params["random_state"], (int, type(None))):
        params["random_state"] = None
    own = vars(estimator)
    data = {
        "class": kind,
        "params": {name: value if isinstance(value, dict) else describe(value) for name, value in params.items()},
        "learnt": {name: _plain(own[name]) for name in _LEARNT if name in own},
        "arrays": {name: [own[name].dtype.str, own[name].tolist()] for name in _ARRAYS if name in own},
        "labels": getattr(getattr(estimator, "_label_binarizer", None), "y_type_", None),
    }
    if "history_" in own:
        data["history"] = {"epochs": estimator.history_.epochs, "reason": estimator.history_.reason}
    save_model(estimator.model_ if isinstance(estimator, Neural) else _as_model(estimator), path, data)


def load(path: str | Path, *, custom: Custom | None = None) -> Any:
    """Read an estimator that `save` wrote. No code in the file is ever run.

    Args:
        path: the file.
        custom: your own layers, losses, optimisers and functions that it uses, by name.

    Raises:
        FileFormatError: the file is missing, damaged or foreign, or holds a model without an estimator.
    """
    _, description = read_arrays(Path(path), "model")
    data = description.get("estimator")
    if data is None:
        raise FileFormatError(f"{path} holds a model, and no estimator around it: read it with clearprop.load")
    known = dict(custom or {})
    model = load_model(path, custom=known)
    try:
        kind = _CLASSES[data["class"]]
        params = {name: _rebuilt(value, _named() | known) for name, value in data["params"].items()}
        estimator = kind(**params)
        vars(estimator).update(data["learnt"])
        for name, (dtype, values) in data["arrays"].items():
            setattr(estimator, name, np.array(values, dtype=np.dtype(dtype)))
        if isinstance(estimator, Neural):
            _give_model(estimator, model, History(**data["history"]))
        else:
            _give_parameters(estimator, model, data["labels"])
    except FileFormatError:
        raise
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise FileFormatError(f"{path}: its description of an estimator cannot be used: {error!r}") from error
    return estimator


def _as_model(estimator: Any) -> Model:
    """Return a perceptron as the model that predicts the same."""
    net: Perceptron = estimator._perceptron()
    model = Model(net.network, LOSSES[net.output], dtype=net.dtype)
    model.init((net.units[0],))
    model.set_parameters(dict(zip(net.names, estimator.coefs_ + estimator.intercepts_, strict=True)))
    return model


def _give_parameters(estimator: Any, model: Model, labels: str | None) -> None:
    layers = range(1, estimator.n_layers_)
    estimator.coefs_ = [model.parameters[f"dense{i}.W"] for i in layers]
    estimator.intercepts_ = [model.parameters[f"dense{i}.b"] for i in layers]
    estimator._best_coefs = [coef.copy() for coef in estimator.coefs_]
    estimator._best_intercepts = [intercept.copy() for intercept in estimator.intercepts_]
    if labels is not None:
        multilabel = labels.startswith("multilabel")
        given = np.eye(len(estimator.classes_), dtype=int) if multilabel else estimator.classes_
        estimator._label_binarizer = LabelBinarizer().fit(given)


def _give_model(estimator: Any, model: Model, history: History) -> None:
    estimator.model_, estimator.history_ = model, history
    if isinstance(estimator, NeuralTransformer):
        estimator._divide()


def _plain(value: Any) -> Any:
    """Return NumPy's numbers as Python's, and mappings as pairs that JSON can hold."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {"mapping": [[_plain(key), _plain(item)] for key, item in value.items()]}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _rebuilt(value: Any, known: Custom) -> Any:
    if isinstance(value, dict) and "mapping" in value:
        return dict(value["mapping"])
    return build(value, known)


def _named() -> dict[str, Callable[..., Any]]:
    """Every class of the package that a parameter may hold, by name."""
    modules = (nn, losses, optim)
    things = {name: getattr(module, name) for module in modules for name in module.__all__}
    return {name: thing for name, thing in things.items() if isinstance(thing, type)}
