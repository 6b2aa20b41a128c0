"""What texts and series share: what options have no use with them, and the defaults of recurrent networks."""

from __future__ import annotations

import dataclasses
from typing import Any

from clearprop.cli.choices import Choices
from clearprop.compile import choose_backend
from clearprop.errors import SettingsError
from clearprop.optim import OPTIMIZERS, WHOLE_BATCH, Adam


def complete_recurrent(choices: Choices, task: str, usual: dict[str, Any]) -> Choices:
    """Put a value in the place of every choice that was left open.

    Args:
        choices: what was asked for.
        task: "text" or "series".
        usual: what is taken where an option is left out, by the name of the choice.

    Raises:
        SettingsError: an option has no use here.
    """
    if choices.optimizer in WHOLE_BATCH:
        raise SettingsError(
            f"{task} is learnt by steps on batches of windows: leave out --optimizer {choices.optimizer}"
        )
    cell = choices.cell or usual["cell"]
    if cell == "rnn":
        usual = usual | {"activation": "tanh"}
    elif choices.activation is not None:
        raise SettingsError(f"--activation is for --cell rnn: the gates of {cell} have functions of their own")
    own = OPTIMIZERS[choices.optimizer]().learning_rate
    if own != Adam().learning_rate:
        usual = usual | {"lr": own}  # of an optimiser on another scale
    if not (usual["validation"] if choices.validation is None else choices.validation):
        usual = {name: value for name, value in usual.items() if name != "patience"}  # there is nothing to watch
    chosen = {name: value for name, value in usual.items() if getattr(choices, name) is None}
    choices = dataclasses.replace(choices, **chosen, task=task)
    return dataclasses.replace(choices, backend=choose_backend(choices.backend))
