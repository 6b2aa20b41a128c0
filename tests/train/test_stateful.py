"""Truncated backpropagation through time: states that go on from batch to batch, beside loops of NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from clearprop import nn, optim
from clearprop.data import next_token_windows
from clearprop.errors import DataError, SettingsError
from clearprop.model import Model, load
from clearprop.train import CheckpointWritten, StopTraining, lanes_to_measure, lanes_to_train

RNG = np.random.default_rng(0)
N, T, D, H = 23, 4, 3, 5
X, Y = RNG.normal(size=(N, T, D)), RNG.normal(size=(N, T, 2))
CELLS = [
    nn.SimpleRNN(H, outputs="all"),
    nn.SimpleRNN(H, outputs="all", memory=2, start="learnt"),
    nn.LSTM(H, outputs="all", start="learnt"),
    nn.GRU(H, outputs="all", checkpoint=2),
    nn.GRU(H, outputs="all", reset="before", recurrent_dropout=0.3),
]


def model(cell, backend="reference", **settings):
    return Model([cell, nn.Dense(2)], optimizer=optim.SGD(0.1), dtype="float64", backend=backend, **settings)


# -- an independent loop: a simple recurrent network of NumPy, trained by truncated backpropagation ---------------


def numpy_step(p, x, y, h):
    """The mean of squared errors over lanes, steps and outputs; its derivatives, for h a constant; the last state."""
    steps = x.shape[1]
    hs, outputs = [h], []
    for t in range(steps):
        hs.append(np.tanh(x[:, t] @ p["W"] + hs[-1] @ p["U"] + p["b"]))
        outputs.append(hs[-1] @ p["V"] + p["c"])
    error = np.stack(outputs, axis=1) - y
    g = {name: np.zeros_like(array) for name, array in p.items()}
    dh = np.zeros_like(h)
    for t in reversed(range(steps)):
        do = 2 * error[:, t] / error.size
        g["V"] += hs[t + 1].T @ do
        g["c"] += do.sum(axis=0)
        dz = (do @ p["V"].T + dh) * (1 - hs[t + 1] ** 2)
        g["W"] += x[:, t].T @ dz
        g["U"] += hs[t].T @ dz
        g["b"] += dz.sum(axis=0)
        dh = dz @ p["U"].T
    return (error**2).mean(), g, hs[-1]


def numpy_fit(p, x, y, lanes, epochs, rate):
    """Lane b reads the windows b m to b m + m - 1; states begin at zero with an epoch."""
    m = len(x) // lanes
    losses = []
    for _ in range(epochs):
        h, total = np.zeros((lanes, H)), 0.0
        for t in range(m):
            rows = [b * m + t for b in range(lanes)]
            loss, g, h = numpy_step(p, x[rows], y[rows], h)
            p = {name: p[name] - rate * g[name] for name in p}
            total += loss / m
        losses.append(total)
    return p, losses


@pytest.mark.parametrize("backend", ["reference", "native"])
@pytest.mark.parametrize("lanes", [1, 5, 23])
def test_beside_a_loop_of_numpy(backend, lanes):
    ours = model(nn.SimpleRNN(H, outputs="all"), backend)
    ours.init((T, D))
    names = {"W": "simplernn1.W", "U": "simplernn1.U", "b": "simplernn1.b", "V": "dense1.W", "c": "dense1.b"}
    first = {name: ours.parameters[long].copy() for name, long in names.items()}
    history = ours.fit(X, Y, epochs=3, batch_size=lanes, stateful=True, progress=False)
    expected, losses = numpy_fit(first, X, Y, lanes, 3, 0.1)
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-12)
    for name, long in names.items():
        np.testing.assert_allclose(ours.parameters[long], expected[name], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_both_backends_agree(cell):
    both = [model(cell, backend) for backend in ("reference", "native")]
    for one in both:
        one.fit(X, Y, epochs=2, batch_size=4, stateful=True, progress=False, sample_weight=np.arange(1.0, N + 1))
    for name, array in both[0].parameters.items():
        np.testing.assert_allclose(both[1].parameters[name], array, rtol=1e-9, atol=1e-12)


def test_in_one_step_of_one_lane_nothing_is_cut():
    """A lane of one window is a window that starts anew."""
    cell = nn.LSTM(H, outputs="all", start="learnt")
    carried, anew = model(cell), model(cell)
    carried.fit(X, Y, epochs=2, batch_size=N, stateful=True, progress=False)
    anew.fit(X, Y, epochs=2, batch_size=N, shuffle=False, progress=False)
    for name, array in anew.parameters.items():
        np.testing.assert_allclose(carried.parameters[name], array, rtol=1e-12)


@pytest.mark.parametrize("cell", CELLS[:4], ids=repr)
@pytest.mark.parametrize("backend", ["reference", "native"])
def test_measured_with_states_windows_are_one_sequence(cell, backend):
    """One lane: the losses of the pieces are those of the whole sequence, read at once."""
    ours = model(cell, backend)
    ours.fit(X, Y, epochs=1, batch_size=23, progress=False)
    whole = Model([cell, nn.Dense(2)], dtype="float64", backend="reference")
    whole.init((N * T, D))
    whole.set_parameters(ours.parameters)
    expected = whole.evaluate(X.reshape(1, N * T, D), Y.reshape(1, N * T, 2))["loss"]
    np.testing.assert_allclose(ours.evaluate(X, Y, stateful=True)["loss"], expected, rtol=1e-12)
    assert abs(ours.evaluate(X, Y)["loss"] - expected) > 1e-6


def test_lanes_that_are_not_full_are_measured_exactly():
    """23 windows in 5 lanes of 5: the last lane has 3, and each window counts once."""
    cell = nn.GRU(H, outputs="all")
    ours = model(cell)
    ours.fit(X, Y, epochs=1, batch_size=5, stateful=True, progress=False, validation_data=(X, Y))
    assert ours.lanes is not None
    assert (ours.lanes.count, ours.lanes.steps) == (5, 4)
    total = 0.0
    for start in range(0, N, 5):
        rows = slice(start, min(start + 5, N))
        count = rows.stop - rows.start
        whole = Model([cell, nn.Dense(2)], dtype="float64", backend="reference")
        whole.init((count * T, D))
        whole.set_parameters(ours.parameters)
        total += count * whole.evaluate(X[rows].reshape(1, -1, D), Y[rows].reshape(1, -1, 2))["loss"]
    np.testing.assert_allclose(ours.evaluate(X, Y, stateful=True)["loss"], total / N, rtol=1e-12)


def test_metrics_and_weights_are_those_of_each_window():
    cell = nn.LSTM(H)
    labels = (X[:, -1, 0] > 0).astype(int)
    weight = np.arange(1.0, N + 1)
    ours = Model([cell, nn.Dense(2)], "cross_entropy", dtype="float64", backend="reference")
    history = ours.fit(
        X, labels, epochs=1, batch_size=5, stateful=True, metrics="accuracy", validation_data=(X, labels, weight),
        sample_weight=weight, progress=False,
    )  # fmt: skip
    again = ours.evaluate(X, labels, "accuracy", weight, stateful=True)
    assert history["val_accuracy"] == [again["accuracy"]]
    np.testing.assert_allclose(history["val_loss"], again["loss"])
    steps = [np.arange(start, min(start + 5, N)) for start in range(0, N, 5)]
    right = []
    for rows in steps:
        for end in range(1, len(rows) + 1):
            alone = Model([cell, nn.Dense(2)], "cross_entropy", dtype="float64", backend="reference")
            alone.init((end * T, D))
            alone.set_parameters(ours.parameters)
            right.append(alone.predict_classes(X[rows[:end]].reshape(1, -1, D))[0] == labels[rows[end - 1]])
    np.testing.assert_allclose(again["accuracy"], np.average(right, weights=weight))


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_a_run_goes_on_to_the_same_bits(backend, tmp_path):
    """Stopped in the middle of an epoch, with states at work."""
    settings = {"epochs": 4, "batch_size": 4, "stateful": True, "progress": False, "checkpoint_steps": 1}
    cell = nn.LSTM(H, outputs="all", recurrent_dropout=0.2)
    whole, cut, rest = (model(cell, backend) for _ in range(3))
    whole.fit(X, Y, **settings)
    assert cut.fit(X, Y, **settings, run=tmp_path / "run", listeners=[stopping_at(7)]).reason == "interrupted"
    history = rest.fit(X, Y, **settings, run=tmp_path / "run", resume=True)
    assert len(history) == 4
    for name, array in whole.parameters.items():
        np.testing.assert_array_equal(rest.parameters[name], array)
        assert (cut.parameters[name] != array).any()


def stopping_at(step):
    """A listener that ends the fit once so many steps are done."""

    def listener(event):
        if isinstance(event, CheckpointWritten) and event.step == step:
            raise StopTraining

    return listener


def test_the_file_keeps_what_the_step_was(tmp_path):
    ours = model(nn.GRU(H, outputs="all"))
    ours.fit(X, Y, epochs=1, batch_size=5, stateful=True, progress=False)
    ours.save(tmp_path / "model")
    again = load(tmp_path / "model")
    again.backend = "reference"
    assert again.lanes == ours.lanes
    assert again.source() == ours.source()
    assert "gru1.state0" in ours.explain("program")
    assert again.evaluate(X, Y, stateful=True) == ours.evaluate(X, Y, stateful=True)
    ours.fit(X, Y, epochs=1, progress=False)
    assert ours.lanes is None
    assert "state0" not in ours.explain("program")


def test_text_is_learnt_with_memory_beyond_a_window():
    """What comes next is told by what was 6 tokens ago; windows of 3 cannot know it without a state that goes on."""
    tokens = np.tile([1, 2, 3, 1, 2, 4], 200)
    x, y = next_token_windows(tokens, 3)
    losses = []
    for stateful in (True, False):
        network = [nn.Embedding(5, 4, weights=nn.Normal(1.0)), nn.GRU(8, outputs="all"), nn.Dense(5)]
        ours = Model(network, "cross_entropy", optim.Adam(0.02), seed=1)
        ours.fit(x, y, epochs=12, batch_size=4, stateful=stateful, progress=False)
        losses.append(ours.evaluate(x, y, stateful=stateful)["loss"])
    assert losses[0] < 0.1
    assert losses[1] > 0.2


@pytest.mark.parametrize(
    ("network", "settings", "error", "message"),
    [
        ([nn.Dense(2)], {}, SettingsError, "the network has none"),
        ([nn.GRU(H, outputs="all", reverse=True), nn.Dense(2)], {}, SettingsError, "gru1 carries no state"),
        ([nn.Bidirectional(nn.GRU(H, outputs="all")), nn.Dense(2)], {}, SettingsError, "bidirectional1.backward"),
        ([nn.EncoderDecoder(nn.GRU(H), nn.GRU(H), T), nn.Dense(2)], {}, SettingsError, "its encoder reads a whole"),
        ([nn.GRU(H, outputs="all"), nn.Dense(2)], {"batch_size": 24}, DataError, "23 windows make no 24 lanes"),
    ],
)
def test_what_carries_no_states(network, settings, error, message):
    ours = Model(network, dtype="float64", backend="reference")
    with pytest.raises(error, match=message):
        ours.fit(X, Y, epochs=1, **({"batch_size": 4} | settings), stateful=True, progress=False)


def test_optimisers_of_all_samples_carry_none():
    ours = Model([nn.GRU(H, outputs="all"), nn.Dense(2)], optimizer=optim.LBFGS(), dtype="float64")
    with pytest.raises(SettingsError, match="LBFGS takes all samples at once"):
        ours.fit(X, Y, stateful=True, progress=False)


def test_how_windows_lie_in_lanes():
    ours = model(nn.GRU(H, outputs="all"))
    samples = ours.samples(X, Y)
    trained, lanes = lanes_to_train(samples, 4)
    assert (lanes.count, lanes.steps, trained.count) == (4, 5, 20)
    for step in range(5):
        for lane in range(4):
            np.testing.assert_array_equal(trained.x[step, lane], X[lane * 5 + step])
    measured = lanes_to_measure(samples, 4)
    assert len(measured) == 6
    assert measured.weight is not None
    assert measured.weight.sum() == N
    assert lanes_to_measure(samples, 23).weight is None
