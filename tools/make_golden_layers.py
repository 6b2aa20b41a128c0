"""Write the figures of PyTorch that tests/golden compares layers with, in float64.

Run it by hand as `tools/make_golden.py`, in an environment of its own with torch 2.13.0. Inputs and parameters are
waves, sin(a i + b) over the index i, so that only what PyTorch makes of them is written down; here they stand in this
package's order (channels last, kernels (*kernel, channels, filters)), and are turned for PyTorch and back.
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

FILE = Path(__file__).resolve().parent.parent / "tests" / "golden" / "layers.json"
Shapes = dict[str, tuple[int, ...]]
Case = tuple[str, dict[str, Any], tuple[int, ...], Shapes, bool, Callable[..., Tensor]]


def wave(shape: tuple[int, ...], number: int) -> Tensor:
    count = int(np.prod(shape))
    return torch.tensor(np.sin(1.7 * np.arange(count) + number).reshape(shape), requires_grad=True)


def conv(**settings: Any) -> Callable[..., Tensor]:
    return lambda x, W, b: f.conv2d(x, W.permute(3, 2, 0, 1), b, **settings)


def spread(**settings: Any) -> Callable[..., Tensor]:
    return lambda x, W, b: f.conv_transpose2d(x, W.permute(2, 3, 0, 1), b, **settings)


def batch_norm(x: Tensor, gamma: Tensor, beta: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    return f.batch_norm(x, mean.detach().clone(), variance.detach().clone(), gamma, beta, training=True)


IMAGE = (5, 4, 4)
KERNEL: Shapes = {"W": (3, 2, 4, 4), "b": (4,)}
GROUPED: Shapes = {"W": (3, 2, 2, 4), "b": (4,)}
CHANNELS: Shapes = {"gamma": (4,), "beta": (4,)}
AVERAGES: Shapes = CHANNELS | {"mean": (4,), "variance": (4,)}
SIZE = {"filters": 4, "kernel": [3, 2]}

BLOCK: Shapes = {
    "attention.heads.W": (4, 12), "attention.heads.b": (12,), "attention.heads.Wo": (4, 4), "attention.heads.bo": (4,),
    "forward.hidden.W": (4, 6), "forward.hidden.b": (6,), "forward.out.W": (6, 4), "forward.out.b": (4,),
    **{f"{norm}.{name}": (4,) for norm in ("norm1", "norm2") for name in ("gamma", "beta")},
}  # fmt: skip
BLOCK_NAMES = {
    "attention.heads.W": "self_attn.in_proj_weight", "attention.heads.b": "self_attn.in_proj_bias",
    "attention.heads.Wo": "self_attn.out_proj.weight", "attention.heads.bo": "self_attn.out_proj.bias",
    "forward.hidden.W": "linear1.weight", "forward.hidden.b": "linear1.bias",
    "forward.out.W": "linear2.weight", "forward.out.b": "linear2.bias",
    "norm1.gamma": "norm1.weight", "norm1.beta": "norm1.bias",
    "norm2.gamma": "norm2.weight", "norm2.beta": "norm2.bias",
}  # fmt: skip
"""Our names and PyTorch's; its matrices are the transposes of ours."""


def transformer(norm: str, causal: bool = False, activation: str = "relu") -> Callable[..., Tensor]:
    layer = torch.nn.TransformerEncoderLayer(4, 2, 6, 0.0, activation, batch_first=True, norm_first=norm == "pre")
    mask = torch.nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64) if causal else None

    def function(x: Tensor, **params: Tensor) -> Tensor:
        own = {BLOCK_NAMES[name]: value.T if value.ndim == 2 else value for name, value in params.items()}
        return torch.func.functional_call(layer, own, (x.movedim(1, -1), mask)).movedim(-1, 1)

    return function


CASES: list[Case] = [
    ("Conv2D", SIZE, IMAGE, KERNEL, False, conv()),
    ("Conv2D", SIZE | {"padding": "same"}, IMAGE, KERNEL, False, conv(padding="same")),
    ("Conv2D", SIZE | {"stride": 2, "padding": 1}, IMAGE, KERNEL, False, conv(stride=2, padding=1)),
    ("Conv2D", SIZE | {"stride": [1, 2], "dilation": 2}, IMAGE, KERNEL, False, conv(stride=(1, 2), dilation=2)),
    ("Conv2D", SIZE | {"groups": 2, "padding": [1, 0]}, IMAGE, GROUPED, False, conv(groups=2, padding=(1, 0))),
    ("DepthwiseConv2D", {"kernel": 2, "multiplier": 2}, IMAGE, {"W": (2, 2, 1, 8), "b": (8,)}, False, conv(groups=4)),
    (
        "Conv1D", {"filters": 3, "kernel": 3, "stride": 2, "padding": 1}, (7, 2), {"W": (3, 2, 3), "b": (3,)}, False,
        lambda x, W, b: f.conv1d(x, W.permute(2, 1, 0), b, stride=2, padding=1),
    ),
    ("ConvTranspose2D", SIZE, IMAGE, KERNEL, False, spread()),
    (
        "ConvTranspose2D", SIZE | {"stride": 2, "padding": 1, "output_padding": 1}, IMAGE, KERNEL, False,
        spread(stride=2, padding=1, output_padding=1),
    ),
    ("MaxPool2D", {}, IMAGE, {}, False, lambda x: f.max_pool2d(x, 2)),
    (
        "MaxPool2D", {"size": 3, "stride": 2, "padding": 1, "ceil": True}, IMAGE, {}, False,
        lambda x: f.max_pool2d(x, 3, 2, 1, ceil_mode=True),
    ),
    (
        "AveragePool2D", {"size": 3, "stride": 2, "padding": 1, "ceil": True}, IMAGE, {}, False,
        lambda x: f.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False),
    ),
    (
        "AveragePool2D", {"size": 3, "stride": 2, "padding": 1, "ceil": True, "count_padding": True}, IMAGE, {}, False,
        lambda x: f.avg_pool2d(x, 3, 2, 1, ceil_mode=True),
    ),
    ("GlobalAveragePool", {}, IMAGE, {}, False, lambda x: x.mean((2, 3))),
    ("GlobalMaxPool", {}, IMAGE, {}, False, lambda x: x.amax((2, 3))),
    ("Upsample", {"factor": [2, 3]}, IMAGE, {}, False, lambda x: f.interpolate(x, scale_factor=(2, 3))),
    (
        "Upsample", {"factor": 2, "mode": "linear"}, IMAGE, {}, False,
        lambda x: f.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False),
    ),
    ("BatchNorm", {}, IMAGE, AVERAGES, True, batch_norm),
    (
        "BatchNorm", {"epsilon": 2.0}, IMAGE, AVERAGES, False,
        lambda x, gamma, beta, mean, variance: f.batch_norm(x, mean.detach(), variance.detach(), gamma, beta, eps=2.0),
    ),
    (
        "LayerNorm", {}, IMAGE, CHANNELS, False,
        lambda x, gamma, beta: f.layer_norm(x.movedim(1, -1), (4,), gamma, beta).movedim(-1, 1),
    ),
    ("GroupNorm", {"groups": 2}, IMAGE, CHANNELS, False, lambda x, gamma, beta: f.group_norm(x, 2, gamma, beta)),
    (
        "InstanceNorm", {}, IMAGE, CHANNELS, False,
        lambda x, gamma, beta: f.instance_norm(x, weight=gamma, bias=beta),
    ),
    (
        "RMSNorm", {"epsilon": 1e-3}, IMAGE, {"gamma": (4,)}, False,
        lambda x, gamma: f.rms_norm(x.movedim(1, -1), (4,), gamma, 1e-3).movedim(-1, 1),
    ),
    (
        "LocalResponseNorm", {"size": 4, "alpha": 0.5, "k": 2.0}, IMAGE, {}, False,
        lambda x: f.local_response_norm(x, 4, alpha=0.5, beta=0.75, k=2.0),
    ),
    *(
        ("TransformerBlock", {"heads": 2, "hidden": 6} | own, (5, 4), BLOCK, False, transformer(**own))
        for own in (
            {"norm": "pre"}, {"norm": "post"}, {"norm": "pre", "causal": True, "activation": "gelu"},
            {"norm": "post", "causal": True},
        )
    ),
]  # fmt: skip


def figures(case: Case) -> dict[str, Any]:
    kind, arguments, sample, shapes, training, function = case
    x = wave((2, *sample), 0)
    params = {name: wave(shape, number) for number, (name, shape) in enumerate(shapes.items(), 1)}
    y = function(x.movedim(-1, 1), **params)
    y = y.movedim(1, -1) if y.ndim > 2 else y
    (y * wave(tuple(y.shape), 9).detach()).sum().backward()
    gradients = {name: t.grad.ravel().tolist() for name, t in {"x": x, **params}.items() if t.grad is not None}
    shape = {"shapes": {name: list(shape) for name, shape in shapes.items()}, "training": training}
    about = {"type": kind, "arguments": arguments, "sample": list(sample)}
    return about | shape | {"a": y.ravel().tolist(), "gradients": gradients}


if __name__ == "__main__":
    made_by = f"tools/make_golden_layers.py with torch {torch.__version__.partition('+')[0]}, float64"
    data = {"made_by": made_by, "cases": [figures(case) for case in CASES]}
    FILE.write_text(json.dumps(data, separators=(",", ":")) + "\n", encoding="utf-8")
