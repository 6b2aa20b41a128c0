"""Every activation and loss against PyTorch's figures, in float64: values, and gradients."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clearprop import losses, nn, ops
from clearprop.backends.reference import Reference
from clearprop.grad import derive
from clearprop.ir import Batch, Type
from clearprop.randomness import Key


def read(name: str) -> Any:
    return json.loads((Path(__file__).parent / name).read_text(encoding="utf-8"))


ACTIVATIONS, LOSSES = read("activations.json"), read("losses.json")


def named(case: dict[str, Any]) -> str:
    return f"{case['type']}-{case['arguments']}-{case.get('target', '')}"


@pytest.mark.parametrize("case", ACTIVATIONS["cases"], ids=named)
def test_activation(case):
    layer = getattr(nn, case["type"])(**case["arguments"])
    x, params = np.array(ACTIVATIONS["x"]), layer.init(Key(0), (6,))
    with ops.tracing("activation") as builder, nn.applying(nn.Context(training=False)):
        z = ops.placeholder("x", Type("float64", (Batch(), 6)))
        a = layer.apply({name: ops.placeholder(name, Type("float64", p.shape)) for name, p in params.items()}, z)
        weights = ops.placeholder("weights", a.type)
        program = builder.finish([("scalar", ops.sum(a * weights).value), ("a", a.value)])
    expected = np.array(case["a"])
    arrays = {"x": x, "weights": np.arange(1.0, expected.size + 1).reshape(expected.shape)} | params
    outputs = Reference().compile(derive(program, ["x"], of="scalar"))(arrays)
    np.testing.assert_allclose(outputs["a"], expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(outputs["grad.x"], case["gradient"], rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("case", LOSSES["cases"], ids=named)
def test_loss(case):
    loss = getattr(losses, case["type"])(**case["arguments"])
    arrays = {"z": np.array(LOSSES["outputs"][case["output"]]), "y": np.array(LOSSES["targets"][case["target"]])}
    with ops.tracing("loss") as builder:
        z, y = (ops.placeholder(k, Type(str(a.dtype), (Batch(), *a.shape[1:]))) for k, a in arrays.items())
        assert loss.target_type(z.type, y.type) == y.type
        each = loss.per_sample(z, y)
        program = builder.finish([("cost", losses.cost(each, None).value), ("loss", each.value)])
    outputs = Reference().compile(derive(program, ["z"], of="cost"))(arrays)
    np.testing.assert_allclose(outputs["loss"], case["loss"], rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(outputs["grad.z"], case["gradient"], rtol=1e-10, atol=1e-14)


def test_every_member_has_figures():
    assert {case["type"] for case in ACTIVATIONS["cases"]} == {
        type(make()).__name__ for make in nn.ACTIVATIONS.values()
    }
    assert {case["type"] for case in LOSSES["cases"]} == {kind.__name__ for kind in losses.LOSSES.values()}


def test_the_figures_say_where_they_come_from():
    for figures in (ACTIVATIONS, LOSSES):
        assert figures["made_by"] == "tools/make_golden_catalogue.py with torch 2.13.0, float64"
