"""Small convolutional networks by name, made of the layers that are there; each ends in as many outputs as wanted."""

from __future__ import annotations

from collections.abc import Callable

from clearprop.nn.activations import ReLU
from clearprop.nn.composition import Residual, Sequential
from clearprop.nn.convolution import Conv2D, DepthwiseConv2D
from clearprop.nn.dense import Dense
from clearprop.nn.layer import Layer
from clearprop.nn.normalisation import BatchNorm
from clearprop.nn.pooling import GlobalAveragePool, MaxPool2D
from clearprop.nn.shape_layers import Flatten


def lenet(outputs: int) -> Sequential:
    """Two convolutions of 5 by 5, each pooled, and a hidden layer, after LeNet-5 (LeCun et al., 1998), with ReLU.

    For images of 16 by 16 places or more.
    """
    return Sequential(
        Conv2D(6, 5, "relu", padding=2),
        MaxPool2D(2),
        Conv2D(16, 5, "relu"),
        MaxPool2D(2),
        Flatten(),
        Dense(84, "relu"),
        Dense(outputs),
    )


def cnn(outputs: int) -> Sequential:
    """Two convolutions of 3 by 3, each pooled, and a hidden layer of 128 units; for images of 10 by 10 or more."""
    return Sequential(
        Conv2D(32, 3, "relu"),
        MaxPool2D(2),
        Conv2D(64, 3, "relu"),
        MaxPool2D(2),
        Flatten(),
        Dense(128, "relu"),
        Dense(outputs),
    )


def vgg_small(outputs: int) -> Sequential:
    """Twice two convolutions of 3 by 3 with batch norm, then a pooling, after VGG (Simonyan and Zisserman, 2015)."""
    convolutions = [layer for filters in (32, 64) for layer in (*_unit(filters), *_unit(filters), MaxPool2D(2))]
    return Sequential(*convolutions, Flatten(), Dense(outputs))


def resnet_small(outputs: int) -> Sequential:
    """A convolution and three residual blocks of 16, 32 and 64 filters, after ResNet (He et al., 2016).

    The blocks of 32 and 64 filters halve the image; the mean over all places goes into the outputs, so that images may
    have any size.
    """
    blocks = [layer for filters, stride in ((16, 1), (32, 2), (64, 2)) for layer in (_block(filters, stride), ReLU())]
    return Sequential(*_unit(16), *blocks, GlobalAveragePool(), Dense(outputs))


def depthwise_separable(filters: int, stride: int = 1) -> Sequential:
    """A depthwise convolution of 3 by 3 and one of 1 by 1 over the channels, each with batch norm and ReLU.

    Source: the block of MobileNet (Howard et al., 2017).
    """
    depthwise = DepthwiseConv2D(3, stride=stride, padding="same", bias=False)
    pointwise = Conv2D(filters, 1, bias=False)
    return Sequential(depthwise, BatchNorm(), ReLU(), pointwise, BatchNorm(), ReLU())


def _unit(filters: int, stride: int = 1) -> tuple[Layer, ...]:
    """A convolution that keeps the size, batch norm, ReLU; the norm would take a bias away again."""
    return Conv2D(filters, 3, stride=stride, padding="same", bias=False), BatchNorm(), ReLU()


def _block(filters: int, stride: int) -> Residual:
    """Two convolutions with batch norm, and a way around that a convolution of 1 by 1 brings to another shape."""
    inside = Sequential(*_unit(filters, stride), Conv2D(filters, 3, padding="same", bias=False), BatchNorm())
    around = Sequential(Conv2D(filters, 1, stride=stride, bias=False), BatchNorm())
    return Residual(inside, None if stride == 1 else around)


ARCHITECTURES: dict[str, Callable[[int], Sequential]] = {
    "lenet": lenet,
    "cnn": cnn,
    "vgg-small": vgg_small,
    "resnet-small": resnet_small,
}
"""The networks by name; each is a function of the number of outputs."""
