"""The time of predicting one row, a NumPy row in, a NumPy row out; and that of writing one character.

python bench/latency.py     print the second, by the cell of the network
"""

from __future__ import annotations

import statistics
import time

import clearprop as cp
from clearprop import nn
from clearprop.bench import Data, Predict, Side, Workload

CELLS = {"rnn": nn.SimpleRNN, "gru": nn.GRU, "lstm": nn.LSTM}
UNITS, CHARACTERS = 128, 64


def latency(side: Side, workload: Workload, data: Data, seconds: float) -> float:
    """Return the median time of a call with one row."""
    return timed(side.predictor(workload, data), data, seconds)


def timed(predict: Predict, data: Data, seconds: float) -> float:
    """Call for so long, with one row after another."""
    rows = [data[0][i : i + 1] for i in range(min(len(data[0]), 64))]
    for row in rows:
        predict(row)
    times, end = [], time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        for row in rows:
            start = time.perf_counter()
            predict(row)
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def writing(cell: str, seconds: float) -> float:
    """Return the median time of a character: drawn, and read with the states kept, by a network of 128 units."""
    encoding = cp.data.TextEncoding.fit("".join(map(chr, range(32, 32 + CHARACTERS))))
    tokens = encoding.n_outputs
    network = [nn.Embedding(tokens, UNITS), CELLS[cell](UNITS, outputs="all"), cp.Dense(tokens)]
    model = cp.Model(network, loss="cross_entropy", seed=0)
    model.encoding = encoding
    model.init((CHARACTERS,))
    generator, times, end = cp.model.TextGenerator(model), [], time.perf_counter() + seconds
    generator.read([1])
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        length = sum(len(text) for text in generator.write(200))
        times.append((time.perf_counter() - start) / length)
    return statistics.median(times)


if __name__ == "__main__":
    for cell in CELLS:
        print(f"a character by {cell} {UNITS}: {1e6 * writing(cell, 2.0):.1f} us")
