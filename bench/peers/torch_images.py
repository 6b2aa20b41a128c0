"""PyTorch's convolutional networks, in its layout channels last."""

from __future__ import annotations

import itertools
import math

import torch
from torch import nn
from torch.nn import functional

from clearprop.bench.images import Conv, ImageWorkload, Mean, Pool, Residual, after


def image_network(workload: ImageWorkload) -> nn.Sequential:
    """Return the network; it takes images (n, height, width, channels), as our data are."""
    layers: list[nn.Module] = [ChannelsFirst()]
    shape = workload.shape
    for stage in workload.stages:
        if isinstance(stage, Mean):
            layers.append(nn.AdaptiveAvgPool2d(1))
            continue
        layers += stage_layers(stage, shape[2])
        shape = after(stage, shape)
    layers.append(nn.Flatten())
    sizes = (math.prod(workload.features), *workload.sizes)
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1]).to(memory_format=torch.channels_last)


class ChannelsFirst(nn.Module):
    """A view of images with their channels in the middle: they lie in memory with the channels last."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(0, 3, 1, 2)


class Block(nn.Module):
    """Two convolutions beside the input, or beside its projection."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        stride = 1 if filters == channels else 2
        self.inner = nn.Sequential(
            *normalised(channels, filters, 3, stride), nn.ReLU(), *normalised(filters, filters, 3, 1)
        )
        self.beside = nn.Identity() if stride == 1 else nn.Conv2d(channels, filters, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.inner(x) + self.beside(x))


def normalised(channels: int, filters: int, kernel: int, stride: int) -> list[nn.Module]:
    """Return a convolution without a bias, and batch normalisation."""
    return [nn.Conv2d(channels, filters, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(filters)]


def stage_layers(stage: Conv | Pool | Residual, channels: int) -> list[nn.Module]:
    """Return the modules of a stage."""
    if isinstance(stage, Pool):
        return [nn.MaxPool2d(2)]
    if isinstance(stage, Residual):
        return [Block(channels, stage.filters)]
    if stage.norm:
        return [*normalised(channels, stage.filters, stage.kernel, 1), nn.ReLU()]
    groups, padding = channels if stage.depthwise else 1, stage.kernel // 2 if stage.same else 0
    return [nn.Conv2d(channels, stage.filters, stage.kernel, padding=padding, groups=groups), nn.ReLU()]
