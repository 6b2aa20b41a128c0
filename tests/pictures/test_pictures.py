"""Pictures: the numbers they show, what is drawn, and what cannot be."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.signal import correlate
from sklearn.metrics import confusion_matrix

from clearprop import nn, ops, pictures
from clearprop.data import Encoding, load
from clearprop.errors import DataError, SettingsError
from clearprop.model import Model
from clearprop.pictures.canvas import as_images, brightened, mosaic

Array = np.ndarray[Any, Any]
DIGITS = load("digits")
X = (DIGITS.features.reshape(-1, 8, 8, 1)[:400] * 15).astype(np.uint8)
Y = DIGITS.target[:400]


def blurred(x: ops.Tensor) -> ops.Tensor:
    """Two maps for each image: itself, and the sum of neighbours in a row."""
    return ops.concat([x[:, :, 1:], x[:, :, 1:] + x[:, :, :-1]], axis=-1)


@pytest.fixture(scope="module")
def model() -> Model:
    encoding = Encoding.fit(X, Y, scaling="channel", task="classification")
    layers = [
        nn.RandomShift(1, 1),
        nn.Function(blurred, name="blur"),
        nn.Sequential(nn.Flatten(), nn.Dense(10), name="head"),
    ]
    model = Model(layers, "cross_entropy", seed=3)
    model.encoding = encoding
    model.fit(X, Y, epochs=3, progress=False)
    return model


def drawn(figure: Any) -> Array:
    """What the first axes of a figure show."""
    return np.asarray(figure.axes[0].images[0].get_array())


class TestFirstBatch:
    def test_it_is_what_training_sees(self):
        """A layer that records nothing but passes its input on shows up in the loss: the mean of the first batch."""
        x = X.astype(np.float32) / 255
        network = [nn.RandomFlip(), nn.RandomShift(2, 2), nn.GaussianNoise(0.1), nn.Flatten(), nn.Dense(1)]
        model = Model(network, seed=5, backend="reference")
        model.init((8, 8, 1))
        seen = pictures.augmented(model, x, batch_size=50)
        start = {name: array.copy() for name, array in model.parameters.items()}
        history = model.fit(x, np.zeros((400, 1), np.float32), steps=1, batch_size=50, progress=False)
        output = seen.reshape(50, 64) @ start["dense1.W"] + start["dense1.b"]
        loss = model.loss
        expected = Model([nn.Identity()], loss, backend="reference").evaluate(output, np.zeros((50, 1), np.float32))
        assert history["loss"][0] == pytest.approx(expected["loss"], rel=1e-5)

    def test_steps_differ(self, model):
        first, second = (pictures.augmented(model, X, 20, step) for step in (0, 1))
        assert first.shape == second.shape == (20, 8, 8, 1)
        assert (first != second).any()
        assert len(pictures.augmented(model, X, 300, 1)) == 100

    def test_without_augmentation_it_is_the_batch(self):
        model = Model([nn.Flatten(), nn.Dense(2)], seed=1)
        assert {image.tobytes() for image in pictures.augmented(model, X.astype(np.float32), 400)} == {
            image.tobytes() for image in X.astype(np.float32)
        }

    def test_it_is_drawn(self, model):
        assert drawn(pictures.first_batch(model, X, 16)).shape == (4 * 9 - 1, 4 * 9 - 1)


class TestLearnt:
    def test_filters_of_a_dense_layer(self):
        model = Model([nn.Flatten(), nn.Dense(4)], seed=0)
        model.init((8, 8, 1))
        weights = model.parameters["dense1.W"]
        picture = drawn(pictures.filters(model))
        np.testing.assert_allclose(picture[:8, :8], weights[:, 0].reshape(8, 8))
        np.testing.assert_allclose(picture[9:, 9:], weights[:, 3].reshape(8, 8))
        assert np.isnan(np.ma.filled(picture, np.nan)[8]).all()

    def test_filters_of_colour(self):
        model = Model([nn.Flatten(), nn.Dense(4)], seed=0)
        model.init((6, 5, 3))
        picture = drawn(pictures.filters(model))
        assert picture.shape == (13, 11, 3)
        assert picture.min() == 0
        assert picture.max() == 1

    def test_there_may_be_none(self):
        model = Model([nn.Dense(4)])
        model.init((3,))
        with pytest.raises(SettingsError, match="no layer over images"):
            pictures.filters(model)

    def test_feature_maps(self, model):
        picture = drawn(pictures.feature_maps(model, X[7]))
        scaled = model.encoding.features(X[7:8])[0, :, :, 0]
        np.testing.assert_allclose(picture[:, :7], scaled[:, 1:], rtol=1e-6)
        np.testing.assert_allclose(picture[:, 8:], scaled[:, 1:] + scaled[:, :-1], rtol=1e-5, atol=1e-6)

    def test_filters_of_a_convolution(self):
        """Kernels of one channel, of three as colours, and of more as the mean over them."""
        for channels in (1, 3, 5):
            model = Model([nn.Conv2D(4, 3)], seed=channels)
            model.init((8, 8, channels))
            kernels = model.parameters["conv2d1.W"]
            picture = drawn(pictures.filters(model))
            corner = picture[:3, :3]
            if channels == 3:
                first = kernels[..., 0]
                np.testing.assert_allclose(corner, (first - first.min()) / np.ptp(first), atol=1e-6)
            else:
                np.testing.assert_allclose(corner, kernels[..., 0].mean(axis=2), rtol=1e-6)
                np.testing.assert_allclose(picture[4:, 4:], kernels[..., 3].mean(axis=2), rtol=1e-6)

    def test_feature_maps_of_a_convolution(self):
        """Against SciPy's correlation; the layer that follows is drawn by its name, and one inside of another."""
        layers = [nn.Conv2D(4, 3), nn.Sequential(nn.MaxPool2D(2), nn.Conv2D(2, 1), name="block"), nn.GlobalMaxPool()]
        model = Model(layers, seed=1)
        model.init((8, 8, 1))
        model.set_parameters({"conv2d1.b": [0.5, 0.0, -0.5, 1.0]})
        image, weights = X[7] / 255.0, model.parameters["conv2d1.W"]
        maps = [correlate(image[..., 0], weights[:, :, 0, k], "valid") for k in range(4)]
        maps = [one + bias for one, bias in zip(maps, (0.5, 0.0, -0.5, 1.0), strict=True)]
        picture = drawn(pictures.feature_maps(model, image))
        np.testing.assert_allclose(picture[:6, :6], maps[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(picture[7:, 7:], maps[3], rtol=1e-5, atol=1e-6)
        pooled = drawn(pictures.feature_maps(model, image, "block.maxpool2d1"))
        np.testing.assert_allclose(pooled[:3, :3], maps[0].reshape(3, 2, 3, 2).max((1, 3)), rtol=1e-5, atol=1e-6)
        assert drawn(pictures.feature_maps(model, image, "block.conv2d1")).shape == (3, 7)

    def test_maps_inside_of_blocks(self):
        """Of the layer and the shortcut of a residual block, and of branches: their sum is what the block gives."""
        inner = nn.Sequential(nn.Conv2D(2, 3, padding="same"), nn.BatchNorm())
        model = Model([nn.Residual(inner, nn.Conv2D(2, 1)), nn.Parallel(nn.Conv2D(2, 1), nn.ReLU())], seed=1)
        model.init((8, 8, 1))

        def maps(layer=None):
            return drawn(pictures.feature_maps(model, X[7] / 255.0, layer))

        parts = maps("residual1.inner") + maps("residual1.shortcut")
        inside = np.r_[0:8, 9:17]  # without the line between two maps
        np.testing.assert_allclose(maps()[:, inside], parts[:, inside], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(
            maps("residual1.inner.batchnorm1")[:, inside],
            maps("residual1.inner.conv2d1")[:, inside] / np.sqrt(1 + 1e-5),
            rtol=1e-5,
            atol=1e-6,
        )
        assert maps("parallel1.conv2d1").shape == (8, 17)

    def test_a_layer_by_name(self, model):
        assert drawn(pictures.feature_maps(model, X[7], "randomshift1")).shape == (8, 8)
        with pytest.raises(SettingsError, match="there is no layer 'conv9'; there are randomshift1, blur, head"):
            pictures.feature_maps(model, X[7], "conv9")
        with pytest.raises(DataError, match=r"the layer head.flatten1 gives \(112,\) for an image: expected maps"):
            pictures.feature_maps(model, X[7], "head.flatten1")

    def test_no_maps(self):
        model = Model([nn.Flatten(), nn.Dense(2)])
        model.init((8, 8))
        with pytest.raises(DataError, match="no layer gives maps"):
            pictures.feature_maps(model, np.zeros((8, 8)))


class TestMistakes:
    def test_confusion_is_that_of_scikit_learn(self, model):
        expected = confusion_matrix(Y, model.predict_classes(X))
        figure = pictures.confusion(model, X, Y)
        np.testing.assert_allclose(drawn(figure), expected / expected.sum(axis=1, keepdims=True))
        accuracy = (model.predict_classes(X) == Y).mean()
        assert figure.axes[0].get_title() == f"accuracy {accuracy:.4f} of 400 samples"

    def test_most_confused(self, model):
        expected = confusion_matrix(Y, model.predict_classes(X))
        pairs = pictures.most_confused(model, X, Y, 4)
        off = expected - np.diag(expected.diagonal())
        assert [count for *_, count in pairs] == sorted(off.ravel(), reverse=True)[: len(pairs)]
        assert all(off[int(actual), int(taken)] == count > 0 for actual, taken, count in pairs)

    def test_worst_mistakes(self, model):
        names = [f"{i}.png" for i in range(400)]
        figure = pictures.worst_mistakes(model, X, Y, most=4, files=names)
        chances = model.predict(X)[np.arange(400), Y]
        wrong = np.flatnonzero(model.predict_classes(X) != Y)
        worst = wrong[np.argsort(chances[wrong])][:4]
        titles = [axes.get_title().splitlines() for axes in figure.axes]
        assert [title[2] for title in titles] == [names[row] for row in worst]
        assert [title[0] for title in titles] == [str(Y[row]) for row in worst]
        np.testing.assert_allclose(drawn(figure), X[worst[0], :, :, 0] / 255)

    def test_binary_classes_without_an_encoding(self):
        x = np.random.default_rng(0).random((40, 4, 4)).astype(np.float32)
        y = (x.mean((1, 2)) > 0.5).astype(int)
        model = Model([nn.Flatten(), nn.Dense(1)], "binary_cross_entropy")
        model.fit(x, y, epochs=1, progress=False)
        assert drawn(pictures.confusion(model, x, y)).shape == (2, 2)

    def test_values_are_not_confused(self):
        model = Model([nn.Dense(1)])
        model.init((3,))
        with pytest.raises(SettingsError, match="has no classes that it could confuse"):
            pictures.confusion(model, np.zeros((2, 3)), np.zeros(2))


class TestCanvas:
    def test_mosaic(self):
        tiles = np.arange(3.0)[:, None, None, None] * np.ones((1, 2, 3, 1))
        result = mosaic(tiles, columns=2)[..., 0]
        assert result.shape == (5, 7)
        assert (result[:2, :3] == 0).all()
        assert (result[:2, 4:] == 1).all()
        assert (result[3:, :3] == 2).all()
        assert np.isnan(result[2]).all()
        assert np.isnan(result[3:, 3:]).all()

    def test_brightened(self):
        np.testing.assert_allclose(brightened(np.array([0, 51, 255], np.uint8)), [0, 0.2, 1])
        np.testing.assert_allclose(brightened(np.array([0.25, 0.5])), [0.25, 0.5])
        np.testing.assert_allclose(brightened(np.array([-1.0, 0.0, 3.0])), [0, 0.25, 1])

    @pytest.mark.parametrize("shape", [(4, 3), (4, 3, 3, 2), (4, 1, 1, 1, 1)])
    def test_what_is_no_image(self, shape):
        with pytest.raises(DataError, match="are no images"):
            as_images(np.zeros(shape))

    def test_a_png_file(self, tmp_path: Path):
        pictures.save(pictures.filters(untrained()), tmp_path / "x.png")
        with Image.open(tmp_path / "x.png") as image:
            assert image.size == (900, 900)

    def test_without_matplotlib(self, model, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
        with pytest.raises(SettingsError, match=r"pictures need matplotlib, .* pip install clearprop\[plots\]"):
            pictures.confusion(model, X, Y)


def untrained() -> Model:
    model = Model([nn.Flatten(), nn.Dense(4)])
    model.init((8, 8))
    return model
