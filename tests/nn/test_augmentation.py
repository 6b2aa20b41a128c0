"""Layers that change images at random in training: each against NumPy, SciPy or scikit-learn for the draws it made."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
from augmentation_table import SOURCES
from sklearn.decomposition import PCA

from clearprop import nn
from clearprop.backends.reference import Reference
from clearprop.errors import SettingsError, ShapeError

Array = np.ndarray[Any, Any]
X = np.random.default_rng(0).random((60, 7, 9, 3))
LAYERS = {
    "flip": nn.RandomFlip(vertical=True),
    "shift": nn.RandomShift(3, 2),
    "crop": nn.RandomCrop(6, 10, 2),
    "affine": nn.RandomAffine(40.0, 0.3, 15.0, 0.2),
    "color": nn.ColorJitter(0.5, 0.6, 0.7),
    "fancy_pca": nn.FancyPCA(),
    "cutout": nn.Cutout(4),
}


def drawn(apply: Any, layer: nn.Layer, x: Array = X, step: int = 0, **hyper: Any) -> tuple[Array, dict[str, Array]]:
    """The images that come out in training, and the draws by name, one for each image."""
    applied = apply(layer, x, training=True, step=step)
    inputs = applied.inputs | {name: np.asarray(value) for name, value in hyper.items()}
    values = Reference().compile(applied.program).inspect(inputs)
    named = {name: np.squeeze(v) for name, v in values.items() if isinstance(v, np.ndarray) and len(v.shape) > 1}
    return values["a"], named


def test_every_kind_has_a_name_and_a_reference():
    found = {
        thing
        for name in nn.__all__
        if inspect.isclass(thing := getattr(nn, name))
        and issubclass(thing, nn.Augmentation)
        and not inspect.isabstract(thing)
    }
    assert set(nn.AUGMENTATIONS.values()) == found
    assert set(nn.AUGMENTATIONS) == set(SOURCES) == set(LAYERS)


@pytest.mark.parametrize("name", LAYERS)
def test_inference_draws_nothing(apply, name):
    assert not apply(LAYERS[name], X).context.random


@pytest.mark.parametrize("name", LAYERS)
def test_changes_are_new_at_every_step_and_the_same_when_asked_again(apply, name):
    first, again, second = (drawn(apply, LAYERS[name], step=step)[0] for step in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != second).any()
    assert np.abs(first[0] - first[1]).max() > 0


@pytest.mark.parametrize("name", [name for name in LAYERS if name not in ("color", "fancy_pca")])
def test_grey_images_need_no_channels(apply, name):
    grey = X[..., :1]
    expected = drawn(apply, LAYERS[name], grey)[0]
    result = apply(LAYERS[name], grey[..., 0], training=True).outputs()["result"]
    np.testing.assert_array_equal(result, expected[..., 0])


@pytest.mark.parametrize("name", LAYERS)
def test_what_is_no_image_is_refused(apply, name):
    with pytest.raises(ShapeError, match=r"takes images \(n, height, width\) or"):
        apply(LAYERS[name], np.zeros((4, 5)))


@pytest.mark.parametrize("name", LAYERS)
def test_the_gradient_passes_through(apply, name):
    """Each is affine in x for fixed draws, so that differences are exact."""
    x = X[:4]
    applied = apply(LAYERS[name], x, training=True, step=2)
    rng = np.random.default_rng(1)
    weights, move = rng.normal(size=applied.inputs["weights"].shape), rng.normal(size=x.shape)
    slope = (applied.outputs(x=x + move)["result"] - applied.outputs()["result"]) * weights
    gradient = applied.gradients(weights, "x")["x"]
    np.testing.assert_allclose((gradient * move).sum(), slope.sum(), rtol=1e-9)


class TestFlip:
    def test_against_numpy(self, apply):
        result, draws = drawn(apply, LAYERS["flip"])
        for image, output, across, over in zip(X, result, draws["mirrored"], draws["upside_down"], strict=True):
            axes = [axis for axis, wanted in ((0, over), (1, across)) if wanted]
            np.testing.assert_array_equal(output, np.flip(image, axes) if axes else image)

    def test_half_of_the_images(self, apply):
        x = np.broadcast_to(np.arange(3.0)[None, None, :], (2000, 2, 3)).copy()
        result = apply(nn.RandomFlip(), x, training=True).outputs()["result"]
        mirrored = int((result[:, 0, 0] == 2).sum())
        assert scipy.stats.binomtest(mirrored, 2000, 0.5).pvalue > 1e-3

    def test_only_what_is_asked_for(self, apply):
        result = apply(nn.RandomFlip(False, True), X, training=True).outputs()["result"]
        assert all(np.array_equal(a, b) or np.array_equal(a[::-1], b) for a, b in zip(X, result, strict=True))
        assert (result != X).any()


class TestShift:
    def test_against_numpy(self, apply):
        result, draws = drawn(apply, LAYERS["shift"])
        padded = np.pad(X, ((0, 0), (3, 3), (2, 2), (0, 0)))
        for image, output, down, right in zip(padded, result, draws["down"] - 3, draws["right"] - 2, strict=True):
            np.testing.assert_array_equal(output, np.roll(image, (down, right), (0, 1))[3:-3, 2:-2])

    def test_every_shift_is_equally_likely(self, apply):
        _, draws = drawn(apply, nn.RandomShift(3, 2), np.zeros((4000, 5, 5)))
        for word, count in (("down", 7), ("right", 5)):
            assert scipy.stats.chisquare(np.bincount(draws[word], minlength=count)).pvalue > 1e-3


class TestCrop:
    def test_against_numpy(self, apply):
        result, draws = drawn(apply, LAYERS["crop"])
        padded = np.pad(X, ((0, 0), (2, 2), (2, 2), (0, 0)))
        assert result.shape == (60, 6, 10, 3)
        for image, output, top, left in zip(padded, result, draws["top"], draws["left"], strict=True):
            np.testing.assert_array_equal(output, image[top : top + 6, left : left + 10])
        assert set(draws["top"]) == set(range(6))

    def test_a_window_that_does_not_fit(self, apply):
        with pytest.raises(ShapeError, match="a window of 12 x 9 does not fit into 11 x 13 pixels"):
            apply(nn.RandomCrop(12, 9, 2), X, training=True)


class TestAffine:
    def expected(self, image: Array, angle: float, slant: float, shrink: float, down: float, right: float) -> Array:
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])  # of (row, column)
        matrix = turn @ np.array([[1, 0], [np.tan(slant), 1]]) / shrink
        middle = (np.array(image.shape[:2]) - 1) / 2
        back = np.linalg.inv(matrix)
        offset = middle - back @ (middle + np.array([down, right]))
        channels = [
            scipy.ndimage.affine_transform(channel, back, offset, order=1, mode="grid-constant")
            for channel in np.moveaxis(image, -1, 0)
        ]
        return np.stack(channels, axis=-1)

    @pytest.mark.parametrize(
        "layer",
        [
            nn.RandomAffine(180.0, 0.0),
            nn.RandomAffine(0.0, 1.0),
            nn.RandomAffine(0.0, 0.0, 60.0),
            nn.RandomAffine(0.0, 0.0, 0.0, 1.0),
            LAYERS["affine"],
        ],
        ids=str,
    )
    def test_against_scipy(self, apply, layer):
        result, draws = drawn(apply, layer)
        words = ("angle", "slant", "shrink", "down", "right")
        for i, image in enumerate(X):
            expected = self.expected(image, *(draws[word][i] for word in words))
            np.testing.assert_allclose(result[i], expected, rtol=1e-9, atol=1e-9)

    def test_a_positive_angle_is_anticlockwise(self, apply):
        x = np.zeros((20, 5, 5))
        x[:, 2, 4] = 1.0
        result, draws = drawn(apply, nn.RandomAffine(90.0, 0.0), x)
        rows = result.sum(axis=2) @ np.arange(5.0) / result.sum(axis=(1, 2))
        np.testing.assert_array_equal(np.sign(2.0 - rows), np.sign(draws["angle"]))  # the right end goes up

    def test_amounts_are_uniform(self, apply):
        layer = nn.RandomAffine(30.0, 0.5, 20.0, 0.25)
        _, draws = drawn(apply, layer, np.zeros((3000, 4, 8)))
        ranges = {
            "angle": np.radians(30.0),
            "slant": np.radians(20.0),
            "down": 0.25 * 4,
            "right": 0.25 * 8,
        }
        for word, most in ranges.items():
            assert scipy.stats.kstest(draws[word], scipy.stats.uniform(-most, 2 * most).cdf).pvalue > 1e-3
        logs = np.log(draws["shrink"])
        assert scipy.stats.kstest(logs, scipy.stats.uniform(-np.log(1.5), 2 * np.log(1.5)).cdf).pvalue > 1e-3

    def test_no_amount_changes_nothing(self, apply):
        result = apply(nn.RandomAffine(0.0, 0.0), X, training=True).outputs()["result"]
        np.testing.assert_allclose(result, X, rtol=1e-12)

    def test_amounts_are_inputs_of_the_program(self, apply):
        assert set(apply(LAYERS["affine"], X, training=True).context.hyper) == {"rotation", "scale", "shear", "shift"}


class TestCutout:
    @pytest.mark.parametrize("size", [1, 4, 5, 30])
    def test_against_numpy(self, apply, size):
        result, _ = drawn(apply, nn.Cutout(size))
        middles = []
        for image, output in zip(X, result, strict=True):
            matching = [
                place for place in np.ndindex(image.shape[:2]) if np.array_equal(self.cut(image, size, *place), output)
            ]
            assert matching
            middles += matching if size == 1 else []
        assert size != 1 or len(set(middles)) > 25

    def cut(self, image: Array, size: int, row: int, column: int) -> Array:
        result = image.copy()
        top, left = row - size // 2, column - size // 2
        result[max(top, 0) : max(top + size, 0), max(left, 0) : max(left + size, 0)] = 0.0
        return result


class TestColor:
    def expected(self, image: Array, bright: float, contrast: float, saturation: float) -> Array:
        weights = np.array([0.299, 0.587, 0.114]) if image.shape[-1] == 3 else np.full(image.shape[-1], 1.0)
        image = image * bright
        grey = image @ (weights / weights.sum())
        image = grey.mean() + contrast * (image - grey.mean())
        grey = (image @ (weights / weights.sum()))[..., None]
        return image if image.shape[-1] == 1 else grey + saturation * (image - grey)

    @pytest.mark.parametrize("channels", [1, 2, 3])
    def test_against_numpy(self, apply, channels):
        x = X[..., :channels]
        result, draws = drawn(apply, LAYERS["color"], x)
        words = ("brightness_factor", "contrast_factor", "saturation_factor")
        ones = np.ones(len(x))
        for i, image in enumerate(x):
            factors = [draws.get(word, ones)[i] for word in words]
            np.testing.assert_allclose(result[i], self.expected(image, *factors), rtol=1e-9)

    def test_factors_are_uniform(self, apply):
        _, draws = drawn(apply, LAYERS["color"], np.zeros((3000, 1, 1, 3)))
        for word, amount in (("brightness_factor", 0.5), ("contrast_factor", 0.6), ("saturation_factor", 0.7)):
            assert scipy.stats.kstest(draws[word], scipy.stats.uniform(1 - amount, 2 * amount).cdf).pvalue > 1e-3

    def test_what_is_zero_draws_nothing(self, apply):
        assert not apply(nn.ColorJitter(0.0, 0.0, 0.0), X, training=True).context.random


class TestFancyPCA:
    def test_components_are_those_of_scikit_learn(self):
        layer = nn.FancyPCA.of(X)
        pca = PCA().fit(X.reshape(-1, 3))
        np.testing.assert_allclose(layer.eigenvalues, pca.explained_variance_ * (1 - 1 / (60 * 63)), rtol=1e-9)
        cosines = np.abs(np.asarray(layer.components).T @ pca.components_.T)
        np.testing.assert_allclose(cosines, np.eye(3), atol=1e-9)

    def test_colours_move_along_the_components(self, apply):
        layer = nn.FancyPCA.of(X, std=0.3)
        result, draws = drawn(apply, layer)
        shift = (draws["amounts"] * layer.eigenvalues) @ np.asarray(layer.components).T
        np.testing.assert_allclose(result, X + shift[:, None, None, :], rtol=1e-9)
        assert scipy.stats.kstest(draws["amounts"].ravel() / 0.3, "norm").pvalue > 1e-3

    def test_grey_images(self, apply):
        layer = nn.FancyPCA.of(X[..., :1])
        assert layer.eigenvalues[0] == pytest.approx(X[..., 0].var(), rel=1e-9)
        assert apply(layer, X[..., :1], training=True).outputs()["result"].shape == (60, 7, 9, 1)

    def test_wrong_settings(self, apply):
        with pytest.raises(SettingsError, match="eigenvalues holds a number for each of the 3"):
            nn.FancyPCA(eigenvalues=(1.0, 2.0))
        with pytest.raises(ShapeError, match="components of 3 channels, and the images have 1"):
            apply(nn.FancyPCA(), X[..., :1], training=True)
        with pytest.raises(ShapeError, match=r"takes images \(n, height, width, channels\), received shape \(60, 7\)"):
            nn.FancyPCA.of(X[:, :, 0, 0])
