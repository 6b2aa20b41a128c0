"""The settings of a fit: what they take, and how many steps they make."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearprop.errors import SettingsError
from clearprop.train import FitSettings


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
