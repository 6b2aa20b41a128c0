"""What a run's folder keeps, and how it is read back."""

import json
import math

from clearprop.model import Model, Run
from clearprop.nn import Dense
from clearprop.train import FitSettings, History
from clearprop.train.events import EpochEnded


def strictly(text):
    """Read JSON as every other reader does: without NaN and Infinity."""

    def refuse(word):
        raise ValueError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_figures_that_are_not_finite_are_null_in_files_and_nan_when_read(tmp_path):
    run, model = Run(tmp_path / "run"), Model([Dense(2)], "cross_entropy")
    log = run.begin(model, FitSettings(), None)
    record = {"epoch": 1.0, "loss": 0.1, "val_loss": math.inf, "val_roc_auc": math.nan}
    log(EpochEnded(1, 3, record, 0.5, False))
    model.init((3,))
    run.finish(model, History([record], [0.5], "finished"))
    assert strictly(run.events.read_text())["record"] == {
        "epoch": 1,
        "loss": 0.1,
        "val_loss": None,
        "val_roc_auc": None,
    }
    assert strictly(run.history_file.read_text())["epochs"][0]["val_roc_auc"] is None
    strictly(run.settings.read_text())
    history = run.history()
    assert history["loss"] == [0.1]
    assert math.isnan(history["val_loss"][0])
    assert math.isnan(history["val_roc_auc"][0])
