"""Write the figures that tests/golden compares with: PyTorch's optimisers, schedules, losses and gradients, in float64.

Run it by hand, in an environment of its own with torch 2.13.0; neither the package nor its tests import torch:

    python -m venv /tmp/torch && /tmp/torch/bin/pip install torch==2.13.0 numpy
    /tmp/torch/bin/python tools/make_golden.py
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from golden_optimizers import optimizers, schedules

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "golden"

LOSSES: dict[str, tuple[str, Callable[..., torch.Tensor]]] = {
    "cross_entropy": ("classes", torch.nn.functional.cross_entropy),
    "soft_cross_entropy": ("soft", torch.nn.functional.cross_entropy),
    "binary_cross_entropy": ("bits", torch.nn.functional.binary_cross_entropy_with_logits),
    "squared_error": ("values", torch.nn.functional.mse_loss),
}


def network() -> dict[str, Any]:
    """A 5-4-3 network, tanh and ReLU: logits, and for each loss its value and every derivative."""
    rng = np.random.default_rng(1)
    shapes = {"dense1.W": (5, 4), "dense1.b": (4,), "dense2.W": (4, 4), "dense2.b": (4,), "dense3.W": (4, 3)}
    parameters = {name: rng.normal(size=shape) for name, shape in (shapes | {"dense3.b": (3,)}).items()}
    x = rng.normal(size=(7, 5))
    soft = rng.uniform(size=(7, 3))
    targets = {
        "classes": rng.integers(0, 3, 7),
        "soft": soft / soft.sum(axis=1, keepdims=True),
        "bits": rng.integers(0, 2, (7, 3)).astype(float),
        "values": rng.normal(size=(7, 3)),
    }
    cases = {}
    for name, (kind, loss) in LOSSES.items():
        tensors = {key: torch.tensor(value, requires_grad=True) for key, value in parameters.items()}
        a1 = torch.tanh(torch.tensor(x) @ tensors["dense1.W"] + tensors["dense1.b"])
        a2 = torch.relu(a1 @ tensors["dense2.W"] + tensors["dense2.b"])
        logits = a2 @ tensors["dense3.W"] + tensors["dense3.b"]
        value = loss(logits, torch.tensor(targets[kind]))
        value.backward()
        gradients = {key: tensor.grad.tolist() for key, tensor in tensors.items() if tensor.grad is not None}
        cases[name] = {"target": kind, "loss": value.item(), "gradients": gradients}
    return {
        "x": x.tolist(),
        "parameters": {name: value.tolist() for name, value in parameters.items()},
        "targets": {name: value.tolist() for name, value in targets.items()},
        "logits": logits.detach().tolist(),
        "cases": cases,
    }


def write(name: str, content: dict[str, Any]) -> None:
    content = {"made_by": f"tools/make_golden.py with torch {torch.__version__.partition('+')[0]}, float64"} | content
    (FOLDER / name).write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write("optimizers.json", optimizers())
    write("schedules.json", schedules())
    write("network.json", network())
