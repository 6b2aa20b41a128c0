"""JAX's convolutional networks, in the layout NHWC; batch normalisation by the batch, without running averages."""

from __future__ import annotations

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from clearprop.bench.images import Conv, ImageWorkload, Mean, Pool, Residual, after

EPSILON = 1e-5


def image_parameters(workload: ImageWorkload) -> list[Any]:
    """Return the first parameters: one entry a stage, then one a dense layer."""
    rng = np.random.default_rng(0)
    parameters, shape = [], workload.shape
    for stage in workload.stages:
        parameters.append(_first(stage, shape[2], rng))
        shape = shape if isinstance(stage, Mean) else after(stage, shape)
    for m, k in itertools.pairwise((math.prod(workload.features), *workload.sizes)):
        parameters.append((_draw(rng, (m, k), m), jnp.zeros(k, jnp.float32)))
    return parameters


def image_forward(workload: ImageWorkload, parameters: list[Any], x: Any) -> Any:
    """Return the network's output for images (n, height, width, channels)."""
    count = len(workload.stages)
    for stage, held in zip(workload.stages, parameters[:count], strict=True):
        x = _apply(stage, held, x)
    x = x.reshape(x.shape[0], -1)
    for w, b in parameters[count:-1]:
        x = jax.nn.relu(x @ w + b)
    w, b = parameters[-1]
    return x @ w + b


def _draw(rng: np.random.Generator, shape: tuple[int, ...], fan: int) -> Any:
    return jnp.asarray(rng.normal(0, (2 / fan) ** 0.5, shape), jnp.float32)


def _filters(rng: np.random.Generator, kernel: int, channels: int, filters: int) -> tuple[Any, Any, Any]:
    """Return weights, a scale and a shift; the scale is of no use without normalisation."""
    weights = _draw(rng, (kernel, kernel, channels, filters), kernel**2 * channels)
    return weights, jnp.ones(filters, jnp.float32), jnp.zeros(filters, jnp.float32)


def _first(stage: Any, channels: int, rng: np.random.Generator) -> Any:
    if isinstance(stage, Conv):
        return _filters(rng, stage.kernel, 1 if stage.depthwise else channels, stage.filters)
    if isinstance(stage, Residual):
        inner = [_filters(rng, 3, channels, stage.filters), _filters(rng, 3, stage.filters, stage.filters)]
        return [*inner, _filters(rng, 1, channels, stage.filters)] if stage.filters != channels else inner
    return ()


def _apply(stage: Any, held: Any, x: Any) -> Any:
    if isinstance(stage, Mean):
        return x.mean((1, 2))
    if isinstance(stage, Pool):
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    if isinstance(stage, Residual):
        stride = 2 if len(held) == 3 else 1
        inner = normalised(
            _conv(jax.nn.relu(normalised(_conv(x, held[0], stride), *held[0][1:])), held[1]), *held[1][1:]
        )
        beside = _conv(x, held[2], 2) + held[2][2] if stride == 2 else x
        return jax.nn.relu(inner + beside)
    groups = x.shape[-1] if stage.depthwise else 1
    z = _conv(x, held, 1, "SAME" if stage.same else "VALID", groups)
    return jax.nn.relu(normalised(z, *held[1:]) if stage.norm else z + held[2])


def _conv(x: Any, held: Any, stride: int = 1, padding: str = "SAME", groups: int = 1) -> Any:
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(
        x, held[0], (stride, stride), padding, dimension_numbers=layout, feature_group_count=groups
    )


def normalised(z: Any, scale: Any, shift: Any) -> Any:
    """Return values normalised over all axes but the last, scaled and shifted."""
    axes = tuple(range(z.ndim - 1))
    return (z - z.mean(axes)) * (scale * lax.rsqrt(z.var(axes) + EPSILON)) + shift
