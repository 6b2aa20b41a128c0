"""Training on text: the parts by position, the vocabulary, the network, and the figures."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from clearprop.cli.about import about
from clearprop.cli.choices import TRANSFORMER, Choices
from clearprop.cli.networks import recurrent
from clearprop.cli.output import note
from clearprop.cli.preparing import Part, Parts, Prepared, made
from clearprop.cli.recurrences import complete_recurrent
from clearprop.data import Text, TextEncoding, next_token_windows, split_by_position, text_figures
from clearprop.data.columns import Array
from clearprop.data.text_encoding import UNKNOWN
from clearprop.errors import SettingsError
from clearprop.model import Model
from clearprop.nn import Dense, Embedding, Layer, LayerNorm, Normal, PositionEncoding, TransformerBlock

_MOST_WORDS = 20_000
_USUAL: dict[str, Any] = {
    "cell": "lstm",
    "units": 128,
    "depth": 1,
    "window": 64,
    "level": "char",
    "lr": 0.003,
    "epochs": 10,
    "batch_size": 32,
    "l2": 0.0,
    "schedule": "cosine",
    "validation": 0.1,
    "patience": 3,
}
"""What training on text takes where an option is left out."""


def complete(choices: Choices) -> Choices:
    """Put a value in the place of every choice that was left open.

    Raises:
        SettingsError: something was asked for that has no use with text.
    """
    if choices.loss not in ("auto", "cross_entropy"):
        raise SettingsError(
            "a text is learnt by the probabilities of the next token, on cross-entropy: leave out --loss"
        )
    choices = complete_recurrent(choices, "text", _USUAL)
    most = _MOST_WORDS if choices.vocabulary is None and choices.level == "word" else choices.vocabulary
    return dataclasses.replace(choices, vocabulary=most, loss="cross_entropy", metrics=())


def divide_text(text: Text, choices: Choices) -> tuple[TextEncoding, Parts]:
    """Hold out the end of the text for the test, what is before it for validation, and read the rest's vocabulary.

    Raises:
        DataError: a part is shorter than a window.
    """
    train, validation, test = split_by_position(len(text), choices.validation or 0.0, choices.test)
    encoding = TextEncoding.fit(
        text.text[train], level=choices.level or "", most=choices.vocabulary, dtype=choices.dtype
    )
    held_out = [
        text_part(encoding, text.text[part], choices.window or 1) if fraction else None
        for part, fraction in ((validation, choices.validation), (test, choices.test))
    ]
    return encoding, Parts(text_part(encoding, text.text[train], choices.window or 1), *held_out)


def text_part(encoding: TextEncoding, text: str, window: int) -> Part:
    """Return a text as windows of tokens with the next tokens as targets."""
    return Part(*next_token_windows(encoding.tokens(text), window))


def tell_unknown(tokens: Array, what: str) -> None:
    """Print how many tokens of a text are unknown, if any is: they make figures better than they are."""
    count = np.count_nonzero(tokens == UNKNOWN)
    if count:
        note(f"{count} of {tokens.size} tokens of {what} are not in the vocabulary ({count / tokens.size:.1%})")


def prepare_text(text: Text, choices: Choices) -> Prepared[TextEncoding]:
    """Divide, read the vocabulary from the training part alone, and write the network.

    Raises:
        DataError, SettingsError: the text or a choice does not fit.
    """
    choices = complete(choices)
    with about(text.name):
        encoding, parts = divide_text(text, choices)
    model = made(_network(encoding, choices), encoding, (choices.window or 1,), choices)
    return Prepared(model, encoding, parts, choices)


def _network(encoding: TextEncoding, choices: Choices) -> list[Layer]:
    embedding = Embedding(encoding.n_outputs, choices.units or 1, weights=Normal(1.0))  # 0.05 learns more slowly
    if choices.cell == TRANSFORMER:
        return [embedding, *_blocks(choices), LayerNorm(), Dense(encoding.n_outputs)]
    return recurrent([embedding], choices, outputs="all", units=encoding.n_outputs)


def _blocks(choices: Choices) -> list[Layer]:
    """Return causal blocks, with four heads where the units can be shared out, after the place of each token.

    Raises:
        SettingsError: penalties or initialisers are asked for, which blocks do not take.
    """
    given = {"--l1": choices.l1, "--l2": choices.l2, "--weights": choices.weights != "auto"}
    for option, value in given.items():
        if value:
            raise SettingsError(f"--cell {TRANSFORMER} has no use for {option}: leave it out")
    units = choices.units or 1
    settings: dict[str, Any] = {} if choices.activation is None else {"activation": choices.activation}
    block = TransformerBlock(math.gcd(units, 4), 4 * units, causal=True, dropout=choices.dropout or 0.0, **settings)
    return [PositionEncoding("learnt"), *[block] * (choices.depth or 1)]


def measured_text(model: Model, part: Part) -> dict[str, float]:
    """Return loss (nats a token), perplexity and bits a character of a model on windows of text.

    A model that was trained with states carried from window to window is measured so.
    """
    loss = model.evaluate(part.features, part.target, stateful=model.lanes is not None)["loss"]
    encoding = model.encoding
    if not isinstance(encoding, TextEncoding):
        raise SettingsError("the model was not trained on text")
    characters = sum(len(encoding.text(row)) for row in part.target)
    return {"loss": loss} | text_figures(loss, characters / part.target.size)


def recognised_text(text: Text, prepared: Prepared[TextEncoding]) -> str:
    """Return text, vocabulary, parts and network in words."""
    choices, parts, encoding = prepared.choices, prepared.parts, prepared.encoding
    count = sum(array.size for array in prepared.model.parameters.values())
    named = (("train", parts.train), ("validation", parts.validation), ("test", parts.test))
    sizes = ", ".join(f"{len(part)} {name}" for name, part in named if part is not None)
    return "\n".join(
        [
            f"{text.name}: {'; '.join(text.notes)}",
            f"tokens: {encoding.describe()}",
            f"windows of {choices.window} tokens, in the order of the text: {sizes}"
            f"{f'; in {choices.batch_size} lanes, which keep their states' if choices.stateful else ''}",
            f"network: embedding {choices.units}, {choices.depth} x {choices.cell} {choices.units}, {count} parameters",
            f"steps: {choices.optimizer} lr {choices.lr:g} {choices.schedule}, batches of {choices.batch_size}, "
            f"up to {choices.epochs} epochs",
        ]
    )
