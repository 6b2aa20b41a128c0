"""What the layers of a network learnt: the filters of the first one, and the maps that layers make of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clearprop import ops
from clearprop.compile import compile_program
from clearprop.errors import DataError, SettingsError
from clearprop.ir import Batch, Type
from clearprop.model.samples import as_input
from clearprop.nn import Context, applying
from clearprop.nn.noise import Noise
from clearprop.pictures.canvas import Array, mosaic, new_figure, show

if TYPE_CHECKING:
    from clearprop.model import Model

_MOST = 100


def filters(model: Model, most: int = _MOST) -> Any:
    """Draw the weights of the first layer as images, one for each unit or filter.

    Of a convolution these are its kernels; of a dense layer over images each unit's weights in the shape of an image.
    One channel is drawn from blue (negative) over white to red (positive) on a common scale; three as colours, each
    filter on a scale of its own.

    Raises:
        SettingsError: the model has no parameters, or its first layer does not see images, or matplotlib is missing.
    """
    name, images = _first_weights(model)
    images = images[:most]
    figure = new_figure(6, 6)
    axes = figure.subplots()
    if images.shape[3] == 3:
        low, high = (edge(images, axis=(1, 2, 3), keepdims=True) for edge in (np.min, np.max))
        show(axes, mosaic((images - low) / np.maximum(high - low, 1e-12)))
    else:
        most_of_all = float(np.abs(images).max()) or 1.0
        show(axes, mosaic(images), cmap="RdBu_r", vmin=-most_of_all, vmax=most_of_all)
    axes.set_title(f"{name}: {len(images)} filters of {images.shape[1]} x {images.shape[2]}")
    return figure


def _first_weights(model: Model) -> tuple[str, Array]:
    """Return the first weights that are filters, (count, height, width, channels of 1 or 3)."""
    shape = model.sample_shape or ()
    for name, array in model.parameters.items():
        if array.ndim == 4:
            kernels = np.moveaxis(array, 3, 0)
            return name, kernels if kernels.shape[3] in (1, 3) else kernels.mean(axis=3, keepdims=True)
        if array.ndim == 2 and len(shape) in (2, 3) and len(array) == int(np.prod(shape)):
            images = array.T.reshape(-1, *shape, *(() if len(shape) == 3 else (1,)))
            return name, images if images.shape[3] in (1, 3) else images.mean(axis=3, keepdims=True)
    raise SettingsError(f"{model!r} has no layer over images of shape {shape} whose weights could be drawn")


def feature_maps(model: Model, image: Any, layer: str | None = None, most: int = _MOST) -> Any:
    """Draw what a layer makes of an image, in the inference form: one map for each channel.

    Args:
        model: a trained model.
        image: one raw sample, as `predict` takes them.
        layer: the layer by the path of its name, "conv2d1", or inside of a block "residual1.inner.conv2d2"; None is
            the first one outside of blocks that is not random and gives maps.
        most: the most maps that are drawn.

    Raises:
        SettingsError: there is no such layer, or matplotlib is missing.
        DataError: the layer gives no maps.
    """
    x = as_input(np.asarray(image)[None], model.dtype, model.encoding)
    name, maps = _maps(model, x, layer)
    maps = np.moveaxis(maps[0], -1, 0)[:most, :, :, None]
    figure = new_figure(6, 6)
    axes = figure.subplots()
    show(axes, mosaic(maps), cmap="viridis", vmin=float(maps.min()), vmax=float(maps.max()))
    axes.set_title(f"{name}: {len(maps)} maps of {maps.shape[1]} x {maps.shape[2]}")
    return figure


def _maps(model: Model, x: Array, layer: str | None) -> tuple[str, Array]:
    """Return a layer's name and its output of rank 4; channels are added to (n, height, width)."""
    context = Context(training=False)
    with ops.tracing("feature_maps") as builder, applying(context):
        start = ops.placeholder("x", Type(model.dtype, (Batch(), *x.shape[1:])))
        tensors = {name: ops.placeholder(name, Type(model.dtype, a.shape)) for name, a in model.parameters.items()}
        model.network.apply(tensors, start)
        name = layer or _first(context)
        if name not in context.outputs:
            raise SettingsError(f"there is no layer {name!r}; there are {', '.join(context.outputs)}")
        output = context.outputs[name][1]
        if output.rank not in (3, 4) or output.shape[0] != Batch():
            raise DataError(
                f"the layer {name} gives {output.shape[1:]} for an image: expected maps (height, width, channels)"
            )
        program = builder.finish([(name, output.value)])
    z = compile_program(program, "reference")({"x": x, **model.parameters})[name]
    return name, z if z.ndim == 4 else z[..., None]


def _first(context: Context) -> str:
    """Return the first layer of the network itself that gives maps and is not random."""
    for name, (layer, z) in context.outputs.items():
        if "." not in name and z.rank == 4 and not isinstance(layer, Noise):
            return name
    raise DataError("no layer gives maps (n, height, width, channels): there is nothing to draw")
