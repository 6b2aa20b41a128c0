"""Writing text with a trained model, token by token, at the same cost for each."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from clearprop.backends.protocol import Executable
from clearprop.compile import compile_program, for_one_step, without_loops
from clearprop.data import TextEncoding
from clearprop.data.text_encoding import UNKNOWN
from clearprop.errors import SettingsError
from clearprop.ir import Program, Type
from clearprop.losses import CrossEntropy, Focal
from clearprop.model.model import Model
from clearprop.randomness import Key
from clearprop.settings import check_value, number, whole_number
from clearprop.train import build_continuation

Array = np.ndarray[Any, Any]

_PROBE = 3
_TOLERANCE = 1e-3
_DRAWS = 1024
_TABLE = 4096
"""Vocabularies up to this have what the first layer makes of each token computed beforehand."""
TEMPERATURE, LENGTH, TOP_K = number("[0, inf)"), whole_number(0), whole_number(1)
"""What the settings of `generate` may be."""


class TextGenerator:
    """What a model has read and written so far, and the probabilities of what comes next.

    The states of the recurrent layers are kept from token to token, so that a token costs the same however long the
    text is. What follows from the parameters alone is computed here, so that a generator writes by the parameters that
    the model has now.

    Args:
        model: a model whose `encoding` is a `TextEncoding`, with a loss of logits, and with no memory between time
            steps but the states of its recurrent layers (which go forward).

    Raises:
        SettingsError: the model is not of that kind.
    """

    def __init__(self, model: Model) -> None:
        if not isinstance(model.encoding, TextEncoding):
            raise SettingsError("the model was not trained on text: its encoding is no TextEncoding")
        if not isinstance(model.loss, CrossEntropy | Focal):
            raise SettingsError(f"text is written from logits, as of cross-entropy, and the model has {model.loss!r}")
        self.encoding = model.encoding
        _check_memory(model)
        once, each = for_one_step(_continuation(model, 1), tuple(model.parameters), _TABLE)
        self._program = compile_program(each, model.backend)
        self._inputs = _first_inputs(model, self._program) | compile_program(once, model.backend)(model.parameters)
        self._states = [name for name in self._inputs if name in self._program.program.output_names]
        self.probability = np.zeros(self.encoding.n_outputs, model.dtype)

    def read(self, tokens: Iterable[int], temperature: float = 1.0) -> Array:
        """Go on by tokens, and return the probability of each token to come next, softmax(z / temperature)."""
        inputs = self._inputs
        inputs["temperature"][...] = temperature
        for token in tokens:
            inputs["x"][0, 0] = token
            outputs = self._program(inputs)
            for name in self._states:
                inputs[name][...] = outputs[name]
            self.probability = outputs["probability"]
        return self.probability

    def write(self, length: int, *, temperature: float = 1.0, top_k: int | None = None, seed: int = 0) -> Iterator[str]:
        """Draw tokens one after another and yield the text of each; see `generate`."""
        numbers = _uniform(seed)
        for _ in range(length):
            probability = self.probability
            probability[UNKNOWN] = 0
            token = _draw(probability, top_k, next(numbers)) if temperature else int(probability.argmax())
            yield self.encoding.vocabulary[token - 1]
            self.read((token,), temperature or 1.0)


def generate(
    model: Model,
    prompt: str = "",
    length: int = 200,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    seed: int = 0,
) -> Iterator[str]:
    """Write on from a prompt, and yield the text of each token as it is drawn.

    Args:
        model: see `TextGenerator`.
        prompt: what the model reads first; an empty one stands for a line break (or the most frequent token).
        length: how many tokens to write.
        temperature: what logits are divided by: below 1 likely tokens become likelier; 0 takes the likeliest.
        top_k: draw from so many likeliest tokens; None draws from all. The unknown token is never drawn.
        seed: decides every draw.

    Raises:
        SettingsError: the model cannot write text, or an argument has a value that is not allowed.
    """
    for name, allowed, value in (
        ("length", LENGTH, length),
        ("temperature", TEMPERATURE, temperature),
        ("top_k", TOP_K.or_else(None), top_k),
    ):
        check_value("generate", name, allowed, value)
    generator = TextGenerator(model)
    tokens = generator.encoding.tokens(prompt or "\n")
    generator.read(tokens if prompt or tokens[0] != UNKNOWN else [1], temperature or 1.0)
    return generator.write(length, temperature=temperature, top_k=top_k, seed=seed)


def _draw(probability: Array, top_k: int | None, uniform: float) -> int:
    """Return a token by the inverse of the cumulative probability, of the top k alone."""
    if top_k is not None and top_k < len(probability):
        probability[probability.argpartition(-top_k)[:-top_k]] = 0
    cumulative = probability.cumsum()
    drawn = cumulative.dtype.type(uniform * cumulative.item(-1))
    place = int(cumulative.searchsorted(drawn, side="right"))
    return place if place < len(cumulative) and probability[place] > 0 else int(probability.argmax())


def _uniform(seed: int) -> Iterator[float]:
    generator = Key(seed).child("text").generator()
    return itertools.chain.from_iterable(generator.random(_DRAWS).tolist() for _ in itertools.count())


def _continuation(model: Model, length: int) -> Program:
    types = {name: Type(model.dtype, array.shape) for name, array in model.parameters.items()}
    return without_loops(build_continuation(model.network, types, Type(model.dtype, (1, length))))


def _first_inputs(model: Model, executable: Executable) -> dict[str, Array]:
    """Return the parameters, and arrays of the call's own: tokens, temperature, and the states before the first."""
    inputs: dict[str, Array] = {}
    for value in executable.program.inputs:
        if value.name in model.parameters:
            inputs[value.name] = model.parameters[value.name]
            continue
        shape = tuple(int(str(dim)) for dim in value.type.shape)
        layer, _, place = value.name.rpartition(".state")
        learnt = model.parameters.get(f"{layer}.start") if place else None
        inputs[value.name] = np.zeros(shape, value.type.dtype)
        inputs[value.name][...] = 0 if learnt is None else learnt[int(place)]
    return inputs


def _check_memory(model: Model) -> None:
    """Refuse a network that does not give the same for a short sequence at once and for its steps with states."""
    at_once, by_step = (compile_program(_continuation(model, length), "reference") for length in (_PROBE, 1))
    tokens = np.arange(_PROBE, dtype=model.dtype)[None] % model.output_type().shape[-1]
    whole, steps = _first_inputs(model, at_once), _first_inputs(model, by_step)
    expected = at_once(whole | {"x": tokens, "temperature": np.ones((), model.dtype)})["probability"]
    for place in range(_PROBE):
        given = {"x": tokens[:, place : place + 1], "temperature": np.ones((), model.dtype)}
        outputs = by_step(steps | given)
        steps |= {name: array for name, array in outputs.items() if name in steps}
    if not np.allclose(outputs["probability"], expected, rtol=_TOLERANCE, atol=_TOLERANCE):
        raise SettingsError(
            "the network looks at other time steps in ways that no state carries on (backwards, by attention, by "
            "convolution): text is written by embeddings, recurrent layers that go forward, and layers of one time step"
        )
