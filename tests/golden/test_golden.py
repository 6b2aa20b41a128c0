"""Against PyTorch's figures, in float64: the optimisers' paths, the schedules, a network and its derivatives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clearprop import losses, nn, optim
from clearprop.compile import compile_program, value_and_gradient
from clearprop.description import build
from clearprop.ir import Batch, Type
from clearprop.train import Signature, build_objective, build_prediction, build_step


def read(name: str) -> Any:
    return json.loads((Path(__file__).parent / name).read_text(encoding="utf-8"))


OPTIMIZERS, SCHEDULES, NETWORK = (read(f"{name}.json") for name in ("optimizers", "schedules", "network"))
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
    """The whole training step, on a network that is its only parameter, with a rate that falls where it says so."""
    case = OPTIMIZERS["cases"][name]
    optimizer = build(case["optimizer"], vars(optim))
    row = Type("float64", (Batch(), 4, 3))
    signature = Signature({"quartic1.w": Type("float64", (4, 3))}, ("quartic1.w",), row, row)
    programs = build_step(nn.Sequential(Quartic()), FourthPower(), optimizer, signature)
    step = compile_program(programs.step)
    state = {"quartic1.w": np.array(OPTIMIZERS["start"])}
    state |= compile_program(programs.slots)(state)
    data = {"x": np.array([OPTIMIZERS["target"]]), "y": np.array([OPTIMIZERS["scale"]])}
    for count, expected in enumerate(case["path"]):
        schedule = optim.ExponentialDecay(case["decay"])
        varying = schedule.values(optim.Position(count, 1, 20), 1, programs.hyper)
        hyper = {key: np.asarray(varying.get(key, [value])[0]) for key, value in programs.hyper.items()}
        outputs = step(data | hyper | state | {"step": np.asarray(count)})
        state = {key: outputs[key] for key in state}
        shown = state[programs.evaluated.get("quartic1.w", "quartic1.w")]
        np.testing.assert_allclose(shown, expected, rtol=1e-10, err_msg=f"step {count + 1}")


def test_what_pytorch_has_is_compared():
    def kinds(description):
        if isinstance(description, dict):
            return {description["type"]}.union(*map(kinds, description.values()))
        return set().union(*map(kinds, description)) if isinstance(description, list) else set()

    compared = set().union(*(kinds(case["optimizer"]) for case in OPTIMIZERS["cases"].values()))
    ours = {kind.__name__ for kind in (optim.OPTIMIZERS | optim.WRAPPERS).values()}
    assert ours - compared == {"AdaBelief", "Lion", "LARS", "LAMB", "Muon"} | {
        *("Accumulation", "Lookahead", "ParameterGroups", "ScheduleFree")
    }
    compared = set().union(*(kinds(case["schedule"]) for case in SCHEDULES["cases"].values()))
    compared |= kinds(SCHEDULES["plateau"]["schedule"])
    assert {kind.__name__ for kind in optim.SCHEDULES.values()} - compared == {"InverseSquareRoot"}


@pytest.mark.parametrize("name", SCHEDULES["cases"])
def test_schedule(name):
    """Rate and momentum, with one step an epoch."""
    case = SCHEDULES["cases"][name]
    schedule = build(case["schedule"], vars(optim))
    total = len(case["rates"])
    settings = {"learning_rate": 1.0, "momentum": 0.9}
    values = schedule.values(optim.Position(0, 1, total), total, settings)
    np.testing.assert_allclose(values["learning_rate"], case["rates"], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(values.get("momentum", [0.9] * total), case["momenta"], rtol=1e-12)


def test_plateau():
    case = SCHEDULES["plateau"]
    schedule = build(case["schedule"], vars(optim))
    memory = schedule.first()
    for epoch, (loss, rate) in enumerate(zip(case["losses"], case["rates"], strict=True)):
        assert schedule(optim.Position(epoch, 1, 24, memory)) == pytest.approx(rate, rel=1e-14)
        memory = schedule.observe(memory, {"loss": loss})


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
    for content in (OPTIMIZERS, SCHEDULES, NETWORK):
        assert content["made_by"] == "tools/make_golden.py with torch 2.13.0, float64"
