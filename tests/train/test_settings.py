"""The settings of a fit: what they take, and how many steps they make."""

from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearprop.errors import SettingsError
from clearprop.settings import limits
from clearprop.train import PARAMETERS, EarlyStopping, FitSettings, History

WRONG = [
    pytest.param(kind, name, value, id=f"{kind.__name__}.{name}={value!r}")
    for kind in (FitSettings, EarlyStopping)
    for name, allowed in limits(kind).items()
    for value in allowed.wrong
]


@pytest.mark.parametrize(("kind", "name", "value"), WRONG)
def test_a_wrong_value_names_the_setting_what_it_may_be_and_what_came(kind, name, value):
    with pytest.raises(SettingsError) as caught:
        kind(**{name: value})
    assert str(caught.value) == f"{kind.__name__}: {name} {limits(kind)[name].words}, received {value!r}"


def test_every_parameter_of_the_table_has_wrong_values_and_words():
    for name, allowed in PARAMETERS.items():
        assert allowed.words, name
        assert allowed.wrong, name
        assert not any(allowed.holds(value) for value in allowed.wrong), name


def test_an_unknown_metric():
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

    def test_the_best_record_is_that_of_the_best_epoch_or_the_last(self):
        history = History()
        assert history.best == {}
        history.add_losses(1, (4.0, 9.0), 1)
        assert history.best == {"epoch": 2.0, "loss": 9.0}
        history.best_epoch = 1
        assert history.best == {"epoch": 1.0, "loss": 4.0}

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
