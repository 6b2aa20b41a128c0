"""The first batch of training, as the network sees it after augmentation."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Any

import numpy as np

from clearprop import ops
from clearprop.compile import compile_program
from clearprop.data import batch_order
from clearprop.ir import Batch, Type
from clearprop.model.samples import as_input
from clearprop.nn import Context, apply_layer, applying
from clearprop.nn.layer import named
from clearprop.nn.noise import Noise
from clearprop.pictures.canvas import Array, as_images, brightened, mosaic, new_figure, show
from clearprop.randomness import Key

if TYPE_CHECKING:
    from clearprop.model import Model

_MOST = 100


def augmented(model: Model, features: Any, batch_size: int = 32, step: int = 0) -> Array:
    """Return the encoded samples of a step of the first epoch, after the random layers that stand first in the network.

    These are the numbers that training with the model's seed sees at that step, in the same order.

    Args:
        model: a model with augmentation; it need not be trained.
        features: the raw samples of the training part.
        batch_size: how many samples a step takes.
        step: which step.
    """
    x = as_input(features, model.dtype, model.encoding)
    rows = batch_order(len(x), seed=model.seed, epoch=0)[step * batch_size : (step + 1) * batch_size]
    context = Context(training=True)
    with ops.tracing("first_batch") as builder, applying(context):
        tensor = ops.placeholder("x", Type(model.dtype, (Batch(), *x.shape[1:])))
        for name, layer in takewhile(lambda item: isinstance(item[1], Noise), named(model.network.layers)):
            tensor = apply_layer(layer, name, {}, tensor)
        program = builder.finish([("result", tensor.value)])
    inputs: dict[str, Any] = {"x": x[rows], "key": Key(model.seed).child("training").words()}
    inputs |= {name: np.asarray(value, np.float64) for name, value in context.hyper.items()}
    return compile_program(program, "reference")(inputs | {"step": np.asarray(step, np.int64)})["result"]


def first_batch(model: Model, features: Any, batch_size: int = 32) -> Any:
    """Draw the images of the first step as `augmented` gives them, at most 100 of them.

    Raises:
        DataError: the samples are no images.
        SettingsError: matplotlib is missing.
    """
    images = as_images(augmented(model, features, batch_size))[:_MOST]
    figure = new_figure(7, 7)
    axes = figure.subplots()
    show(axes, mosaic(brightened(images)))
    axes.set_title(f"the first batch: {len(images)} images as the network sees them")
    return figure
