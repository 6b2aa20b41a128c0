"""Tables in: encoded with the training part's statistics; predictions come out in the user's words and units."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

from clearprop import losses, nn, optim
from clearprop.data import Encoding, Table, split
from clearprop.errors import DataError, SettingsError
from clearprop.model import Model, load
from clearprop.train import EpochEnded, StopTraining

RNG = np.random.default_rng(0)
N = 60
SIZE, KIND = RNG.normal(50, 20, N), RNG.choice(["flat", "house", "hut"], N)
PRICE = 1000 + 12 * SIZE + 300 * (KIND == "house") + RNG.normal(0, 10, N)
DEAR = np.where(np.median(PRICE) < PRICE, "dear", "cheap")
COLUMNS = {"size": SIZE, "kind": KIND}


def regression(**more) -> Model:
    return Model([nn.Dense(8, "tanh"), nn.Dense(1)], optimizer=optim.Adam(0.02), **more)


def classes(units: int = 2, loss: str = "cross_entropy") -> Model:
    return Model([nn.Dense(8, "tanh"), nn.Dense(units)], loss, optim.Adam(0.02))


@pytest.mark.parametrize("kind", [dict, pd.DataFrame, pl.DataFrame, Table], ids=lambda kind: kind.__module__)
def test_every_kind_of_table_gives_the_same_bits(kind):
    first, second = regression(), regression()
    first.fit(COLUMNS, PRICE, epochs=2, progress=False)
    second.fit(kind(COLUMNS), PRICE, epochs=2, progress=False)
    np.testing.assert_array_equal(first.parameters["dense1.W"], second.parameters["dense1.W"])
    np.testing.assert_array_equal(first.predict(COLUMNS), second.predict(kind(COLUMNS)))


def test_regression_comes_back_in_units():
    model = regression()
    history = model.fit(pd.DataFrame(COLUMNS), pd.Series(PRICE), epochs=150, metrics=["r2"], progress=False)
    assert history["r2"][-1] > 0.98
    prediction = model.predict(COLUMNS)
    assert prediction.shape == (N,)
    assert np.abs(prediction - PRICE).mean() < 60
    result = model.evaluate(COLUMNS, PRICE, metrics=["mean_absolute_error"])
    assert result["mean_absolute_error"] == pytest.approx(np.abs(prediction - PRICE).mean(), rel=1e-5)


@pytest.mark.parametrize(("units", "loss"), [(2, "cross_entropy"), (1, "binary_cross_entropy")])
def test_labels_come_back(units, loss):
    model = classes(units, loss)
    model.fit(COLUMNS, DEAR, epochs=60, metrics=["accuracy"], class_weight="balanced", progress=False)
    labels = model.predict_classes(COLUMNS)
    assert set(labels) <= {"cheap", "dear"}
    assert (labels == DEAR).mean() > 0.9
    assert model.evaluate(COLUMNS, DEAR, metrics=["accuracy"])["accuracy"] == (labels == DEAR).mean()
    assert model.predict(COLUMNS).shape == (N, units)


def test_few_whole_numbers_are_values_to_a_squared_error():
    """0, 1, 2 rooms are numbers for regression, whatever they look like."""
    rooms = 3 + 2 * (SIZE // 30).astype(int)
    model = regression()
    model.fit(COLUMNS, rooms, epochs=200, progress=False)
    assert model.encoding.task == "regression"
    assert np.abs(model.predict(COLUMNS) - rooms).mean() < 1.0


def test_many_numbers_are_labels_to_a_cross_entropy():
    codes = np.array([100.5, 7.25])[(DEAR == "dear").astype(int)]
    model = classes()
    model.fit(COLUMNS, codes, epochs=60, progress=False)
    assert set(model.predict_classes(COLUMNS)) <= {100.5, 7.25}


def test_the_encoding_is_of_the_training_part_only():
    rows, _ = split(N, 0.25, seed=0)
    model = regression()
    model.fit(COLUMNS, PRICE, epochs=1, validation_split=0.25, progress=False)
    table = Table(COLUMNS)
    expected = Encoding.fit(table.take(rows), PRICE[rows], task="regression")
    assert model.encoding.to_dict() == expected.to_dict()


def test_a_second_fit_keeps_the_encoding():
    model = regression()
    model.fit(COLUMNS, PRICE, epochs=1, progress=False)
    before = model.encoding
    model.fit({"size": SIZE * 10, "kind": KIND}, PRICE, epochs=1, progress=False)
    assert model.encoding is before


def test_columns_in_another_order_and_with_company():
    model = regression()
    model.fit(COLUMNS, PRICE, epochs=1, progress=False)
    other = pd.DataFrame({"colour": ["red"] * N, "kind": KIND, "size": SIZE})
    np.testing.assert_array_equal(model.predict(other), model.predict(COLUMNS))
    with pytest.raises(DataError, match="size"):
        model.predict({"kind": KIND})


def test_resumed_from_a_table(tmp_path):
    def fit(folder, **more):
        model = regression(seed=2)
        model.fit(pd.DataFrame(COLUMNS), PRICE, epochs=3, run=folder, progress=False, **more)
        return model

    def stop(event):
        if isinstance(event, EpochEnded):
            raise StopTraining

    fit(tmp_path / "whole")
    fit(tmp_path / "parts", listeners=[stop])
    resumed = fit(tmp_path / "parts", resume=True)
    whole, parts = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "parts"))
    assert whole == parts
    np.testing.assert_array_equal(load(tmp_path / "parts").predict(COLUMNS), resumed.predict(COLUMNS))


def test_words_for_a_squared_error_are_refused():
    with pytest.raises((DataError, SettingsError), match=r"cheap|dear"):
        regression().fit(COLUMNS, DEAR, progress=False)


def test_a_loss_of_ones_own_leaves_the_task_to_the_target():
    class Mine(losses.Loss):
        def target_type(self, output, given):
            return output

        def per_sample(self, output, target):
            return losses.SquaredError().per_sample(output, target)

    model = Model([nn.Dense(1)], Mine())
    model.fit(COLUMNS, PRICE, epochs=1, progress=False)
    assert model.encoding.task == "regression"


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "multi_label_margin"])
def test_several_answers_of_a_table(tmp_path, loss):
    """They are learnt by a loss of answers, and come back as the table had them."""
    x = np.random.default_rng(0).normal(size=(120, 2))
    table, words = {"a": x[:, 0], "b": x[:, 1]}, np.where(x > 0, "yes", "no")
    words[:, 1] = np.where(x[:, 0] > 0, "no", "yes")
    model = Model([nn.Dense(2)], loss, optim.Adam(0.1), backend="reference")
    model.fit(table, words, epochs=20, progress=False)
    assert (model.predict_classes(table) == words).mean() > 0.95
    assert model.evaluate(table, words, metrics=["accuracy"])["accuracy"] > 0.9
    model.save(tmp_path / "answers.model")
    np.testing.assert_array_equal(load(tmp_path / "answers.model").predict_classes(table), model.predict_classes(table))
