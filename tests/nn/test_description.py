"""Every describable class: to JSON and back."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from describable import KNOWN, NAMED

from clearprop import nn, ops, optim
from clearprop.description import build, describe
from clearprop.errors import FileFormatError, SettingsError


def cube(x: ops.Tensor) -> ops.Tensor:
    return x * x * x


def gap(output: ops.Tensor, target: ops.Tensor) -> ops.Tensor:
    return ops.abs(output - target)


def halved(step: int) -> float:
    return 0.5**step


ARGUMENTS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "Dense": (
        (4,),
        {
            "activation": nn.LeakyReLU(0.1),
            "weights": nn.Kaiming(gain="tanh"),
            "penalty": (nn.L1(), nn.L2(0.5)),
            "constraint": (nn.NonNegative(), nn.MaxNorm(2.0)),
            "weight_noise": nn.Dropout(0.25),
        },
    ),
    "Conv1D": ((4, 3), {"padding": "same", "penalty": nn.L2()}),
    "Conv2D": ((4, (3, 5)), {"activation": "relu", "padding": ((1, 2), 0), "stride": (2, 1), "groups": 2}),
    "DepthwiseConv2D": ((3,), {"multiplier": 2, "dilation": 2}),
    "ConvTranspose1D": ((4, 3), {"stride": 2, "output_padding": 1}),
    "ConvTranspose2D": ((4, 3), {"stride": (2, 3), "output_padding": (1, 2)}),
    "ActivityPenalty": ((nn.ElasticNet(0.5),), {"name": "quiet"}),
    "Given": (([[1.0, 2.0], [3.0, 4.5]],), {}),
    "Quantile": (((0.25, 0.75),), {"crossing": True}),
    "FunctionLoss": ((gap,), {}),
    "Sequential": ((nn.Dense(3, "relu", name="a"), nn.Dropout(0.25), nn.Sequential(nn.Tanh(name="t"))), {"name": "s"}),
    "Parallel": ((nn.Dense(3), nn.Dense(3)), {"join": "add", "name": "p"}),
    "Residual": ((nn.Dense(3),), {"shortcut": nn.Dense(3)}),
    "SimpleRNN": ((3,), {"activation": "relu", "memory": 2}),
    "TransformerBlock": ((2, 8), {"activation": "gelu", "causal": True, "norm": "post", "dropout": 0.1}),
    "LSTM": ((3,), {"outputs": "all", "start": "learnt", "weights": nn.Uniform(0.1)}),
    "GRU": ((3,), {"reset": "before", "reverse": True, "checkpoint": 4}),
    "Embedding": ((10, 3), {"padding": 0}),
    "Bidirectional": ((nn.LSTM(3),), {"join": "add"}),
    "EncoderDecoder": ((nn.GRU(3), nn.GRU(3), 5), {}),
    "Function": ((cube,), {"name": "cubed"}),
    "FunctionOfStep": ((halved,), {}),
    "Phases": (([(optim.Constant(), 2), (optim.Warmup(optim.Cosine(0.1)), None)],), {}),
    "ParameterGroups": ((optim.Adam(), [("*.b", optim.SGD(0.1))]), {}),
}


def instances() -> list[Any]:
    return [kind(*ARGUMENTS.get(name, ((), {}))[0], **ARGUMENTS.get(name, ((), {}))[1]) for name, kind in KNOWN.items()]


@pytest.mark.parametrize("thing", instances(), ids=lambda thing: type(thing).__name__)
def test_round_trip(thing):
    description = json.loads(json.dumps(describe(thing)))
    again = build(description, KNOWN | {"cube": cube, "gap": gap, "halved": halved})
    assert again == thing
    assert type(again) is type(thing)
    assert hash(again) == hash(thing)


@pytest.mark.parametrize("kind", KNOWN.values(), ids=lambda kind: kind.__name__)
def test_every_class_is_a_frozen_dataclass(kind):
    assert dataclasses.is_dataclass(kind)
    thing = next(item for item in instances() if type(item) is kind)
    for field in dataclasses.fields(kind):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(thing, field.name, None)


def test_unknown_class_says_how_to_give_it():
    with pytest.raises(FileFormatError, match=r"'Mine'.*custom="):
        build({"type": "Mine"}, KNOWN)
    with pytest.raises(FileFormatError, match=r"'cube'.*custom="):
        build(describe(nn.Function(cube)), KNOWN)


@pytest.mark.parametrize(
    "description",
    [
        {"type": "Dense", "units": 3, "colour": 1},
        {"type": "Dense"},
        {"type": "Dropout", "rate": "high"},
        {"type": "Dropout", "rate": {}},
        {"type": ["Dense"]},
        {},
    ],
)
def test_descriptions_that_do_not_fit(description):
    with pytest.raises(FileFormatError):
        build(description, KNOWN)


def test_what_cannot_be_described_is_refused():
    with pytest.raises(SettingsError, match="cannot be written"):
        describe(nn.Function(object()))  # type: ignore[arg-type]


def test_no_two_classes_share_a_name():
    """A file names a class by its bare name, whichever module it is in."""
    names = [name for name, _ in NAMED]
    assert len(names) == len(set(names))
