"""Every setting of every member of the catalogue refuses what is not allowed: layers, losses, optimisers and more."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from describable import KNOWN

from clearprop import nn
from clearprop.errors import SettingsError
from clearprop.settings import choice, flag, limits, number, real, whole, whole_number

KINDS = [kind for kind in KNOWN.values() if dataclasses.is_dataclass(kind)]
FREE = {
    "name": "checked where layers are named",
    "activation": "chosen by name",
    "bias": "true or false, as Python has it",
    "weights": "chosen by name",
    "biases": "chosen by name",
    "penalty": "an instance, checked by the layer",
    "constraint": "an instance, checked by the layer",
    "weight_noise": "an instance, checked by the layer",
    "layers": "checked by the layer",
    "layer": "a layer",
    "shortcut": "a layer",
    "join": "checked by the layer",
    "function": "checked by the layer or the loss",
    "values": "checked by Given",
    "optimizer": "an instance, checked by the wrapper",
    "groups": "checked by ParameterGroups",
    "parameters": "patterns, checked by WeightDecay",
    "other": "an instance, checked by Muon",
    "schedule": "an instance, checked by Warmup",
    "phases": "checked by Phases",
    "metric": "checked against what the fit records",
    "MultiStep.epochs": "checked by MultiStep",
    "recurrent": "chosen by name",
    "recurrent_penalty": "checked by each layer, in `tests/nn`",
    "recurrent_constraint": "checked by each layer, in `tests/nn`",
    "encoder": "checked by EncoderDecoder",
    "decoder": "checked by EncoderDecoder",
    "Embedding.padding": "checked by Embedding",
}
"""Settings that are not plain numbers or words, and who looks after them."""

RECURRENT = ("layer", "encoder", "decoder")
"""Settings that are recurrent layers."""

WRONG = [
    pytest.param(kind, name, value, id=f"{kind.__name__}.{name}={value!r}")
    for kind in KINDS
    for name, allowed in limits(kind).items()
    for value in allowed.wrong
]


def needs_a_number(kind: Any, item: dataclasses.Field[Any]) -> bool:
    return item.name in limits(kind) and item.default is dataclasses.MISSING


def build(kind: Any, **changed: Any) -> Any:
    needed = {item.name: 3 for item in dataclasses.fields(kind) if needs_a_number(kind, item)}
    parts = {item.name: nn.LSTM(3) for item in dataclasses.fields(kind) if item.name in RECURRENT}
    return kind(**(needed | parts | changed))


@pytest.mark.parametrize(("kind", "name", "value"), WRONG)
def test_a_wrong_value_names_the_setting_what_it_may_be_and_what_came(kind, name, value):
    with pytest.raises(SettingsError) as caught:
        build(kind, **{name: value})
    message = str(caught.value)
    assert message == f"{kind.__name__}: {name} {limits(kind)[name].words}, received {value!r}"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_setting_is_limited(kind):
    fields = {field.name for field in dataclasses.fields(kind)}
    free = {name for name in fields if name in FREE or f"{kind.__name__}.{name}" in FREE}
    missed = fields - set(limits(kind)) - free
    assert not missed, f"give {kind.__name__}'s {missed} a limit: see clearprop.settings"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_defaults_are_allowed(kind):
    for field in dataclasses.fields(kind):
        if field.name in limits(kind) and field.default is not dataclasses.MISSING:
            assert limits(kind)[field.name].holds(field.default), field.name


@dataclasses.dataclass
class Example:
    rate: float = real(0.5, "[0, 1)")
    share: float = real(0.5, "(0, 1]")
    free: float = real(0.0, "(-inf, inf)")
    count: int = whole(2, 1)
    way: str = choice("up", "down", "left")
    quiet: bool = flag(False)


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("rate", (0, 0.0, 0.999, np.float64(0.5)), (1, 1.0, -1e-9, float("nan"), "0.5", None, True)),
        ("share", (1, 1.0, 1e-300), (0, 0.0, 1.001)),
        ("free", (-1e300, 7), (float("inf"), float("-inf"), float("nan"), 1j, [1.0])),
        ("count", (1, 10**9), (0, -1, 1.0, True, "1")),
        ("way", ("up", "down", "left"), ("Up", "", None, 1, ["up"])),
        ("quiet", (True, False), (0, 1, "no", None)),
    ],
)
def test_limits(name, right, wrong):
    allowed = limits(Example)[name]
    assert all(allowed.holds(value) for value in right)
    assert not any(allowed.holds(value) for value in wrong)
    assert not any(allowed.holds(value) for value in allowed.wrong)


def test_the_words_of_limits():
    words = {name: allowed.words for name, allowed in limits(Example).items()}
    assert words["rate"] == "lies in [0, 1)"
    assert words["count"] == "is a whole number of at least 1"
    assert words["way"] == "is 'up', 'down' or 'left'"
    assert limits(Example)["way"].choices == ("up", "down", "left")
    assert words["quiet"] == "is True or False"


def test_one_value_more():
    nothing, auto = whole_number(1).or_else(None), whole_number(1).or_else("auto")
    assert nothing.words == "is a whole number of at least 1, or None"
    assert auto.words == "is a whole number of at least 1, or 'auto'"
    assert nothing.holds(None)
    assert not auto.holds(None)
    assert auto.holds("auto")
    assert not nothing.holds("auto")
    for allowed in (nothing, auto):
        assert allowed.holds(3)
        assert not allowed.holds(0)
        assert allowed.wrong
        assert not any(allowed.holds(value) for value in allowed.wrong)


def test_what_is_typed_is_read():
    assert whole_number(1).read("3") == 3
    assert number("[0, 1)").read("1e-3") == 0.001
    with pytest.raises(ValueError, match=r"1\.5"):
        whole_number(1).read("1.5")


def test_numbers_of_numpy_count_as_pythons():
    assert type(nn.Dense(np.int64(3)).units) is int
    assert type(nn.Dropout(np.float32(0.25)).rate) is float
    with pytest.raises(SettingsError, match="received 0"):
        nn.Dense(np.int64(0))
