"""The settings of a fit: what they take, and how many steps they make."""

from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearprop.errors import SettingsError
from clearprop.train import FitSettings, History


@pytest.mark.parametrize("name", ["epochs", "batch_size", "steps", "checkpoint_steps"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "3", True])
def test_whole_positive_numbers(name, value):
    with pytest.raises(SettingsError, match=rf"{name} is a whole number of at least 1, received {value!r}"):
        FitSettings(**{name: value})


def test_others():
    with pytest.raises(SettingsError, match="seed"):
        FitSettings(seed=-1)
    with pytest.raises(SettingsError, match="checkpoint_seconds"):
        FitSettings(checkpoint_seconds=float("nan"))
    with pytest.raises(SettingsError, match=r"'acuracy'.*accuracy"):
        FitSettings(metrics=("acuracy",))


@given(st.integers(1, 500), st.integers(1, 100), st.integers(1, 9), st.none() | st.integers(1, 400))
def test_counting_steps(samples_, batch_size, epochs, steps):
    settings = FitSettings(epochs=epochs, batch_size=batch_size, steps=steps)
    batches = len(range(0, samples_, batch_size))
    assert settings.steps_per_epoch(samples_) == batches
    assert settings.total_steps(samples_) == min(epochs * batches, steps or epochs * batches)


class TestHistory:
    def test_losses_become_records_when_they_are_read(self):
        history = History()
        history.add_losses(1, (4.0, 9.0), 2)
        assert (len(history), history.records) == (2, [])
        assert history.epochs == [{"epoch": 1.0, "loss": 2.0}, {"epoch": 2.0, "loss": 4.5}]
        assert history.epochs is history.records

    def test_records_and_losses_keep_their_order(self):
        history = History()
        history.add({"epoch": 1.0, "loss": 5.0, "accuracy": 0.5})
        history.add_losses(2, (4.0,), 1)
        assert history.last == {"epoch": 2.0, "loss": 4.0}
        history.add_losses(3, (2.0,), 1)
        history.add({"epoch": 4.0, "loss": 1.0})
        assert history.last == {"epoch": 4.0, "loss": 1.0}
        assert len(history) == 4
        assert history["loss"] == [5.0, 4.0, 2.0, 1.0]

    def test_it_is_written_and_read_with_what_was_not_yet_read(self):
        history = History(seconds=[0.5], reason="finished")
        history.add_losses(1, (4.0,), 2)
        written = asdict(history)
        assert written == {
            "epochs": [{"epoch": 1.0, "loss": 2.0}],
            "seconds": [0.5],
            "reason": "finished",
            "best_epoch": None,
        }
        assert History(**written) == history

    def test_histories_share_no_list(self):
        first, second = History(), History()
        first.add({"epoch": 1.0, "loss": 1.0})
        assert (len(first.epochs), len(second.epochs)) == (1, 0)
