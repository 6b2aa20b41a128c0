"""The network that training takes when none is described."""

from __future__ import annotations

from clearprop.cli.choices import Choices
from clearprop.data import Encoding, Table
from clearprop.data.columns import Array
from clearprop.errors import SettingsError
from clearprop.losses import LOSSES, BinaryLoss
from clearprop.nn import (
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
    RandomAffine,
    RandomCrop,
    RandomFlip,
    RandomShift,
)

_SEEN = 4096
"""How many images the colours are taken from."""


def network(encoding: Encoding, choices: Choices, train: Table | Array) -> list[Layer]:
    """Return the layers: augmentation, then those of the samples' kind.

    Args:
        encoding: of the training part.
        choices: how to train, complete.
        train: the raw features of the training part.

    Raises:
        SettingsError: augmentation is asked for where there are no images, or no colours.
    """
    return [*_augmentation(encoding, choices, train), *_dense(encoding, choices)]


def _dense(encoding: Encoding, choices: Choices) -> list[Layer]:
    """Dense layers of the chosen widths."""
    penalty = tuple(kind(factor) for kind, factor in ((L1, choices.l1), (L2, choices.l2 or 0.0)) if factor)
    layers: list[Layer] = [Flatten()] if len(encoding.input_shape) > 1 else []
    for width in choices.layers or ():
        layers.append(Dense(width, choices.activation, weights=choices.weights, penalty=penalty))
        if choices.dropout:
            layers.append(Dropout(choices.dropout))
    binary = issubclass(LOSSES[choices.loss], BinaryLoss)
    units = 1 if binary else LOSSES[choices.loss]().outputs_for(encoding.n_outputs)
    return [*layers, Dense(units, weights=choices.weights, biases=choices.output_bias, penalty=penalty)]


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
