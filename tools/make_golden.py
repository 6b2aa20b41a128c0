"""Write the figures that tests/golden compares with: PyTorch's optimisers, losses and gradients, in float64.

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

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "golden"
STEPS = 20

OPTIMIZERS: dict[str, tuple[str, dict[str, float], Callable[..., torch.optim.Optimizer]]] = {
    "sgd": ("SGD", {"learning_rate": 0.05}, lambda p: torch.optim.SGD(p, lr=0.05)),
    "momentum": (
        "Momentum",
        {"learning_rate": 0.02, "momentum": 0.9},
        lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9),
    ),
    "nesterov": (
        "Nesterov",
        {"learning_rate": 0.02, "momentum": 0.8},
        lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.8, nesterov=True),
    ),
    "adam": (
        "Adam",
        {"learning_rate": 0.1, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-6},
        lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.8, 0.95), eps=1e-6),
    ),
}


def optimizers() -> dict[str, Any]:
    """Minimise sum(scale (w - target)^4) from one start; record w after every step."""
    rng = np.random.default_rng(0)
    start, target, scale = rng.normal(size=5), rng.normal(size=5), rng.uniform(0.1, 1.0, 5)
    cases = {}
    for name, (kind, arguments, make) in OPTIMIZERS.items():
        w = torch.tensor(start, requires_grad=True)
        optimizer, path = make([w]), []
        for _ in range(STEPS):
            optimizer.zero_grad()
            (torch.tensor(scale) * (w - torch.tensor(target)) ** 4).sum().backward()
            optimizer.step()
            path.append(w.detach().tolist())
        cases[name] = {"type": kind, "arguments": arguments, "path": path}
    return {"start": start.tolist(), "target": target.tolist(), "scale": scale.tolist(), "cases": cases}


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
    write("network.json", network())
