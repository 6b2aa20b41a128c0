"""PyTorch as a pupil: the same layers as clearprop's, from the same first values, and the same settings.

A module is made from a layer and its parameters. Images lie in memory with their channels last, which is PyTorch's fast
layout here; its LSTM has a second bias, which stays 0.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping

import numpy as np
import torch
from lessons import Lesson, Material, figure, steps_of_an_epoch
from torch import nn
from torch.nn import functional

from clearprop import nn as ours
from clearprop.bench.sides import Train
from clearprop.nn.layer import named, part
from clearprop.nn.windowing import resolve_padding

Values = Mapping[str, np.ndarray]
Shape = tuple[int, ...]
_ROWS = 1000


class Torch:
    """PyTorch, one operation at a time, with the fused Adam."""

    name = "PyTorch"

    def __init__(self, threads: int) -> None:
        torch.set_num_threads(threads)

    def learn(self, lesson: Lesson, data: Material, seed: int) -> float:
        """Return the test figure after a whole fit."""
        network = self.start(lesson, data, seed)
        train(network, lesson, data, lesson.epochs * steps_of_an_epoch(lesson, data))
        return figure(lesson, *tested(network, data))

    def trainer(self, lesson: Lesson, data: Material) -> Train:
        """Return what trains the lesson's network."""
        network = self.start(lesson, data, 0)

        def timed(steps: int) -> float:
            start = time.perf_counter()
            train(network, lesson, data, steps)
            return (time.perf_counter() - start) / steps

        return timed

    def start(self, lesson: Lesson, data: Material, seed: int) -> nn.Module:
        """Return the network before it learns anything, having seen that it says what clearprop's says."""
        torch.manual_seed(seed)
        model = lesson.model(data, seed)
        layers = [module(layer, part(model.parameters, name)) for name, layer in named(model.network.layers)]
        images = lesson.figure == "accuracy"
        network = nn.Sequential(*([ChannelsFirst()] if images else []), *layers)
        network = network.to(memory_format=torch.channels_last) if images else network
        network.eval()
        with torch.inference_mode():
            said = network(torch.tensor(data.test_x[:8])).softmax(-1).numpy()
        np.testing.assert_allclose(said, model.predict(data.test_x[:8]), rtol=1e-3, atol=1e-5)
        return network


def train(network: nn.Module, lesson: Lesson, data: Material, steps: int) -> None:
    """Take so many steps, in an order of the samples that is new in each epoch."""
    network.train()
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=lesson.rate, fused=True)
    schedules: dict[str, Callable[[], torch.optim.lr_scheduler.LRScheduler]] = {
        "one_cycle": lambda: torch.optim.lr_scheduler.OneCycleLR(
            optimizer, lesson.rate, total_steps=steps, cycle_momentum=False
        ),
        "cosine": lambda: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps),
    }
    schedule = schedules[lesson.schedule]()
    torch.set_flush_denormal(True)
    x, y = torch.tensor(data.x), torch.tensor(data.y)
    orders = (torch.randperm(len(x)).split(lesson.batch) for _ in itertools.count())
    for rows in itertools.islice(itertools.chain.from_iterable(orders), steps):
        optimizer.zero_grad(set_to_none=True)
        said = network(x.index_select(0, rows)).flatten(0, -2)
        functional.cross_entropy(said, y.index_select(0, rows).flatten()).backward()
        optimizer.step()
        schedule.step()
    torch.set_flush_denormal(False)


def tested(network: nn.Module, data: Material) -> tuple[float, float]:
    """Return the mean loss and the share of right answers on the test part."""
    network.eval()
    loss, right = 0.0, 0
    with torch.inference_mode():
        for x, y in zip(*(torch.tensor(a).split(_ROWS) for a in (data.test_x, data.test_y)), strict=True):
            said = network(x).flatten(0, -2)
            loss += functional.cross_entropy(said, y.flatten(), reduction="sum").item()
            right += int((said.argmax(-1) == y.flatten()).sum())
    return loss / data.test_y.size, right / data.test_y.size


class ChannelsFirst(nn.Module):
    """Images (n, height, width) or (n, height, width, channels), seen with their channels in the middle."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x.unsqueeze(-1) if x.dim() == 3 else x).permute(0, 3, 1, 2)


class ChannelsLast(nn.Module):
    """What lies there channels last, as one vector a sample."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


class Mirror(nn.Module):
    """In training, each image or its mirror image."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return x
        return torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, x.flip(3), x)


class Same(nn.Module):
    """Zeros around images so that a convolution with a stride gives ceil(length / stride) places."""

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.sizes = (kernel,) * 2, (stride,) * 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        (top, bottom), (left, right) = resolve_padding("same", tuple(x.shape[2:]), *self.sizes)
        return functional.pad(x, (left, right, top, bottom))


class Beside(nn.Module):
    """The inner module's result, added to the input or to its shortcut."""

    def __init__(self, inner: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.inner, self.shortcut = inner, shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.shortcut(x) + self.inner(x)


class States(nn.Module):
    """All states of an LSTM that starts from zeros."""

    def __init__(self, lstm: nn.LSTM) -> None:
        super().__init__()
        self.lstm = lstm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.lstm(x)[0]


class PlaceMean(nn.Module):
    """The mean of each channel over all places."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3))


def module(layer: ours.Layer, values: Values) -> nn.Module:
    """Return PyTorch's form of a layer, with its values."""
    return _MODULES[type(layer)](layer, values)


def _sequential(layer: ours.Sequential, values: Values) -> nn.Module:
    return nn.Sequential(*(module(item, part(values, name)) for name, item in named(layer.layers)))


def _residual(layer: ours.Residual, values: Values) -> nn.Module:
    around = layer.shortcut
    shortcut = nn.Identity() if around is None else module(around, part(values, "shortcut"))
    return Beside(module(layer.layer, part(values, "inner")), shortcut)


def _convolution(layer: ours.Conv2D, values: Values) -> nn.Module:
    size, _, channels, filters = values["W"].shape
    same = layer.padding == "same"
    padding = size // 2 if same and layer.stride == 1 else 0
    linear = nn.Conv2d(channels, filters, size, layer.stride, padding, bias=layer.bias)
    _fill(linear.weight, values["W"].transpose(3, 2, 0, 1))
    before = [Same(size, layer.stride)] if same and layer.stride != 1 else []
    return nn.Sequential(*before, *_activated(linear, layer, values))


def _dense(layer: ours.Dense, values: Values) -> nn.Module:
    linear = nn.Linear(*values["W"].shape, bias=layer.bias)
    _fill(linear.weight, values["W"].T)
    return nn.Sequential(*_activated(linear, layer, values))


def _activated(linear: nn.Conv2d | nn.Linear, layer: ours.Conv2D | ours.Dense, values: Values) -> list[nn.Module]:
    """Fill in the bias, and return the activation after it."""
    if linear.bias is not None:
        _fill(linear.bias, values["b"])
    return [linear, *{None: [], "relu": [nn.ReLU()]}[layer.activation]]


def _batch_norm(layer: ours.BatchNorm, values: Values) -> nn.Module:
    norm = nn.BatchNorm2d(len(values["gamma"]), layer.epsilon, layer.momentum)
    _fill(norm.weight, values["gamma"])
    _fill(norm.bias, values["beta"])
    return norm


def _embedding(layer: ours.Embedding, values: Values) -> nn.Module:
    return nn.Embedding.from_pretrained(torch.tensor(values["W"]), freeze=False)


def _lstm(layer: ours.LSTM, values: Values) -> nn.Module:
    lstm = nn.LSTM(len(values["W"]), layer.units, batch_first=True)
    _fill(lstm.weight_ih_l0, values["W"].T)
    _fill(lstm.weight_hh_l0, values["U"].T)
    _fill(lstm.bias_ih_l0, values["b"])
    _fill(lstm.bias_hh_l0, np.zeros_like(values["b"]))
    lstm.bias_hh_l0.requires_grad_(False)
    return States(lstm)


def _fill(parameter: nn.Parameter, values: np.ndarray) -> None:
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(np.ascontiguousarray(values)))


_MODULES: dict[type, Callable[..., nn.Module]] = {
    ours.Sequential: _sequential,
    ours.Residual: _residual,
    ours.Conv2D: _convolution,
    ours.Dense: _dense,
    ours.BatchNorm: _batch_norm,
    ours.Embedding: _embedding,
    ours.LSTM: _lstm,
    ours.ReLU: lambda layer, values: nn.ReLU(),
    ours.MaxPool2D: lambda layer, values: nn.MaxPool2d(layer.size),
    ours.GlobalAveragePool: lambda layer, values: PlaceMean(),
    ours.Flatten: lambda layer, values: ChannelsLast(),
    ours.Dropout: lambda layer, values: nn.Dropout(layer.rate),
    ours.RandomFlip: lambda layer, values: Mirror(),
}
