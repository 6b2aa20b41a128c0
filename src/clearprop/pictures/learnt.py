"""What the layers of a network learnt: the filters of the first one, and the maps that layers make of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clearprop import ops
from clearprop.compile import compile_program
from clearprop.errors import DataError, SettingsError
from clearprop.ir import Batch, Type
from clearprop.model.samples import as_input
from clearprop.nn import Context, Layer, Sequential, apply_layer, applying
from clearprop.nn.layer import named
from clearprop.nn.noise import Noise
from clearprop.ops import Tensor
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
        layer: the layer by its name, such as "conv2d1" or "block1.conv2d2"; None is the first one that is not random
            and gives maps.
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
    outputs = _outputs(model, x, None if layer is None else layer.split("."))
    if layer is not None and layer not in outputs:
        raise SettingsError(f"there is no layer {layer!r}; there are {', '.join(_names(model.network))}")
    usual = (name for name, (kind, z) in outputs.items() if z.ndim == 4 and not isinstance(kind, Noise))
    name = layer if layer is not None else next(usual, None)
    if name is None:
        raise DataError("no layer gives maps (n, height, width, channels): there is nothing to draw")
    z = outputs[name][1]
    if z.ndim not in (3, 4):
        raise DataError(f"the layer {name} gives {z.shape[1:]} for an image: expected maps (height, width, channels)")
    return name, z if z.ndim == 4 else z[..., None]


def _names(network: Sequential) -> list[str]:
    return [name for name, _ in named(network.layers)]


def _outputs(model: Model, x: Array, path: list[str] | None) -> dict[str, tuple[Layer, Array]]:
    """Return the output of every layer on the way, by name, with the layer."""
    found: dict[str, tuple[Layer, Tensor]] = {}
    with ops.tracing("feature_maps") as builder, applying(Context(training=False)):
        start = ops.placeholder("x", Type(model.dtype, (Batch(), *x.shape[1:])))
        tensors = {name: ops.placeholder(name, Type(model.dtype, a.shape)) for name, a in model.parameters.items()}
        _follow(model.network, "", tensors, start, found, path or [])
        values = {name: tensor.value for name, (_, tensor) in found.items()}
        program = builder.finish(values.items())
    results = compile_program(program, "reference")({"x": x, **model.parameters})
    return {name: (layer, results[name]) for name, (layer, _) in found.items()}


def _follow(
    network: Sequential,
    prefix: str,
    params: dict[str, Tensor],
    x: Tensor,
    found: dict[str, tuple[Layer, Tensor]],
    path: list[str],
) -> Tensor:
    """Apply layer after layer, and inside of those on the path again."""
    for name, layer in named(network.layers):
        if path[:1] == [name] and len(path) > 1 and isinstance(layer, Sequential):
            own = {key.removeprefix(f"{name}."): t for key, t in params.items() if key.startswith(f"{name}.")}
            _follow(layer, f"{prefix}{name}.", own, x, found, path[1:])
        x = apply_layer(layer, name, params, x)
        found[f"{prefix}{name}"] = (layer, x)
    return x
