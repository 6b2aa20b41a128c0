"""Model files of earlier versions: they load, predict what they did, and train on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clearprop.files import write_arrays
from clearprop.model import load

OLD = json.loads((Path(__file__).parent / "models_0_1_0.json").read_text(encoding="utf-8"))
NAMES = [case["description"]["optimizer"]["type"] for case in OLD["models"]]


@pytest.mark.parametrize("case", OLD["models"], ids=NAMES)
def test_a_model_of_0_1_0(tmp_path, case):
    arrays = {name: np.array(value) for name, value in case["parameters"].items()}
    write_arrays(tmp_path / "old.model", "model", arrays, case["description"])
    model, x = load(tmp_path / "old.model"), np.array(OLD["x"])
    np.testing.assert_allclose(model.predict(x), case["prediction"], rtol=1e-12, atol=1e-15)
    assert type(model.optimizer).__name__ == case["description"]["optimizer"]["type"]
    target = np.zeros(len(x), int) if case["description"]["loss"]["type"] == "CrossEntropy" else np.zeros((len(x), 1))
    model.fit(x, target, epochs=1, progress=False)
    assert "def training_step" in model.source()


def test_every_class_of_0_1_0_is_among_them():
    """All but those that need a function of the user's."""

    def named(value: Any) -> set[str]:
        parts = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
        own = {value["type"]} if isinstance(value, dict) and "type" in value else set()
        return own.union(*map(named, parts))

    assert {
        *("L1", "L2", "Dense", "Dropout", "Flatten", "Identity", "Kaiming", "LeakyReLU", "Normal", "Parallel", "ReLU"),
        *("Residual", "Sequential", "Sigmoid", "Softmax", "Tanh", "Uniform", "Xavier"),
        *("SGD", "Adam", "Constant", "Cosine", "Momentum", "Nesterov", "Step"),
        *("BinaryCrossEntropy", "CrossEntropy", "SquaredError"),
    } <= named([case["description"] for case in OLD["models"]])
