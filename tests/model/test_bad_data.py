"""Data that `fit` and `predict` refuse: what the message says, and that nothing is left behind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_model import X, Y, make

from clearprop import nn
from clearprop.errors import ClearpropError, DataError, ShapeError
from clearprop.model import Model


def with_at(array: Any, place: tuple[int, ...], value: float) -> Any:
    changed = array.astype(float)
    changed[place] = value
    return changed


class TestBadData:
    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_not_finite_features_are_refused_with_their_place(self, value):
        with pytest.raises(DataError, match=rf"{value} among the features at index \(7, 2\) \(and 1 non-finite"):
            make().fit(with_at(X, (7, 2), value), Y, progress=False)

    @pytest.mark.parametrize("value", [-1.0, 0.5, 5.0])
    def test_samples_that_are_no_tokens(self, value):
        tokens = np.arange(20.0).reshape(10, 2) % 5
        model = Model([nn.Sequential(nn.Embedding(5, 3)), nn.Flatten(), nn.Dense(2)], "cross_entropy")
        message = rf"whole numbers from 0 to 4, and there is {value:g} among the features at index \(6, 1\)"
        with pytest.raises(DataError, match=message):
            model.fit(with_at(tokens, (6, 1), value), np.arange(10) % 2, progress=False)
        model.fit(tokens.astype(int), np.arange(10) % 2, epochs=1, progress=False)
        with pytest.raises(DataError, match=message):
            model.predict(with_at(tokens, (6, 1), value))

    def test_not_finite_targets_too(self):
        with pytest.raises(DataError, match=r"there is nan among the targets at index \(5,\)"):
            make(1, "squared_error").fit(X, with_at(X[:, 0], (5,), np.nan), progress=False)

    def test_masked_values(self):
        with pytest.raises(DataError, match=r"^the features have masked values, 1 in all.* filled\(\)"):
            make().fit(np.ma.array(X, mask=with_at(0 * X, (3, 1), 1.0)), Y, progress=False)
        with pytest.raises(DataError, match=r"^the targets have masked values, 2 in all"):
            make(1, "squared_error").fit(X, np.ma.array(X[:, 0], mask=np.arange(len(X)) < 2), progress=False)
        with pytest.raises(DataError, match="the features are not numbers"):
            make().fit(np.ma.array([(1.0, 2.0)], dtype=[("a", float), ("b", float)]), Y[:1], progress=False)
        plain, unmasked = (make().fit(x, Y, epochs=1, progress=False) for x in (X, np.ma.array(X)))
        assert plain["loss"] == unmasked["loss"]

    def test_targets_beyond_int64(self):
        target = np.full(len(X), 2**63, np.uint64)
        with pytest.raises(DataError, match=r"9223372036854775808 among the targets, beyond the largest int64"):
            make(1, "squared_error").fit(X, target, progress=False)
        target[:] = 2**62
        make(1, "squared_error", dtype="float64").fit(X, target, epochs=1, progress=False)

    def test_no_samples_to_validate_with(self):
        with pytest.raises(DataError, match="no samples to validate with"):
            make().fit(X, Y, validation_data=(X[:0], Y[:0]), progress=False)

    def test_too_large_for_float32(self):
        words = r"^-1e\+39 among the {} at index \({}\) is too large for float32, whose .* 3.4e\+38: .*dtype='float64'$"
        with pytest.raises(DataError, match=words.format("features", "3, 1")):
            make(dtype="float32").fit(with_at(X, (3, 1), -1e39), Y, progress=False)
        with pytest.raises(DataError, match=words.format("targets", "5,")):
            make(1, "squared_error", dtype="float32").fit(X, with_at(X[:, 0], (5,), -1e39), progress=False)
        with pytest.raises(DataError, match=r"there is inf among the features at index \(3, 1\)"):
            make(dtype="float32").fit(with_at(X, (3, 1), np.inf), Y, progress=False)

    def test_validation_and_prediction_are_checked_too(self):
        bad = with_at(X, (0, 1), np.nan)
        with pytest.raises(DataError, match=r"index \(0, 1\)"):
            make().fit(X, Y, validation_data=(bad, Y), progress=False)
        model = make()
        model.fit(X, Y, epochs=1, progress=False)
        with pytest.raises(DataError, match=r"index \(0, 1\)"):
            model.predict(bad)
        with pytest.raises(ShapeError, match=r"samples of shape \(4,\), received samples of \(3,\)"):
            model.predict(X[:, :3])
        with pytest.raises(DataError, match="row 1 has 2 and row 0 has 4"):
            model.predict([[1, 2, 3, 4], [5, 6]])

    @pytest.mark.parametrize(
        ("features", "target", "words"),
        [
            (X, Y[:-1], "40 samples and 39 targets"),
            (X[:30], Y, "30 samples and 40 targets"),
            (X[:0], Y[:0], "no samples"),
            (X, 3, "40 samples and no rows of targets"),
            (X[:, 0], Y, r"\(n, ...\).*shape \((40|30),\)"),
            (X.astype(str).astype(object) + "a", Y, "not numbers"),
            (X + 1j, Y, "numbers"),
            (X.astype(object), Y, r"received object of shape \(\d+, 4\): pass X\.astype\(float\)$"),
            (X, Y.astype(object), r"received object.*y\.astype\(int\)"),
            ([[1, 2], [3, 4], [5]], [0, 1, 1], r"features are no array: row 2 has 1 and row 0 has 2; give every row"),
            ([[[1, 2], [3]], [[1, 2], [3]]], [0, 1], "features are no array: .*inhomogeneous.*; give every row"),
            ([[1, 2], [3, 4]], [[0], [0, 1]], "targets are no array: row 1 has 2 and row 0 has 1"),
            (X, Y.astype(str), "numpy.unique"),
            (X, Y + 1, "run from 1 to 3 .*3 outputs, for classes 0 to 2"),
            (X, Y - 1, "from -1 to"),
            (X, Y.astype(float), r"takes class indices int64\[n\] .*received float64\[n\]: .* pass y\.astype\(int\)$"),
            (X, Y[:, None], r"received int64\[n, 1\]: class indices are one a sample, pass y\.ravel\(\)$"),
            (X, Y[:, None].astype(float), r"pass y\.ravel\(\)\.astype\(int\)$"),
            (X, np.eye(3, dtype=int)[Y], r"received int64\[n, 3\]: for one column a class, pass y\.astype\(float\)$"),
            (X, Y[:, None].repeat(2, 1), r"received int64\[n, 2\]$"),
        ],
    )
    @pytest.mark.parametrize("part", [0.0, 0.25])
    def test_others(self, features, target, words, part):
        with pytest.raises((DataError, ShapeError), match=words):
            make().fit(features, target, validation_split=part, progress=False)

    @pytest.mark.parametrize("target", [Y, Y * 2 - 1, Y * 0.75])
    def test_binary_targets_are_probabilities(self, target):
        with pytest.raises(DataError, match=r"from 0 to 1, and the target at index \(\d+, 0\) is"):
            make(1, "binary_cross_entropy").fit(X, target, progress=False)

    @pytest.mark.parametrize(
        ("features", "options"),
        [
            (X, {"class_weight": "even"}),
            (X, {"early_stopping": "val_loss"}),
            (X, {"progress": "loudly"}),
            (X, {"resume": True}),
            ({"a": X[:, 0], "b": X[:, 1]}, {"early_stopping": "val_loss"}),
            ({"a": X[:, 0], "b": X[:, 1]}, {"sample_weight": -np.ones(40)}),
        ],
    )
    def test_a_fit_that_is_refused_changes_nothing(self, features, options):
        model, twin = make(), make()
        with pytest.raises(ClearpropError):
            model.fit(features, Y, **{"progress": False} | options)
        assert model.encoding is None
        assert model.sample_shape is None
        assert not model.parameters
        model.fit(X[:, :2], Y, epochs=1, progress=False)
        twin.fit(X[:, :2], Y, epochs=1, progress=False)
        assert model.parameters.keys() == twin.parameters.keys()
        for name, array in model.parameters.items():
            np.testing.assert_array_equal(array, twin.parameters[name], err_msg=name)

    def test_inputs_are_left_untouched(self):
        before = X.copy(), Y.copy()
        weight = np.ones(40)
        make().fit(X, Y, epochs=2, sample_weight=weight, validation_split=0.2, progress=False)
        np.testing.assert_array_equal(X, before[0])
        np.testing.assert_array_equal(Y, before[1])
        np.testing.assert_array_equal(weight, 1)
