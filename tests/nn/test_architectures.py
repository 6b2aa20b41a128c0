"""The named networks: their parameters counted by hand, their output, and that they learn on both backends."""

from __future__ import annotations

import numpy as np
import pytest

import clearprop as cp
from clearprop import nn

COUNTS = {
    "lenet": 6 * 26 + 16 * 151 + 401 * 84 + 850,  # 16 channels of 5 by 5 are 400
    "cnn": 32 * 10 + 64 * 289 + 1601 * 128 + 1290,  # 64 channels of 5 by 5 are 1600
    "vgg-small": 32 * 9 + 32 * 288 + 64 * 288 + 64 * 576 + 4 * (32 + 32 + 64 + 64) + 31370,  # 7 by 7
    "resnet-small": 16 * 9 + 2 * 16 * 144 + 32 * (144 + 288 + 16) + 64 * (288 + 576 + 32)
    + 4 * (16 + 2 * 16 + 3 * 32 + 3 * 64) + 650,
}  # fmt: skip


@pytest.mark.parametrize("name", nn.ARCHITECTURES)
def test_parameters(name):
    model = cp.Model(nn.ARCHITECTURES[name](10), "cross_entropy")
    model.init((28, 28))
    assert sum(array.size for array in model.parameters.values()) == COUNTS[name]
    assert model.output_type().shape[1:] == (10,)


@pytest.mark.parametrize("name", nn.ARCHITECTURES)
def test_both_backends_take_the_same_steps(name):
    images, target = np.random.default_rng(0).normal(size=(6, 16, 16, 2)), np.arange(6) % 3
    after = []
    for backend in ("reference", "native"):
        model = cp.Model(nn.ARCHITECTURES[name](3), "cross_entropy", cp.SGD(0.01), dtype="float64", backend=backend)
        model.fit(images, target, epochs=2, batch_size=4, progress="quiet")
        after.append(model.parameters)
    for parameter, array in after[0].items():
        np.testing.assert_allclose(after[1][parameter], array, rtol=1e-7, atol=1e-9, err_msg=parameter)


def test_a_depthwise_separable_block():
    model = cp.Model(nn.depthwise_separable(8, stride=2))
    model.init((9, 7, 4))
    assert model.output_type().shape[1:] == (5, 4, 8)
    assert model.parameters["depthwiseconv2d1.W"].shape == (3, 3, 1, 4)
