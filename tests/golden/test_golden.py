"""Against PyTorch's figures, in float64: the optimisers' paths, and a network's values and derivatives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clearprop import losses, nn, optim
from clearprop.compile import compile_program, value_and_gradient
from clearprop.ir import Batch, Type
from clearprop.train import Signature, build_objective, build_prediction, build_step


def read(name: str) -> Any:
    return json.loads((Path(__file__).parent / name).read_text(encoding="utf-8"))


OPTIMIZERS, NETWORK = read("optimizers.json"), read("network.json")
PARAMETERS = {name: np.array(value) for name, value in NETWORK["parameters"].items()}


class Quartic(nn.Layer):
    """w - target, the only layer; x holds the targets."""

    def apply(self, params, x):
        return params["w"] - x


class FourthPower(losses.Loss):
    """sum_j scale_j output_j^4, for which the target holds the scales."""

    def target_type(self, output, given):
        return output

    def per_sample(self, output, target):
        return losses.loss(losses.SquaredError(over="sum")).per_sample(output * output * target**0.5, target * 0.0)


@pytest.mark.parametrize("name", OPTIMIZERS["cases"])
def test_optimizer(name):
    """The whole training step, on a network that is its only parameter.

    PyTorch keeps the velocity without the rate, v <- momentum v + g and w <- w - rate v; for a rate that stays the
    same, the paths are the same.
    """
    case = OPTIMIZERS["cases"][name]
    optimizer = getattr(optim, case["type"])(**case["arguments"])
    row = Type("float64", (Batch(), 5))
    signature = Signature({"quartic1.w": Type("float64", (5,))}, ("quartic1.w",), row, row)
    programs = build_step(nn.Sequential(Quartic()), FourthPower(), optimizer, signature)
    step = compile_program(programs.step)
    state = {"quartic1.w": np.array(OPTIMIZERS["start"])}
    state |= compile_program(programs.slots)(state)
    data = {"x": np.array([OPTIMIZERS["target"]]), "y": np.array([OPTIMIZERS["scale"]])}
    hyper = {key: np.asarray(value) for key, value in programs.hyper.items()}
    for count, expected in enumerate(case["path"]):
        outputs = step(data | hyper | state | {"step": np.asarray(count)})
        state = {key: outputs[key] for key in state}
        np.testing.assert_allclose(state["quartic1.w"], expected, rtol=1e-11, err_msg=f"step {count + 1}")


LOSSES = {
    "cross_entropy": losses.CrossEntropy(),
    "soft_cross_entropy": losses.CrossEntropy(),
    "binary_cross_entropy": losses.BinaryCrossEntropy(),
    "squared_error": losses.SquaredError(),
}


def network_signature(y: np.ndarray[Any, Any]) -> tuple[nn.Sequential, Signature]:
    network = nn.Sequential(nn.Dense(4, "tanh"), nn.Dense(4, "relu"), nn.Dense(3))
    types = {name: Type("float64", value.shape) for name, value in PARAMETERS.items()}
    x = Type("float64", (Batch(), 5))
    return network, Signature(types, tuple(types), x, Type(str(y.dtype), (Batch(), *y.shape[1:])))


@pytest.mark.parametrize("name", NETWORK["cases"])
def test_network(name):
    case = NETWORK["cases"][name]
    y = np.array(NETWORK["targets"][case["target"]])
    network, signature = network_signature(y)
    objective, _ = build_objective(network, LOSSES[name], signature)
    outputs = value_and_gradient(objective, list(PARAMETERS))({"x": np.array(NETWORK["x"]), "y": y} | PARAMETERS)
    assert outputs["objective"] == pytest.approx(case["loss"], rel=1e-12)
    assert set(case["gradients"]) == set(PARAMETERS)
    for parameter, expected in case["gradients"].items():
        np.testing.assert_allclose(
            outputs[f"grad.{parameter}"], expected, rtol=1e-10, atol=1e-14, err_msg=f"{name}, {parameter}"
        )


def test_forward():
    network, signature = network_signature(np.zeros((7, 3)))
    program = build_prediction(network, losses.SquaredError(), signature)
    outputs = compile_program(program)({"x": np.array(NETWORK["x"])} | PARAMETERS)
    np.testing.assert_allclose(outputs["prediction"], NETWORK["logits"], rtol=1e-12)


def test_the_figures_say_where_they_come_from():
    assert OPTIMIZERS["made_by"] == NETWORK["made_by"] == "tools/make_golden.py with torch 2.13.0, float64"
