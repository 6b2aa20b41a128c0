"""The settings of a fit: what they take, and how many steps they make."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearprop.errors import SettingsError
from clearprop.settings import limits
from clearprop.train import PARAMETERS, EarlyStopping, FitSettings

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
