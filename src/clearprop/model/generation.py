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
from clearprop.errors import SettingsError, ShapeError
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

    The states of recurrent layers are kept from token to token, so that a token costs the same however long the text
    is. What follows from the parameters alone is computed here, so that a generator writes by the parameters that the
    model has now. A network with other memory, such as causal attention, reads the last window of the text again for
    each token: as many tokens as the sequences that it was made for have.

    Args:
        model: a model whose `encoding` is a `TextEncoding`, with a loss of logits, in which a time step sees only
            itself and those before it.

    Raises:
        SettingsError: the model is not of that kind.
    """

    def __init__(self, model: Model) -> None:
        if not isinstance(model.encoding, TextEncoding):
            raise SettingsError("the model was not trained on text: its encoding is no TextEncoding")
        if not isinstance(model.loss, CrossEntropy | Focal):
            raise SettingsError(f"text is written from logits, as of cross-entropy, and the model has {model.loss!r}")
        self.encoding = model.encoding
        self._next: _Steps | _Window
        if _keeps_states(model):
            self._next = _Steps(model)
        elif _looks_back(model):
            self._next = _Window(model)
        else:
            raise SettingsError(
                "the network does not give the next token's scores at every place from the time steps before it "
                "(it looks at later time steps, or gives fewer of them): text cannot be written with it"
            )
        self._hottest = 1 / float(np.finfo(model.dtype).tiny)
        self.probability = np.ones(self.encoding.n_outputs, model.dtype)
        self.probability[UNKNOWN] = 0
        self.probability /= self.probability.sum()

    def read(self, tokens: Iterable[int], temperature: float = 1.0) -> Array:
        """Go on by tokens, and return the probability of each token to come next.

        It is softmax(z / temperature) over the tokens of the vocabulary; the unknown token, which is never written,
        has probability 0. A temperature beyond what the model's dtype holds counts as the nearest that it does.
        """
        temperature = min(max(temperature, 1 / self._hottest), self._hottest)
        for token in tokens:
            self.probability = self._next(token, temperature)
        return self.probability

    def write(self, length: int, *, temperature: float = 1.0, top_k: int | None = None, seed: int = 0) -> Iterator[str]:
        """Draw tokens one after another and yield the text of each; see `generate`.

        Before anything was read, each token is as likely as another.
        """
        numbers = _uniform(seed)
        for _ in range(length):
            probability = self.probability
            token = _draw(probability, top_k, next(numbers)) if temperature else int(probability.argmax())
            if not probability[token] > 0:
                raise SettingsError("no text can be written: the network's scores are not finite; train it again")
            yield self.encoding.vocabulary[token - 1]
            self.read((token,), temperature or 1.0)


class _Steps:
    """One token after another, with the states of the recurrent layers kept."""

    def __init__(self, model: Model) -> None:
        once, each = for_one_step(without_loops(_continuation(model, 1)), tuple(model.parameters), _TABLE)
        self._program = compile_program(each, model.backend)
        self._inputs = _first_inputs(model, self._program) | compile_program(once, model.backend)(model.parameters)
        self._states = [name for name in self._inputs if name in self._program.program.output_names]

    def __call__(self, token: int, temperature: float) -> Array:
        """Return the probabilities after one more token."""
        inputs = self._inputs
        inputs["temperature"][...] = temperature
        inputs["x"][0, 0] = token
        outputs = self._program(inputs)
        for name in self._states:
            inputs[name][...] = outputs[name]
        probability: Array = outputs["probability"][0]
        return probability


class _Window:
    """The last tokens, as many as the model's sequences are long, read again for each."""

    def __init__(self, model: Model) -> None:
        self._program = compile_program(_continuation(model, *(model.sample_shape or ())), model.backend)
        self._inputs = _first_inputs(model, self._program)
        self._tokens, self._count = self._inputs["x"][0], 0

    def __call__(self, token: int, temperature: float) -> Array:
        """Return the probabilities after one more token; what stands behind it is not seen."""
        tokens = self._tokens
        if self._count == len(tokens):
            tokens[:-1] = tokens[1:]
        else:
            self._count += 1
        tokens[self._count - 1] = token
        self._inputs["temperature"][...] = temperature
        probability: Array = self._program(self._inputs)["probability"][self._count - 1]
        return probability


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
        top_k: draw from so many likeliest tokens; None draws from all. The unknown token is never drawn, and the others
            are as likely as they are beside one another.
        seed: decides every draw.

    Raises:
        SettingsError: the model cannot write text, or an argument has a value that is not allowed; while the text is
            written, that a score is not finite.
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
    return build_continuation(model.network, types, Type(model.dtype, (1, length)), UNKNOWN)


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


def _keeps_states(model: Model) -> bool:
    """Whether the network gives the same for a short sequence at once and for its steps with states."""
    try:
        at_once, by_step = (compile_program(_continuation(model, length), "reference") for length in (_PROBE, 1))
    except ShapeError:  # made for sequences of one length
        return False
    tokens = np.arange(_PROBE, dtype=model.dtype)[None] % _outputs(model)
    whole, steps = _first_inputs(model, at_once), _first_inputs(model, by_step)
    expected = at_once(whole | {"x": tokens, "temperature": np.ones((), model.dtype)})["probability"]
    for place in range(_PROBE):
        given = {"x": tokens[:, place : place + 1], "temperature": np.ones((), model.dtype)}
        outputs = by_step(steps | given)
        steps |= {name: array for name, array in outputs.items() if name in steps}
    return np.allclose(outputs["probability"][-1], expected[-1], _TOLERANCE, _TOLERANCE, equal_nan=True)


def _looks_back(model: Model) -> bool:
    """Whether each place of a sequence has scores that do not depend on the tokens after it."""
    shape = model.sample_shape or ()
    if len(shape) != 1 or model.output_type().shape[1:-1] != shape:
        return False
    count = _outputs(model)
    tokens = np.arange(shape[0])[None] % count
    place = shape[0] // 2
    changed = np.where(np.arange(shape[0]) < place, tokens, (tokens + 1) % count)
    first, second = (model.predict(given)[0, :place] for given in (tokens, changed))
    return np.allclose(first, second, rtol=_TOLERANCE, atol=_TOLERANCE)


def _outputs(model: Model) -> int:
    return int(str(model.output_type().shape[-1]))
