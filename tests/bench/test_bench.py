"""What `clearprop bench` and the folder bench/ share: workloads, sides, rounds, one core."""

import os

import numpy as np
import pytest

from clearprop.bench import WORKLOADS, Unavailable, Workload, cores, cpu_name, seconds_a_step
from clearprop.bench.ours import Clearprop
from clearprop.bench.scikit import ScikitLearn
from clearprop.bench.summary import Summary, summarize

TINY = Workload("tiny", (3, 4, 2), 5, 12)
VALUES = Workload("values", (3, 4, 3), 5, 12, loss="squared_error", activation="tanh")
DROPPED = Workload("dropped", (3, 4, 2), 5, 12, dropout=0.5)
NORMALISED = Workload("normalised", (3, 4, 2), 5, 12, norm=True)


def test_workload_by_hand():
    assert TINY.network == "3-4-2"
    assert TINY.steps_per_epoch == 3
    assert TINY.classes == 2
    assert VALUES.classes is None
    # forward and weights' gradient: 2 * 2 * 5 * (3 * 4 + 4 * 2); the hidden layer's gradient: 2 * 5 * 4 * 2
    assert TINY.flops == 400 + 80


def test_data_is_the_same_every_time_and_has_all_classes():
    (x, y), (again, _) = TINY.data(), TINY.data()
    assert x.shape == (12, 3)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, again)
    assert np.bincount(y).tolist() == [6, 6]
    x, y = VALUES.data()
    assert y is x


def test_names_are_unique_and_goals_positive():
    assert len({workload.name for workload in WORKLOADS}) == len(WORKLOADS)
    assert all(workload.goal >= 1 for workload in WORKLOADS)


@pytest.mark.parametrize("workload", [TINY, VALUES, DROPPED, NORMALISED], ids=lambda workload: workload.name)
@pytest.mark.parametrize(
    "side", [Clearprop(), Clearprop("reference"), Clearprop(threads=1), ScikitLearn(), ScikitLearn(1)]
)
def test_sides_train_and_predict(side, workload):
    data = workload.data()
    if (workload.dropout or workload.norm) and side.name == "scikit-learn":
        with pytest.raises(Unavailable, match="dropout" if workload.dropout else "batch normalisation"):
            side.prepare(workload, data)
        return
    assert 0 <= side.prepare(workload, data)(7) < 1
    assert side.predictor(workload, data)(data[0][:1]).shape == (1, workload.sizes[-1])


def test_clearprop_trains_exactly_so_many_steps(monkeypatch):
    seen = []

    def fit(self, x, y, *, epochs, steps, batch_size, progress):
        seen.append((epochs, steps, batch_size))
        return type("History", (), {"seconds": [0.5] * epochs})()

    monkeypatch.setattr("clearprop.bench.ours.Model.fit", fit)
    train = Clearprop().prepare(TINY, TINY.data())
    assert train(7) == pytest.approx(1.5 / 7)  # 3 steps an epoch: three epochs, the last of them cut short
    assert seen == [(3, 7, 5)]


def test_scikit_learn_is_what_more_epochs_take_longer(monkeypatch):
    asked = []

    def fit(self, workload, data, epochs):
        asked.append((len(data[0]), epochs))
        return None, 10.0 + epochs

    monkeypatch.setattr(ScikitLearn, "_fit", fit)
    train = ScikitLearn().prepare(TINY, TINY.data())
    assert train(6) == pytest.approx(2 / 6)
    assert train(1) == 1.0
    assert asked == [(12, 1), (12, 3), (5, 1), (5, 2)]


class Clock:
    """A side whose steps take a given time, and the next time another."""

    def __init__(self, *seconds):
        self.seconds, self.asked = list(seconds), []

    def __call__(self, steps):
        self.asked.append(steps)
        return self.seconds[len(self.asked) % len(self.seconds)]


def test_rounds_take_turns_and_give_the_median():
    calls = []

    def side(name, step):
        def train(steps):
            calls.append(name)
            return step

        return train

    seconds_a_step({"a": side("a", 0.1), "b": side("b", 0.2)}, 0.1, 3)
    assert calls[-6:] == ["a", "b"] * 3
    noisy = Clock(0.001, 0.001, 0.001, 0.9, 0.001)
    assert seconds_a_step({"noisy": noisy}, 0.001, 5)["noisy"] == 0.001


def test_steps_are_as_many_as_fit_into_the_time():
    clock = Clock(0.001)
    seconds_a_step({"": clock}, 0.5, 2)
    assert clock.asked == [1, 1, 4, 16, 64, 256, 500, 500]


def test_a_side_that_takes_no_time_ends():
    clock = Clock(0.0)
    assert seconds_a_step({"": clock}, 0.1, 1)[""] == 0.0
    assert max(clock.asked) == 1_000_000


def test_threads_are_limited_for_a_side_alone(monkeypatch):
    seen = []

    def fit(self, *data, **settings):
        seen.append(os.environ.get("CLEARPROP_THREADS"))
        return type("History", (), {"seconds": [1.0]})()

    monkeypatch.setattr("clearprop.bench.ours.Model.fit", fit)
    monkeypatch.setenv("CLEARPROP_THREADS", "3")
    for side in (Clearprop(), Clearprop(threads=1)):
        side.prepare(TINY, TINY.data())(1)
    assert seen == ["3", "1"]
    assert os.environ["CLEARPROP_THREADS"] == "3"
    monkeypatch.delenv("CLEARPROP_THREADS")
    Clearprop(threads=2).prepare(TINY, TINY.data())(1)
    assert seen[-1] == "2"
    assert "CLEARPROP_THREADS" not in os.environ


def test_the_cpu_has_a_name():
    assert cpu_name()
    assert cores() >= 1


def test_summary_by_hand():
    summary = Summary(TINY, 1e-5, 2e-5, 4e-5)
    assert summary.samples == pytest.approx(500_000)
    assert summary.ratio == pytest.approx(4)
    assert summary.rate == pytest.approx(480 / 1e-5 * 1e-9)


def test_summarize():
    (summary,) = summarize([TINY], 0.001, 1)
    assert min(summary.ours, summary.one_thread) > 0
    assert summary.sklearn >= 0
