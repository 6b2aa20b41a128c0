"""Images scaled and whitened: against NumPy and scikit-learn, kept in model files, from files as from memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from clearprop import nn
from clearprop.data import Encoding, ImageForm
from clearprop.data.image_features import SCALINGS, ImageFeatures
from clearprop.data.storage import empty, is_mapped
from clearprop.errors import DataError, FileFormatError, SettingsError
from clearprop.model import Model, load

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(0)
X = (RNG.random((200, 4, 5, 3)) * np.linspace(60, 250, 5)[:, None] + RNG.integers(0, 5, (200, 1, 1, 1))).astype(
    np.uint8
)
Y = np.arange(200) % 4
FORM = ImageForm(4, 5, 3, "crop")


def mapped(array: Array) -> Array:
    """The same numbers in a file."""
    result = empty(array.shape, array.dtype, mapped=True)
    result[...] = array
    return result


def encoded(scaling: str, train: Array = X, images: Array = X, **more: Any) -> Array:
    return Encoding.fit(train, Y[: len(train)], scaling=scaling, dtype="float64", **more).features(images)


class TestValues:
    def test_pixels(self):
        np.testing.assert_allclose(encoded("pixels"), X / 255, rtol=1e-15)

    @pytest.mark.parametrize(("scaling", "axes"), [("whole", (0, 1, 2, 3)), ("channel", (0, 1, 2)), ("pixel", (0,))])
    def test_standardised(self, scaling, axes):
        x = X / 255
        expected = (x - x.mean(axes, keepdims=True)) / x.std(axes, keepdims=True)
        np.testing.assert_allclose(encoded(scaling), expected, rtol=1e-9, atol=1e-9)

    def test_every_pixel_as_scikit_learn_does(self):
        expected = StandardScaler().fit_transform(X.reshape(200, -1) / 255)
        np.testing.assert_allclose(encoded("pixel").reshape(200, -1), expected, rtol=1e-9, atol=1e-9)

    @pytest.mark.parametrize("scaling", ["whole", "channel", "pixel"])
    def test_grey_images_without_channels(self, scaling):
        grey = X[..., 0]
        np.testing.assert_allclose(encoded(scaling, grey, grey), encoded(scaling, X[..., :1], X[..., :1])[..., 0])

    def test_pca_as_scikit_learn_does(self):
        pca = PCA().fit(X.reshape(200, -1) / 255)
        scores = pca.transform(X.reshape(200, -1) / 255)
        variances = pca.explained_variance_ * 199 / 200
        result = encoded("pca", epsilon=0.003)
        assert result.shape == (200, 60)
        np.testing.assert_allclose(np.abs(result), np.abs(scores / np.sqrt(variances + 0.003)), rtol=1e-6, atol=1e-8)

    def test_zca_whitens_and_stays_near(self):
        result = encoded("zca", epsilon=1e-9)
        assert result.shape == X.shape
        np.testing.assert_allclose(np.cov(result.reshape(200, -1), rowvar=False, bias=True), np.eye(60), atol=1e-4)
        # of all whitenings it is the one with a symmetric matrix
        matrix = Encoding.fit(X, Y, scaling="zca").arrays["matrix"]
        np.testing.assert_allclose(matrix, matrix.T, rtol=1e-9, atol=1e-9)

    def test_zca_against_the_formula(self):
        x = X.reshape(200, -1) / 255
        covariance = np.cov(x, rowvar=False, bias=True)
        values, vectors = np.linalg.eigh(covariance + 0.02 * np.eye(60))
        expected = (x - x.mean(axis=0)) @ (vectors / np.sqrt(values)) @ vectors.T
        np.testing.assert_allclose(encoded("zca", epsilon=0.02).reshape(200, -1), expected, rtol=1e-6, atol=1e-8)

    def test_statistics_are_those_of_training(self):
        mean, std = X[:50].mean() / 255, (X[:50] / 255).std()
        np.testing.assert_allclose(encoded("whole", X[:50], X[50:]), (X[50:] / 255 - mean) / std, rtol=1e-9, atol=1e-9)

    def test_a_pixel_that_never_changes_is_0(self):
        x = X.copy()
        x[:, 0, 0, 0] = 7
        result = encoded("pixel", x, x)
        assert np.abs(result[:, 0, 0, 0]).max() < 1e-12
        assert np.isfinite(result).all()

    def test_what_was_bytes_in_training_is_taken_for_bytes(self):
        np.testing.assert_allclose(encoded("channel", X, X.astype(np.float64)), encoded("channel"), rtol=1e-12)
        floats = X / 255
        np.testing.assert_allclose(encoded("channel", floats, floats), encoded("channel"), rtol=1e-9, atol=1e-9)

    @pytest.mark.parametrize("scaling", SCALINGS)
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_what_looks_scaled_already_is_told(self, scaling, dtype):
        bytes_, floats = Encoding.fit(X, Y, scaling=scaling), Encoding.fit(X / 255, Y, scaling=scaling)
        for images in (X, X.astype(dtype), X // 255, X[:0].astype(dtype)):
            assert bytes_.inspect(images) == ()
        (note,) = bytes_.inspect((X / 255).astype(dtype))
        assert "training had bytes from 0 to 255: they look scaled already" in note
        assert floats.inspect((X / 255).astype(dtype)) == ()

    @pytest.mark.parametrize("scaling", SCALINGS)
    def test_images_in_a_file_stay_in_one(self, scaling):
        inside = Encoding.fit(mapped(X), Y, scaling=scaling)
        result = inside.features(mapped(X))
        assert is_mapped(result)
        assert not is_mapped(inside.features(X))
        np.testing.assert_array_equal(result, Encoding.fit(X, Y, scaling=scaling).features(X))

    def test_arrays_of_the_usual_scaling_stay_in_a_file_too(self):
        for x in (X, X.astype(np.float32)):
            assert is_mapped(Encoding.fit(mapped(x), Y).features(mapped(x)))


class TestFiles:
    @pytest.mark.parametrize("scaling", SCALINGS)
    def test_a_model_file_keeps_it(self, tmp_path: Path, scaling):
        encoding = Encoding.fit(X, Y, scaling=scaling, form=FORM)
        model = Model([nn.Flatten(), nn.Dense(4)], "cross_entropy", backend="reference")
        model.encoding = encoding
        model.fit(X, Y, epochs=1, progress=False)
        model.save(tmp_path / "model")
        again = load(tmp_path / "model")
        again.backend = "reference"
        np.testing.assert_array_equal(again.predict(X), model.predict(X))
        assert again.encoding is not None
        assert again.encoding.form == FORM
        assert set(again.parameters) == set(model.parameters)

    def test_json_alone_is_not_enough(self):
        encoding = Encoding.fit(X, Y, scaling="zca")
        content = json.loads(json.dumps(encoding.to_dict()))
        np.testing.assert_array_equal(Encoding.from_dict(content, encoding.arrays).features(X), encoding.features(X))
        with pytest.raises(FileFormatError, match="encoding has arrays"):
            Encoding.from_dict(content)
        wrong = dict(encoding.arrays, mean=np.full(60, np.nan))
        with pytest.raises(FileFormatError, match="encoding has arrays"):
            Encoding.from_dict(content, wrong)

    @pytest.mark.parametrize(
        ("field", "value"),
        [("scaling", "big"), ("sample_shape", [4]), ("unit", 0), ("epsilon", "x"), ("source", {}), ("source", 3)],
    )
    def test_damaged_fields(self, field, value):
        content = Encoding.fit(X, Y, scaling="pixels", form=FORM).to_dict()
        content["inputs"][field] = value
        with pytest.raises(FileFormatError):
            Encoding.from_dict(content)

    @pytest.mark.parametrize(("field", "value"), [("channels", 2), ("height", 0), ("width", 1 << 20), ("resize", "no")])
    def test_a_damaged_form(self, field, value):
        content = Encoding.fit(X, Y, scaling="pixels", form=FORM).to_dict()
        content["inputs"]["source"][field] = value
        with pytest.raises(FileFormatError):
            Encoding.from_dict(content)


class TestErrors:
    def test_images_of_another_shape(self):
        with pytest.raises(DataError, match=r"images of shape \(4, 4, 3\): expected \(4, 5, 3\), as in training"):
            encoded("zca", X, X[:, :, :4])

    @pytest.mark.parametrize("wrong", [X[:, 0, :, 0], X.astype(str), X.reshape(200, 4, 5, 3, 1)])
    def test_what_is_no_image(self, wrong):
        with pytest.raises(DataError, match=r"expected images \(n, height, width\)"):
            ImageFeatures.fit(wrong, "pixels")

    def test_not_finite(self):
        x = X.astype(np.float64)
        x[3, 2, 1, 0] = np.nan
        with pytest.raises(DataError, match="not finite"):
            ImageFeatures.fit(x, "pixel")

    def test_all_alike(self):
        with pytest.raises(DataError, match="all images are alike"):
            ImageFeatures.fit(np.full((3, 2, 2), 9, np.uint8), "channel")

    def test_settings(self):
        with pytest.raises(SettingsError, match="scaling is 'white'"):
            Encoding.fit(X, Y, scaling="white")
        with pytest.raises(SettingsError, match="epsilon is a finite number above 0, received 0"):
            Encoding.fit(X, Y, scaling="zca", epsilon=0)
        with pytest.raises(SettingsError, match="images of 12288 numbers are too large to be whitened"):
            ImageFeatures.fit(np.zeros((2, 64, 64, 3), np.uint8), "pca")
