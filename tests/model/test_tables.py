"""Tables of text in Python: what a column holds is decided in the fit; a row is predicted alone as among others."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

import clearprop as cp

MAKERS = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "lazy": pl.LazyFrame, "mapping": dict}


def houses(count=120):
    """Words that look like a missing value, a boolean, a number and a date where no others stand beside them."""
    rng = np.random.default_rng(0)
    choices = {
        "garage": ["None", "Attached", "Detached"],
        "answer": ["True", "False", "unsure"],
        "version": ["1.50", "1.5", "beta"],
        "since": ["2024-01-01", "2023-06-01", "unknown"],
    }
    columns = {name: rng.choice(words, count).tolist() for name, words in choices.items()}
    columns["area"] = [f"{value:.1f}".replace(".", ",") for value in rng.uniform(1000, 5000, count)]
    garage, answer, version = (np.array(columns[name]) for name in list(choices)[:3])
    target = 10.0 * (garage == "None") + 5 * (answer == "True") + 2 * (version == "1.50")
    return columns, target


@pytest.mark.parametrize("kind", MAKERS)
def test_a_row_is_predicted_alone_as_among_others(kind):
    make = MAKERS[kind]
    columns, target = houses()
    model = cp.Model([cp.Dense(8, "relu"), cp.Dense(1)], optimizer=cp.Adam(0.02))
    model.fit(make(columns), target, epochs=30, progress="quiet")
    new = {
        "garage": ["None", "Attached", "Detached"],
        "answer": ["True", "unsure", "False"],
        "version": ["1.50", "beta", "1.5"],
        "since": ["2024-01-01", "unknown", "2023-06-01"],
        "area": ["1.234", "2000", "3500,5"],  # with the comma of training, a point separates thousands
    }
    together = model.predict(make(new))
    assert together[0] - together[2] > 5
    for row in range(3):
        alone = make({name: [values[row]] for name, values in new.items()})
        assert model.predict(alone) == pytest.approx(together[row : row + 1], rel=1e-5)
        assert model.evaluate(alone, together[row : row + 1])["loss"] == pytest.approx(0, abs=1e-8)
