"""Write the figures of PyTorch that tests/golden compares activations and losses with, in float64.

Run it by hand as `tools/make_golden.py`, in an environment of its own with torch 2.13.0.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as f

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "golden"
Activation = tuple[str, dict[str, Any], Callable[[Tensor], Tensor]]
Loss = tuple[str, dict[str, Any], str, Callable[[Tensor, Tensor], Tensor], str]

ACTIVATIONS: list[Activation] = [
    ("Identity", {}, lambda z: z * 1.0),
    ("Sigmoid", {}, torch.sigmoid),
    ("Tanh", {}, torch.tanh),
    ("ScaledTanh", {}, lambda z: 1.7159 * torch.tanh(2 * z / 3)),
    ("ReLU", {}, torch.relu),
    ("ReLU6", {}, f.relu6),
    ("LeakyReLU", {"slope": 0.2}, lambda z: f.leaky_relu(z, 0.2)),
    ("PReLU", {"start_slope": 0.3}, lambda z: f.prelu(z, torch.full((6,), 0.3, dtype=z.dtype))),
    ("RReLU", {"lower": 0.1, "upper": 0.4}, lambda z: f.rrelu(z, 0.1, 0.4, training=False)),
    ("ELU", {"alpha": 0.7}, lambda z: f.elu(z, 0.7)),
    ("CELU", {"alpha": 1.5}, lambda z: f.celu(z, 1.5)),
    ("SELU", {}, f.selu),
    ("GELU", {}, f.gelu),
    ("GELU", {"exact": False}, lambda z: f.gelu(z, approximate="tanh")),
    ("SiLU", {}, f.silu),
    ("Mish", {}, f.mish),
    ("Softplus", {"beta": 2.0}, lambda z: f.softplus(z, 2.0, threshold=1e9)),
    ("Softsign", {}, f.softsign),
    ("Softshrink", {"limit": 0.4}, lambda z: f.softshrink(z, 0.4)),
    ("Hardshrink", {"limit": 0.4}, lambda z: f.hardshrink(z, 0.4)),
    # not f.hardsigmoid, whose derivative multiplies by a 1/6 that was rounded to float32
    ("HardSigmoid", {}, lambda z: torch.clamp(z / 6 + 0.5, 0.0, 1.0)),
    ("HardSwish", {}, f.hardswish),
    ("HardTanh", {}, f.hardtanh),
    ("LogSigmoid", {}, f.logsigmoid),
    ("GLU", {}, f.glu),
    ("Maxout", {"pieces": 3}, lambda z: z.reshape(-1, 2, 3).amax(-1)),
    ("Softmax", {}, lambda z: f.softmax(z, -1)),
    ("LogSoftmax", {}, lambda z: f.log_softmax(z, -1)),
    ("Softmin", {}, lambda z: f.softmin(z, -1)),
    ("Threshold", {}, lambda z: torch.heaviside(z.detach(), torch.zeros((), dtype=z.dtype)) + 0.0 * z),
]


def mean(loss: Tensor) -> Tensor:
    return loss.reshape(len(loss), -1).mean(1)


def focal(z: Tensor, y: Tensor) -> Tensor:
    ce = f.cross_entropy(z, y, reduction="none")
    return (1 - torch.exp(-ce)) ** 2 * ce


def binary_focal(z: Tensor, y: Tensor) -> Tensor:
    ce = f.binary_cross_entropy_with_logits(z, y, reduction="none")
    p = torch.exp(-ce)
    return mean((0.25 * y + 0.75 * (1 - y)) * (1 - p) ** 2 * ce)


def quantile(z: Tensor, y: Tensor) -> Tensor:
    q = torch.cumsum(torch.cat([z[:, :1], f.softplus(z[:, 1:])], 1), 1)
    error, alphas = y[:, None] - q, torch.tensor([0.1, 0.5, 0.9], dtype=z.dtype)
    return torch.maximum(alphas * error, (alphas - 1) * error).mean(1)


def gaussian(z: Tensor, y: Tensor) -> Tensor:
    return mean(f.gaussian_nll_loss(z[:, :2], y, f.softplus(z[:, 2:]) + 0.01, full=True, eps=1e-9, reduction="none"))


def multi_label(z: Tensor, y: Tensor) -> Tensor:
    places = torch.full(y.shape, -1)
    for row, holds in enumerate(y):
        found = torch.nonzero(holds)[:, 0]
        places[row, : len(found)] = found
    return f.multilabel_margin_loss(z, places, reduction="none")


def sign(y: Tensor) -> Tensor:
    return 2 * y - 1


LOSSES: list[Loss] = [
    ("SquaredError", {}, "values", lambda z, y: mean(f.mse_loss(z, y, reduction="none")), "z"),
    ("AbsoluteError", {}, "values", lambda z, y: mean(f.l1_loss(z, y, reduction="none")), "z"),
    (
        "Huber",
        {"delta": 0.7},
        "values",
        lambda z, y: mean(f.huber_loss(z, y, delta=0.7, reduction="none")),
        "z",
    ),
    (
        "SmoothL1",
        {"beta": 0.6},
        "values",
        lambda z, y: mean(f.smooth_l1_loss(z, y, beta=0.6, reduction="none")),
        "z",
    ),
    ("LogCosh", {}, "values", lambda z, y: mean(torch.log(torch.cosh(z - y))), "z"),
    ("Quantile", {}, "value", quantile, "z3"),
    ("GaussianLikelihood", {"least": 0.01, "constant": True}, "two", gaussian, "z"),
    ("Poisson", {}, "counts", lambda z, y: mean(f.poisson_nll_loss(z, y, reduction="none")), "z"),
    ("CrossEntropy", {}, "classes", lambda z, y: f.cross_entropy(z, y, reduction="none"), "z"),
    ("CrossEntropy", {}, "soft", lambda z, y: f.cross_entropy(z, y, reduction="none"), "z"),
    (
        "CrossEntropy",
        {"smoothing": 0.15},
        "classes",
        lambda z, y: f.cross_entropy(z, y, label_smoothing=0.15, reduction="none"),
        "z",
    ),
    (
        "KLDivergence",
        {},
        "soft",
        lambda z, y: f.kl_div(f.log_softmax(z, -1), y, reduction="none").sum(-1),
        "z",
    ),
    ("NegativeLogLikelihood", {}, "classes", lambda z, y: f.nll_loss(z, y, reduction="none"), "z"),
    ("Focal", {}, "classes", focal, "z"),
    ("MultiMargin", {}, "classes", lambda z, y: f.multi_margin_loss(z, y, reduction="none"), "z"),
    (
        "MultiMargin",
        {"margin": 2.0, "power": 2},
        "classes",
        lambda z, y: f.multi_margin_loss(z, y, p=2, margin=2.0, reduction="none"),
        "z",
    ),
    (
        "BinaryCrossEntropy",
        {},
        "bits",
        lambda z, y: mean(f.binary_cross_entropy_with_logits(z, y, reduction="none")),
        "z",
    ),
    ("BinaryFocal", {}, "bits", binary_focal, "z"),
    ("Hinge", {}, "bits", lambda z, y: mean(torch.relu(1 - sign(y) * z)), "z"),
    ("SquaredHinge", {}, "bits", lambda z, y: mean(torch.relu(1 - sign(y) * z) ** 2), "z"),
    ("MultiLabelMargin", {}, "bits", multi_label, "z"),
    (
        "CosineEmbedding",
        {"margin": -0.2},
        "alike",
        lambda z, y: f.cosine_embedding_loss(z[:, 0], z[:, 1], sign(y), margin=-0.2, reduction="none"),
        "pairs",
    ),
    (
        "MarginRanking",
        {"margin": 0.3},
        "alike",
        lambda z, y: f.margin_ranking_loss(z[:, 0, 0], z[:, 1, 0], sign(y), margin=0.3, reduction="none"),
        "scores",
    ),
    (
        "Triplet",
        {"margin": 0.8},
        "alike",
        lambda z, y: f.triplet_margin_loss(z[:, 0], z[:, 1], z[:, 2], margin=0.8, eps=0.0, reduction="none"),
        "triplets",
    ),
    (
        "Contrastive",
        {"margin": 3.0},
        "alike",
        lambda z, y: (
            0.5
            * torch.where(
                y > 0,
                f.pairwise_distance(z[:, 0], z[:, 1], eps=0.0) ** 2,
                torch.relu(3.0 - f.pairwise_distance(z[:, 0], z[:, 1], eps=0.0)) ** 2,
            )
        ),
        "pairs",
    ),
]


def activations() -> dict[str, Any]:
    """Values, and the gradient of their sum weighted by 1, 2, ..., at inputs on both sides of every kink."""
    x = np.random.default_rng(0).normal(0, 2.5, (5, 6))
    cases = []
    for kind, arguments, function in ACTIVATIONS:
        z = torch.tensor(x, requires_grad=True)
        a = function(z)
        (a * torch.arange(1, a.numel() + 1, dtype=a.dtype).reshape(a.shape)).sum().backward()
        assert z.grad is not None
        cases.append({"type": kind, "arguments": arguments, "a": a.tolist(), "gradient": z.grad.tolist()})
    return {"x": x.tolist(), "cases": cases}


def losses() -> dict[str, Any]:
    """The loss of each sample, and the gradient of their mean."""
    rng = np.random.default_rng(1)
    soft, bits = rng.uniform(size=(7, 4)), rng.integers(0, 2, (7, 4)).astype(float)
    outputs = {"z": rng.normal(0, 2, (7, 4)), "triplets": rng.normal(size=(7, 3, 5))}
    outputs |= {"z3": outputs["z"][:, :3], "pairs": outputs["triplets"][:, :2], "scores": rng.normal(size=(7, 2, 1))}
    targets = {
        "values": rng.normal(0, 2, (7, 4)),
        "value": rng.normal(0, 2, 7),
        "two": rng.normal(0, 2, (7, 2)),
        "counts": rng.poisson(2.0, (7, 4)).astype(float),
        "classes": rng.integers(0, 4, 7),
        "soft": soft / soft.sum(axis=1, keepdims=True),
        "bits": bits,
        "alike": rng.integers(0, 2, 7).astype(float),
    }
    cases = []
    for kind, arguments, target, function, output in LOSSES:
        z = torch.tensor(outputs[output], requires_grad=True)
        loss = function(z, torch.tensor(targets[target]))
        loss.mean().backward()
        assert z.grad is not None
        case = {"type": kind, "arguments": arguments, "output": output, "target": target}
        cases.append(case | {"loss": loss.tolist(), "gradient": z.grad.tolist()})
    return {
        "outputs": {name: value.tolist() for name, value in outputs.items()},
        "targets": {name: value.tolist() for name, value in targets.items()},
        "cases": cases,
    }


def write(name: str, content: dict[str, Any]) -> None:
    version = torch.__version__.partition("+")[0]
    content = {"made_by": f"tools/make_golden_catalogue.py with torch {version}, float64"} | content
    (FOLDER / name).write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write("activations.json", activations())
    write("losses.json", losses())
