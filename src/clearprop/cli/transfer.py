"""Starting from a trained network: its layers, what it takes for inputs, and its parameters."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clearprop.cli.choices import Choices, Source
from clearprop.data import AnyEncoding, ColumnKind, Encoding
from clearprop.errors import DataError, SettingsError
from clearprop.model import Model, load
from clearprop.nn import AUGMENTATIONS, Dense, GaussianNoise, Layer, Mixup
from clearprop.nn.layer import named
from clearprop.randomness import Key

_CHANGES: tuple[type[Layer], ...] = (*AUGMENTATIONS.values(), GaussianNoise, Mixup)


@dataclass(frozen=True)
class Origin:
    """A trained model to start from.

    Attributes:
        path: the run's folder, or the model file.
        model: the model.
        encoding: of the data it was trained on.
        keeps_head: whether its last layer stays.
    """

    path: str
    model: Model
    encoding: Encoding
    keeps_head: bool

    @classmethod
    def of(cls, choices: Choices) -> Origin | None:
        """Read the model that training is to start from; None where it starts from random numbers.

        Raises:
            SettingsError: `new_head` without a model, or the model was not fitted to samples of a data set.
            DataError: the model is no longer there.
        """
        if choices.start_from is None:
            if choices.new_head:
                raise SettingsError("--new-head takes the layers of a trained network: name it with --start-from RUN")
            return None
        if not Path(choices.start_from).exists():
            raise DataError(f"the network to start from, {choices.start_from}, is not there: put it back")
        model = load(choices.start_from)
        if not isinstance(model.encoding, Encoding):
            raise SettingsError(
                f"{choices.start_from} holds a model that was fitted to arrays or text: start from it in Python"
            )
        return cls(choices.start_from, model, model.encoding, not choices.new_head)

    @property
    def kinds(self) -> dict[str, ColumnKind]:
        """What the columns of features are to be read as: what they were when the network learnt."""
        return kinds_of_features(self.encoding)

    def formed(self, source: Source) -> Source:
        """Return a source whose images come as those of training did, unless a size is asked for."""
        return source if source.size is not None else source.to_form(self.encoding.form)

    def encoded(self, encoding: Encoding) -> Encoding:
        """Return an encoding of new data whose inputs are those that the network knows, and with the head its outputs.

        Raises:
            SettingsError: the head that is to stay tells other classes apart.
        """
        if not self.keeps_head:
            return dataclasses.replace(encoding, inputs=self.encoding.inputs)
        before, now = self.encoding.classes, encoding.classes
        same = before is now if before is None or now is None else np.array_equal(before, now)
        if not same:
            raise SettingsError(
                f"the last layer of {self.path} learnt {_outputs(self.encoding)}, and the data has "
                f"{_outputs(encoding)}: --new-head replaces it"
            )
        return dataclasses.replace(encoding, inputs=self.encoding.inputs, outputs=self.encoding.outputs)

    def layers(self, head: Dense) -> list[Layer]:
        """Return the layers, with a new head unless the old one stays; without those that change images at random.

        Raises:
            SettingsError: the head that is to stay has not as many units, or there is none to replace.
        """
        layers = list(self.model.network.layers)
        while layers and isinstance(layers[0], _CHANGES):
            layers.pop(0)
        last = layers[-1]
        if self.keeps_head:
            if isinstance(last, Dense) and last.units != head.units:
                raise SettingsError(
                    f"the last layer of {self.path} has {last.units} units, and the loss needs {head.units}: choose "
                    "the --loss it was trained with, or replace it by --new-head"
                )
            return layers
        if not self._of_head():
            raise SettingsError(f"the last layer of {self.path} has no parameters to replace: leave --new-head out")
        return [*layers[:-1], head]

    def hand_over(self, model: Model) -> None:
        """Put the trained parameters into a model of these layers.

        A new head gets numbers of its own: with the same seed it would be what the old one was before training, to
        which the layers below have grown.

        Raises:
            SettingsError: the model's are not of the same names and shapes.
        """
        left_out = set() if self.keeps_head else self._of_head()
        model.set_parameters({name: array for name, array in self.model.parameters.items() if name not in left_out})
        if not self.keeps_head:
            drawn = model.network.init(Key(model.seed).child("new head"), model.sample_shape or ())
            new = model.fresh & frozenset(drawn)
            model.set_parameters({name: drawn[name] for name in new})
            model.fresh = new

    def _of_head(self) -> set[str]:
        name, _ = named(self.model.network.layers)[-1]
        return {parameter for parameter in self.model.parameters if parameter.startswith(f"{name}.")}


def kinds_of_features(encoding: AnyEncoding | None) -> dict[str, ColumnKind]:
    """Return what the columns of features are to be read as, without the target, which new data may have otherwise."""
    return dataclasses.replace(encoding, target_name=None).kinds if isinstance(encoding, Encoding) else {}


def _outputs(encoding: Encoding) -> str:
    if encoding.classes is None:
        return "numbers"
    return f"{len(encoding.classes)} classes ({', '.join(map(str, encoding.classes[:5]))}...)"
