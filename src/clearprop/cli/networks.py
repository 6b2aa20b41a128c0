"""The network that training takes when none is described."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from clearprop.cli.choices import CELLS, DENSE, Choices
from clearprop.cli.network_file import layers_of
from clearprop.cli.transfer import Origin
from clearprop.data import Encoding, Table
from clearprop.data.columns import Array
from clearprop.data.image_features import ImageFeatures
from clearprop.errors import SettingsError
from clearprop.losses import LOSSES, BinaryLoss
from clearprop.nn import (
    ARCHITECTURES,
    L1,
    L2,
    ColorJitter,
    Cutout,
    Dense,
    Dropout,
    FancyPCA,
    Flatten,
    GaussianNoise,
    Layer,
    Mixup,
    Penalty,
    RandomAffine,
    RandomCrop,
    RandomFlip,
    RandomShift,
)

_SEEN = 4096
"""How many images the colours are taken from."""
_LEAST, _LARGE = 10, 64
"""The sides of images, in pixels, for which the network called vgg-small is made."""


def network(encoding: Encoding, choices: Choices, train: Table | Array, origin: Origin | None = None) -> list[Layer]:
    """Return the layers: augmentation, then those of the samples' kind.

    Args:
        encoding: of the training part.
        choices: how to train, complete.
        train: the raw features of the training part.
        origin: the trained model to start from; its layers keep the penalties that they have.

    Raises:
        SettingsError: an architecture for images or augmentation is asked for where there are no images, or no colours.
    """
    loss = LOSSES[choices.loss]
    one_question = issubclass(loss, BinaryLoss) and encoding.task != "multilabel"
    units = 1 if one_question else encoding.n_outputs if loss.answers else loss().outputs_for(encoding.n_outputs)
    head = Dense(units, weights=choices.weights, biases=choices.output_bias)
    layers = [*_hidden(encoding, choices), head] if origin is None else origin.layers(head)
    return [*_augmentation(encoding, choices, train), *penalised(layers, choices)]


def _hidden(encoding: Encoding, choices: Choices) -> list[Layer]:
    if choices.network is not None:
        return layers_of(choices.network)
    return (_convolutional if choices.arch in ARCHITECTURES else _dense)(encoding, choices)


def suited(encoding: Encoding, train: Table | Array) -> str:
    """Return the architecture that suits samples: convolutional for image files, bytes, and what is scaled as images.

    Where images are large, the one whose number of parameters does not grow with them.
    """
    shape = encoding.input_shape
    images = isinstance(encoding.inputs, ImageFeatures) or (not isinstance(train, Table) and train.dtype == np.uint8)
    if not images or len(shape) not in (2, 3) or min(shape[:2]) < _LEAST:
        return DENSE
    return "vgg-small" if max(shape[:2]) <= _LARGE else "resnet-small"


def _dense(encoding: Encoding, choices: Choices) -> list[Layer]:
    """Dense layers of the chosen widths."""
    layers: list[Layer] = [Flatten()] if len(encoding.input_shape) > 1 else []
    for width in choices.layers or ():
        layers.append(Dense(width, choices.activation, weights=choices.weights))
        if choices.dropout:
            layers.append(Dropout(choices.dropout))
    return layers


def _convolutional(encoding: Encoding, choices: Choices) -> list[Layer]:
    """The layers of a network by name but the outputs; dropout goes before these."""
    if len(encoding.input_shape) not in (2, 3):
        raise SettingsError(
            f"--arch {choices.arch} takes images, and the samples have shape {encoding.input_shape}: leave it out"
        )
    hidden = ARCHITECTURES[choices.arch](encoding.n_outputs).layers[:-1]
    return [*hidden, *([Dropout(choices.dropout)] if choices.dropout else [])]


def recurrent(first: Sequence[Layer], choices: Choices, *, outputs: str, units: int) -> list[Layer]:
    """Return a network of recurrent layers one after another, with dropout after each, and a dense one at the end.

    Args:
        first: what comes before them.
        choices: how to train, complete.
        outputs: what the last recurrent layer gives: "last" or "all".
        units: of the dense layer.

    Raises:
        SettingsError: the choices ask for other layers.
    """
    if choices.cell not in CELLS:
        raise SettingsError(f"--cell {choices.cell} learns texts: choose one of {', '.join(CELLS)}")
    settings: dict[str, Any] = {} if choices.weights == "auto" else {"weights": choices.weights}
    if choices.activation is not None:
        settings["activation"] = choices.activation
    layers = list(first)
    for layer in range(depth := choices.depth or 1):
        cell = CELLS[choices.cell]
        layers.append(cell(choices.units, outputs=outputs if layer == depth - 1 else "all", **settings))
        if choices.dropout:
            layers.append(Dropout(choices.dropout))
    return penalised([*layers, Dense(units, weights=choices.weights)], choices)


_PENALTIES = ("penalty", "recurrent_penalty")


def penalised(layers: Iterable[Layer], choices: Choices) -> list[Layer]:
    """Return layers with the penalties of the choices."""
    penalty = tuple(kind(factor) for kind, factor in ((L1, choices.l1), (L2, choices.l2 or 0.0)) if factor)
    return [_penalised(layer, penalty) for layer in layers]


def _penalised(layer: Any, penalty: tuple[Penalty, ...]) -> Any:
    """Return a layer with a penalty in every layer in it that can have one and has none."""
    if isinstance(layer, tuple):
        return tuple(_penalised(item, penalty) for item in layer)
    if not penalty or not isinstance(layer, Layer) or not dataclasses.is_dataclass(layer):
        return layer
    values = {field.name: getattr(layer, field.name) for field in dataclasses.fields(layer)}
    changed = {name: _penalised(value, penalty) for name, value in values.items()}
    changed |= {name: penalty for name in _PENALTIES if changed.get(name) == ()}
    different = {name: value for name, value in changed.items() if value is not values[name]}
    return dataclasses.replace(layer, **different) if different else layer


def _augmentation(encoding: Encoding, choices: Choices, train: Table | Array) -> list[Layer]:
    shape = encoding.input_shape
    if choices.augment and len(shape) not in (2, 3):
        raise SettingsError(f"--augment changes images, and the samples have shape {shape}: leave it out")
    return [_layer(name, encoding, train) for name in choices.augment]


def _layer(name: str, encoding: Encoding, train: Table | Array) -> Layer:
    """Return a layer in the size of the images: shifts by a tenth, holes of a third."""
    height, width, *_ = encoding.input_shape
    if name == "fancy_pca":
        if len(encoding.input_shape) != 3 or isinstance(train, Table):
            raise SettingsError("--augment fancy_pca changes colours, and the images have none: leave it out")
        return FancyPCA.of(encoding.features(train[:_SEEN]))
    layers: dict[str, Layer] = {
        "flip": RandomFlip(),
        "shift": RandomShift(max(height // 10, 1), max(width // 10, 1)),
        "crop": RandomCrop(height, width, max(min(height, width) // 8, 1)),
        "affine": RandomAffine(),
        "color": ColorJitter(),
        "cutout": Cutout(max(min(height, width) // 3, 1)),
        "noise": GaussianNoise(0.05),
        "mixup": Mixup(),
    }
    return layers[name]
