"""How layers and parameters are named, and what the errors say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from clearprop import nn, ops
from clearprop.errors import ClearpropError, ProgramError, SettingsError, ShapeError
from clearprop.ir import Batch, Type
from clearprop.randomness import Key


def names(*layers: nn.Layer, sample: tuple[int, ...] = (3,)) -> list[str]:
    return list(nn.Sequential(*layers).init(Key(0), sample))


def test_layers_are_numbered_by_kind():
    assert names(nn.Dense(4), nn.ReLU(), nn.Dense(2, bias=False)) == ["dense1.W", "dense1.b", "dense2.W"]


def test_own_names_are_kept_and_counted():
    assert names(nn.Dense(4, name="hidden"), nn.Dense(2)) == ["hidden.W", "hidden.b", "dense2.W", "dense2.b"]


def test_nested_layers_are_named_by_path():
    block = nn.Residual(nn.Sequential(nn.Dense(3), nn.Dense(3)), shortcut=nn.Dense(3, bias=False))
    assert names(block, nn.Parallel(nn.Dense(2), nn.Identity(), name="both")) == [
        *("residual1.inner.dense1.W", "residual1.inner.dense1.b", "residual1.inner.dense2.W"),
        *("residual1.inner.dense2.b", "residual1.shortcut.W", "both.dense1.W", "both.dense1.b"),
    ]


def test_values_are_named_after_layer_and_letter():
    network = nn.Sequential(nn.Dense(4, "tanh", name="hidden"), nn.Dense(2))
    params = network.init(Key(0), (3,))
    with ops.tracing("program") as builder, nn.applying(nn.Context(training=True)):
        x = ops.placeholder("x", Type("float64", (Batch(), 3)))
        tensors = {k: ops.placeholder(k, Type("float64", v.shape)) for k, v in params.items()}
        result = network.apply(tensors, x)
        program = builder.finish([("result", result.value)])
    found = {value.name: (value.note.layer, value.note.quantity) for value in program.values()}
    assert found["hidden.z"] == ("hidden", "z")
    assert found["hidden.a"] == ("hidden", "a")
    assert found["dense2.z"] == ("dense2", "z")
    assert result.value.name == "dense2.z"


class LikeALayer:
    """Has the methods of a layer, and is none."""

    def apply(self, params, x):
        return x


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: nn.Sequential(nn.Dense(2, name="a"), nn.Dense(2, name="a")), ["two layers", "'a'"]),
        (lambda: nn.Sequential(nn.Dense(2, name="dense2"), nn.Dense(2)), ["two layers", "'dense2'"]),
        (lambda: nn.Sequential(nn.Dense(2, name="a.b")), ["'a.b'", "letters, digits"]),
        (lambda: nn.Sequential(nn.Dense(2, name="1st")), ["'1st'"]),
        (lambda: nn.Sequential(nn.Dense(2, name="a\n")), ["letters, digits"]),
        (lambda: nn.Sequential(), ["at least one layer"]),
        (lambda: nn.Sequential(3), ["takes layers", "3"]),
        (lambda: nn.Sequential([nn.Dense(2)]), ["takes layers"]),
        (lambda: nn.Sequential(nn.ReLU), ["takes layers", "the class ReLU: make a layer of it, ReLU(...)"]),
        (lambda: nn.Sequential("relu"), ["'relu': an activation is a layer such as ReLU()"]),
        (lambda: nn.Sequential(LikeALayer()), ["let its class inherit from clearprop.Layer"]),
        (lambda: nn.Parallel(), ["at least one layer"]),
        (lambda: nn.Parallel(nn.Dense(2), join="sum"), ["'concat' or 'add'", "'sum'"]),
        (lambda: nn.Dense(0), ["units is a whole number of at least 1", "0"]),
        (lambda: nn.Dense(2.5), ["whole number", "2.5"]),
        (lambda: nn.Dense(True), ["whole number"]),
        (lambda: nn.Dense(2, "rellu"), ["'rellu'", "relu", "softmax"]),
        (lambda: nn.Dense(2, weights="glorot"), ["'glorot'", "xavier"]),
        (lambda: nn.Dense(2, biases="zero"), ["'zero'", "zeros"]),
        (lambda: nn.Dense(2, "rellu"), ["; did you mean 'relu'? There are identity"]),
        (lambda: nn.Dense(2, nn.ReLU), ["the activation is the class ReLU: make one of it, ReLU(...)"]),
        (lambda: nn.Dense(2, 3), ["no activation 3; choose one of identity", "or give a Layer"]),
        (lambda: nn.Dense(2, penalty="l3"), ["'l3'", "l1, l2, elastic_net"]),
        (lambda: nn.Dense(2, penalty=0.1), ["0.1", "l1, l2, elastic_net, or give a Penalty"]),
        (lambda: nn.Dense(2, penalty=("l2", 0.1)), ["no penalty 0.1"]),
        (lambda: nn.Dense(2, constraint="unit"), ["'unit'", "max_norm, unit_norm", "or give a Constraint"]),
        (lambda: nn.Dense(2, weight_noise="dropot"), ["no noise 'dropot'; did you mean 'dropout'?"]),
    ],
)
def test_bad_settings_are_refused_at_once(build, words):
    with pytest.raises(SettingsError) as caught:
        build()
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("network", "sample", "words"),
    [
        (nn.Sequential(nn.Dense(4)), (), ["dense1", "last axis"]),
        (nn.Sequential(nn.Dense(4), nn.Residual(nn.Dense(3))), (3,), ["residual1", "(n, 3)", "(n, 4)", "shortcut"]),
        (nn.Sequential(nn.Parallel(nn.Dense(4), nn.Dense(3), join="add")), (3,), ["parallel1", "(n, 4)", "(n, 3)"]),
        (nn.Sequential(nn.Parallel(nn.Flatten(), nn.Identity())), (2, 3), ["parallel1"]),
        (
            nn.Sequential(nn.Dense(2), nn.Sequential(nn.Dense(2), nn.Residual(nn.Dense(5)), name="tail")),
            (3,),
            ["tail.residual1", "(n, 5)", "(n, 2)"],
        ),
        (nn.Sequential(nn.Function(lambda x: ops.sum(x, 0))), (3,), ["function1", "(n, ...)"]),
        (nn.Sequential(nn.Function(lambda x: x @ x)), (3,), ["function1", "matmul"]),
    ],
)
def test_a_shape_that_does_not_fit_names_the_layer(network, sample, words):
    with pytest.raises(ShapeError) as caught:
        network.init(Key(0), sample)
    for word in words:
        assert word in str(caught.value)


def test_wrong_input_names_layer_and_expected_features():
    network = nn.Sequential(nn.Dense(4), nn.Dense(2, name="out"))
    params = network.init(Key(0), (3,))
    with pytest.raises(ShapeError, match=r"layer dense1, Dense\(.*received \(n, 5\): expected a last axis of 3"):
        nn.output_shape(network, params, (5,))
    wrong = params | {"out.W": np.zeros((7, 2))}
    with pytest.raises(ShapeError, match=r"layer out, .*received \(n, 4\): expected a last axis of 7"):
        nn.output_shape(network, wrong, (3,))


def test_an_activation_has_no_parameters():
    with pytest.raises(SettingsError, match=r"received Dense\(.*make it the next layer"):
        nn.Dense(2, nn.Dense(3)).init(Key(0), (4,))


def test_a_function_must_return_a_tensor():
    with pytest.raises(TypeError, match="must return a tensor, and returned int"):
        nn.output_shape(nn.Function(lambda x: 3), {}, (3,))


def test_a_layer_outside_of_a_model_says_what_to_do():
    with ops.tracing("program"), pytest.raises(ProgramError, match=r"cp\.Model"):
        nn.Dropout().apply({}, ops.placeholder("x", Type("float64", (Batch(), 3))))


@dataclass(frozen=True)
class Twice(nn.Layer):
    letters: tuple[str, ...] = ("W",)

    def init(self, key, shapes):
        return {letter: np.ones(shapes) for letter in self.letters}

    def apply(self, params, x):
        return x * params["V"]


@pytest.mark.parametrize("error", [ClearpropError, KeyError])
def test_a_parameter_that_there_is_not(error):
    with pytest.raises(error, match=r"^layer twice1 has no parameter 'V'; choose one of W, b$"):
        names(Twice(("W", "b")))
    with pytest.raises(error, match=r"^layer twice1 has no parameter 'V': there are none$"):
        names(Twice(()))
