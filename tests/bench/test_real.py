"""The workloads of real images: pixels and classes, and a line where the images are not there."""

import numpy as np
import pytest
import real

import clearprop as cp
from clearprop.data import Dataset


@pytest.fixture(autouse=True)
def fresh():
    real.pictures.cache_clear()
    yield
    real.pictures.cache_clear()


def test_pixels_and_classes(monkeypatch):
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4) * 11
    monkeypatch.setattr(cp.data, "load", lambda name: Dataset(name, images, np.array(["shirt", "bag"]), "class"))
    assert not real.missing()
    classes, pixels = real.PICTURES[0].data(), real.PICTURES[2].data()
    np.testing.assert_allclose(classes[0], images.reshape(2, 12) / 255, rtol=1e-6)
    assert classes[0].dtype == np.float32
    assert list(classes[1]) == [1, 0]
    assert pixels[0] is pixels[1] is classes[0]


def test_without_the_images_there_are_none(monkeypatch):
    def load(name):
        raise cp.DataError("it is not there")

    monkeypatch.setattr(cp.data, "load", load)
    assert real.missing() == "networks on images are left out: it is not there"
