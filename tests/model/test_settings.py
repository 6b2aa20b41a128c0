"""What a model refuses to be made of, and what it says."""

from __future__ import annotations

import numpy as np
import pytest
from small_model import X, Y, make

from clearprop import losses, nn
from clearprop.errors import SettingsError, ShapeError
from clearprop.model import Model


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Model(nn.Dense(1), dtype="float16"), "'float32' or 'float64', received 'float16'"),
        (lambda: Model(nn.Dense(1), seed=-1), "seed is a whole number"),
        (lambda: Model(nn.Dense(1), seed=1.5), "seed is a whole number"),
        (lambda: Model(nn.Dense(1), loss="mse"), "no loss 'mse'"),
        (lambda: Model(nn.Dense(1), loss=losses.Huber), "the loss is the class Huber: make one of it, Huber"),
        (lambda: Model(nn.Dense(1), loss=3), "a name, a Loss or a function"),
        (lambda: Model(nn.Dense(1), optimizer="adamv"), "no optimiser 'adamv'"),
        (lambda: Model(nn.Dense(1), schedule="lineal"), "no schedule 'lineal'"),
        (lambda: Model([]), "at least one layer"),
        (lambda: Model(3), "takes layers and functions of a tensor, received 3"),
        (lambda: Model(None), "takes layers and functions of a tensor, received None"),
        (lambda: Model(nn.Dense), "received the class Dense: make a layer of it"),
        (lambda: Model([nn.Dense(2, "softmax")], "cross_entropy"), "ends in Softmax and CrossEntropy applies it"),
        (lambda: Model([nn.Dense(2), nn.Softmax()], "cross_entropy"), "ends in Softmax"),
        (lambda: Model([nn.Sequential(nn.Dense(2), nn.Softmax())], "cross_entropy"), "ends in Softmax"),
        (lambda: Model([nn.Dense(1, "sigmoid")], "binary_cross_entropy"), "ends in Sigmoid"),
    ],
)
def test_refused(build, words):
    with pytest.raises(SettingsError, match=words):
        build()


@pytest.mark.parametrize("value", [3, 1.5, True, None, object(), b"*.b", {"*.b": 1}, (3,), ["*.b", 2], [["*.b"]], X])
def test_frozen_parameters_that_are_no_patterns(value):
    """The model is not made; what it takes is one pattern, or several."""
    with pytest.raises(SettingsError, match=r"Model: frozen is a pattern .* or a list of patterns, received "):
        make(frozen=value)


@pytest.mark.parametrize(
    ("value", "patterns"), [("*.b", ("*.b",)), (["*.b", "x"], ("*.b", "x")), ((), ()), (iter(["*.b"]), ("*.b",))]
)
def test_patterns_of_frozen_parameters(value, patterns):
    assert make(frozen=value).frozen == patterns


def test_an_unknown_backend():
    with pytest.raises(SettingsError, match="no backend 'gpu'; choose one of auto, native, reference"):
        make(backend="gpu").fit(X, Y, progress=False)


def test_set_parameters():
    model = make()
    with pytest.raises(SettingsError, match="none before init"):
        model.set_parameters({"dense1.W": np.zeros((4, 6))})
    model.init((4,))
    values = np.ones((4, 6), np.float32)
    model.set_parameters({"dense1.W": values})
    values[:] = 7
    assert model.parameters["dense1.W"].dtype == np.float64
    assert (model.parameters["dense1.W"] == 1).all()
    with pytest.raises(SettingsError, match=r"there is no parameter 'dense3\.W'; there are dense1\.W"):
        model.set_parameters({"dense3.W": values})
    with pytest.raises(SettingsError, match=r"dense1\.W has shape \(4, 6\), received \(6, 4\)"):
        model.set_parameters({"dense1.W": np.ones((6, 4))})


def test_a_shape_that_does_not_fit_names_the_layer():
    network = [nn.Dense(6), nn.Residual(nn.Dense(5), name="block")]
    with pytest.raises(ShapeError, match=r"layer block, .*\(n, 5\).*\(n, 6\)"):
        Model(network).fit(X, X, progress=False)
    with pytest.raises(ShapeError, match=r"SquaredError.*last layer"):
        make(2, "squared_error").fit(X, X, progress=False)
