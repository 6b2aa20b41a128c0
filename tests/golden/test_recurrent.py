"""Recurrent layers against PyTorch's figures, in float64: one layer, and two that walk both ways."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clearprop import nn, ops
from clearprop.backends.reference import Reference
from clearprop.grad import derive
from clearprop.ir import Batch, Type, verify
from clearprop.ops import rule_of

FIGURES = json.loads((Path(__file__).parent / "recurrent.json").read_text(encoding="utf-8"))
UNITS = 4


def named(case: dict[str, Any]) -> str:
    return f"{case['type']}-{case['arguments']}-{case['layers']}"


def network(case: dict[str, Any]) -> nn.Sequential:
    layer = getattr(nn, case["type"])(UNITS, outputs="all", **case["arguments"])
    return nn.Sequential(*[nn.Bidirectional(layer) if case["bidirectional"] else layer for _ in range(case["layers"])])


def ours(case: dict[str, Any], of: str) -> dict[str, Any]:
    """Return PyTorch's parameters, or their gradients, under our names; its two biases are one but for GRU's c."""
    theirs = {name: np.array(value) for name, value in case[of].items()}
    kind, found = case["type"].lower(), {}
    for layer in range(case["layers"]):
        for suffix, way in (("", "forward."), ("_reverse", "backward.")):
            if case["bidirectional"]:
                prefix = f"bidirectional{layer + 1}.{way}"
            elif suffix:
                continue
            else:
                prefix = f"{kind}{layer + 1}."
            at = f"_l{layer}{suffix}"
            found[f"{prefix}W"], found[f"{prefix}U"] = theirs[f"weight_ih{at}"].T, theirs[f"weight_hh{at}"].T
            first, second = theirs[f"bias_ih{at}"], theirs[f"bias_hh{at}"].copy()
            if kind == "gru":
                found[f"{prefix}c"] = second[2 * UNITS :].copy()
                second[2 * UNITS :] = 0.0
            found[f"{prefix}b"] = first + second if of == "parameters" else first
    return found


@pytest.mark.parametrize("case", FIGURES["cases"], ids=named)
def test_recurrent_layers_are_those_of_pytorch(case):
    params, layer = ours(case, "parameters"), network(case)
    x = np.array(case["x"])
    with ops.tracing("network") as builder, nn.applying(nn.Context(training=False)):
        tensors = {name: ops.placeholder(name, Type("float64", array.shape)) for name, array in params.items()}
        a = layer.apply(tensors, ops.placeholder("x", Type("float64", (Batch(), *x.shape[1:]))))
        weights = ops.placeholder("weights", a.type)
        program = builder.finish([("scalar", ops.sum(a * weights).value), ("a", a.value)])
    derived = derive(program, ["x", *params])
    verify(derived, rule_of)
    expected = np.array(case["outputs"])
    weighting = np.arange(1.0, expected.size + 1).reshape(expected.shape) / expected.size
    result = Reference().compile(derived)({"x": x, "weights": weighting, **params})
    np.testing.assert_allclose(result["a"], expected, rtol=1e-12, atol=1e-14)
    for name, gradient in ({"x": np.array(case["dx"])} | ours(case, "gradients")).items():
        np.testing.assert_allclose(result[f"grad.{name}"], gradient, rtol=1e-10, atol=1e-12, err_msg=name)
    if not case["bidirectional"]:
        np.testing.assert_allclose(result["a"][:, -1], np.array(case["last"])[0], rtol=1e-12)
