"""Model files that somebody made up, with a right digest: refused, and before anything large is made of them."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from clearprop import estimators, files, nn, optim
from clearprop.description import describe
from clearprop.errors import FileFormatError
from clearprop.model import Model, load

LARGE: dict[str, tuple[nn.Layer, list[int]]] = {
    "dense": (nn.Dense(8000), [8000]),
    "many small ones": (nn.Sequential(*[nn.Dense(1000)] * 20), [1000]),
    "biases": (nn.Dense(10**9), [0]),
    "convolution": (nn.Conv2D(10**4, 100), [200, 200, 10]),
    "lstm": (nn.LSTM(4000), [3, 4000]),
    "memory": (nn.Bidirectional(nn.SimpleRNN(1, memory=10**8)), [3, 1]),
    "learnt start": (nn.SimpleRNN(10**8, start="learnt", recurrent="zeros"), [3, 0]),
    "orthogonal": (nn.Dense(8000, weights="orthogonal"), [8000]),
    "embedding": (nn.Embedding(10**7, 100), [3]),
    "attention": (nn.MultiHeadAttention(), [3, 8000]),
    "places": (nn.PositionEncoding("learnt"), [10**4, 10**4]),
    "layer norm": (nn.LayerNorm(), [10**8]),
    "batch norm": (nn.BatchNorm(), [10**8]),
    "averages": (nn.BatchNorm(affine=False), [10**8]),
    "slopes": (nn.PReLU(), [10**8]),
    "slopes of an activation": (nn.Dense(10**8, "prelu", bias=False), [0]),
}


def forge(path: Path, **parts: Any) -> None:
    """Write the file of a small model with other parts in its description."""
    model = Model([nn.Dense(1)])
    model.init((2,))
    model.save(path)
    arrays, description = files.read_arrays(path, "model")
    files.write_arrays(path, "model", arrays, description | parts)


@pytest.mark.parametrize(("layer", "sample"), LARGE.values(), ids=LARGE)
def test_no_more_is_made_than_the_file_holds(tmp_path, layer, sample):
    forge(tmp_path / "model", network=describe(nn.Sequential(layer)), sample_shape=sample)
    tracemalloc.start()
    try:
        with pytest.raises(FileFormatError, match="more than the 3 numbers that there are values for"):
            load(tmp_path / "model")
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_a_cell_whose_activation_has_parameters(tmp_path):
    """It is refused for that; whether it has any is not found by making a billion of them."""
    cell = {"type": "SimpleRNN", "units": 10**9, "activation": "prelu"}
    forge(tmp_path / "model", network={"type": "Sequential", "layers": [cell], "name": None}, sample_shape=[3, 1])
    tracemalloc.start()
    try:
        with pytest.raises(FileFormatError, match="an activation without parameters"):
            load(tmp_path / "model")
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_the_bound_ends_with_the_file(tmp_path):
    forge(tmp_path / "model", sample_shape=[10**6])
    with pytest.raises(FileFormatError):
        load(tmp_path / "model")
    model = Model([nn.LayerNorm(), nn.Dense(5)])
    model.init((100,))
    assert sum(array.size for array in model.parameters.values()) == 705


@pytest.mark.parametrize("depth", [400, 600, 960, 3000, 100_000])
@pytest.mark.parametrize("part", ["frozen", "network", "encoding", "fitted", "sample_shape", "estimator"])
def test_deeply_nested(tmp_path, part, depth):
    """Refused, or without effect; it is never a RecursionError."""
    path = tmp_path / "model"
    forge(path, **{part: "@"})
    arrays, description = files.read_arrays(path, "model")
    text = json.dumps(description, sort_keys=True).replace('"@"', "[" * depth + "]" * depth)
    digest = hashlib.sha256(text.encode())
    for name, array in sorted(arrays.items()):
        digest.update(json.dumps([name, str(array.dtype), array.shape]).encode() + array.tobytes())
    header = f'{{"format": 1, "kind": "model", "description": {text}, "digest": "{digest.hexdigest()}"}}'
    path.write_bytes(safetensors.numpy.save(arrays, metadata={"clearprop": header}))
    for read in (load, estimators.load):
        try:
            read(path)
        except FileFormatError:
            continue
        assert part in ("frozen", "estimator")
        assert read is load


def test_deeply_nested_parameters_of_an_estimator(tmp_path):
    fitted = estimators.NeuralRegressor(width=2, epochs=1).fit(np.ones((4, 2)), np.arange(4.0))
    estimators.save(fitted, tmp_path / "model")
    arrays, description = files.read_arrays(tmp_path / "model", "model")
    nested: Any = []
    for _ in range(600):
        nested = [nested]
    description["estimator"]["params"]["width"] = nested
    files.write_arrays(tmp_path / "model", "model", arrays, description)
    with pytest.raises(FileFormatError):
        estimators.load(tmp_path / "model")


def test_nested_json(tmp_path):
    (tmp_path / "settings.json").write_text("[" * 100_000)
    with pytest.raises(FileFormatError, match="cannot be read as JSON"):
        files.read_json(tmp_path / "settings.json")


@pytest.mark.parametrize("optimizer", [optim.Adam(), optim.LBFGS()], ids=repr)
def test_what_is_well_formed_is_read(tmp_path, optimizer):
    """A model with one of everything that is counted has as many numbers as its file."""
    layers = [
        nn.Embedding(5, 4, padding=0),
        nn.PositionEncoding("learnt"),
        nn.MultiHeadAttention(2),
        nn.LayerNorm(),
        nn.Bidirectional(nn.LSTM(3, outputs="all", start="learnt")),
        nn.SimpleRNN(3, outputs="all", memory=3),
        nn.GRU(4, weights=nn.Sparse()),
        nn.Dense(4, "prelu", weights="orthogonal"),
        nn.BatchNorm(),
        nn.Dense(2, weights=nn.Given(np.ones((4, 2)).tolist()), biases="class_prior"),
    ]
    model = Model(layers, "cross_entropy", optimizer)
    model.init((6,))
    model.save(tmp_path / "model")
    x = np.arange(12).reshape(2, 6) % 5
    np.testing.assert_array_equal(load(tmp_path / "model").predict(x), model.predict(x))
