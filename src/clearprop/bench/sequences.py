"""Networks of sequences: recurrent and attending workloads, described so that every side can build them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clearprop.bench.workloads import Data, Workload

GATES = {"rnn": 1, "gru": 3, "lstm": 4}
"""The recurrent cells, and how many weighted inputs of a unit each has."""


@dataclass(frozen=True)
class SequenceWorkload(Workload):
    """Tokens through an embedding, a recurrent layer or a transformer block, and a dense layer.

    `sizes` are the units of these three.

    Attributes:
        cell: "rnn" (tanh), "gru", "lstm" or "transformer": a causal block with the normalisation first, learnt places
            before it and a normalisation after it.
        length: the time steps of a sample.
        tokens: how many different ones there are.
        each: whether a token is learnt at each time step, or one after the last.
        heads: of the transformer.
        hidden: units of the transformer's two dense layers.
    """

    cell: str = "rnn"
    length: int = 64
    tokens: int = 64
    each: bool = True
    heads: int = 4
    hidden: int = 256

    @property
    def network(self) -> str:
        """The layers and their units."""
        embedding, units, last = self.sizes
        return f"embed {embedding}, {self.cell} {units}, {last}; T {self.length}"

    @property
    def flops(self) -> int:
        """Floating-point operations of the matrix products of a step: what the layers say, in all three passes."""
        embedding, units, last = self.sizes
        places = 2 * self.batch * self.length
        if self.cell in GATES:
            inner = places * GATES[self.cell] * units * (embedding + units)
        else:
            inner = places * units * (4 * units + 2 * self.length + 2 * self.hidden)
        return 3 * (inner + (places if self.each else 2 * self.batch) * units * last)

    def data(self) -> Data:
        """Make the samples: random, and the same every time."""
        rng = np.random.default_rng(0)
        x = rng.integers(0, self.tokens, (self.rows, self.length))
        return x, rng.integers(0, self.sizes[-1], x.shape if self.each else self.rows)


SEQUENCES = (
    SequenceWorkload("char-rnn", (64, 64, 64), 32, 10_000, 3.0, cell="rnn", length=32, quick=True),
    SequenceWorkload("char-lstm", (128, 128, 64), 32, 10_000, 1.4, cell="lstm"),
    SequenceWorkload("gru", (128, 128, 10), 32, 10_000, 2.0, cell="gru", each=False),
    SequenceWorkload("transformer", (64, 64, 64), 32, 10_000, cell="transformer"),
)
"""Networks of characters, with the batch and the goal beside the fastest peer; gru reads a sequence for one answer."""
