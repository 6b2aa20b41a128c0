"""Convolution, pooling, normalisation and transformers against PyTorch's figures, in float64: values and gradients."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clearprop import nn, ops
from clearprop.backends.reference import Reference
from clearprop.description import build
from clearprop.grad import derive
from clearprop.ir import Batch, Type

CASES = json.loads((Path(__file__).parent / "layers.json").read_text(encoding="utf-8"))["cases"]


def wave(shape: tuple[int, ...], number: int) -> Any:
    return np.sin(1.7 * np.arange(np.prod(shape)) + number).reshape(shape)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['type']}-{case['arguments']}")
def test_layer(case):
    layer = getattr(nn, case["type"])(**{key: build(value, {}) for key, value in case["arguments"].items()})
    arrays = {"x": wave((2, *case["sample"]), 0)}
    arrays |= {name: wave(tuple(shape), i) for i, (name, shape) in enumerate(case["shapes"].items(), 1)}
    context = nn.Context(training=case["training"])
    with ops.tracing("layer") as builder, nn.applying(context):
        x = ops.placeholder("x", Type("float64", (Batch(), *case["sample"])))
        params = {k: ops.placeholder(k, Type("float64", a.shape)) for k, a in arrays.items() if k != "x"}
        a = layer.apply(params, x)
        scalar = ops.sum(a * ops.placeholder("weights", a.type))
        program = builder.finish([("scalar", scalar.value), ("a", a.value)])
    expected = np.reshape(case["a"], (2, *map(int, map(str, a.shape[1:]))))
    hyper = {name: np.array(value) for name, value in context.hyper.items()}
    inputs = arrays | hyper | {"weights": wave(expected.shape, 9)}
    outputs = Reference().compile(derive(program, list(case["gradients"]), of="scalar"))(inputs)
    np.testing.assert_allclose(outputs["a"], expected, rtol=1e-11, atol=1e-13)
    for name, gradient in case["gradients"].items():
        wanted = np.reshape(gradient, arrays[name].shape)
        np.testing.assert_allclose(outputs[f"grad.{name}"], wanted, rtol=1e-9, atol=1e-11, err_msg=name)
