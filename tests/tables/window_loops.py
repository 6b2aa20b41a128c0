"""Convolution, pooling and upsampling as loops over places, in float64: the references of the layers' tests."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def ends(padding: Any, lengths: Any, reach: Any, stride: Any) -> list[tuple[int, int]]:
    """The padding of each axis, low and high."""
    if padding == "valid":
        return [(0, 0)] * len(lengths)
    if padding == "same":
        result = []
        for n, k, s in zip(lengths, reach, stride, strict=True):
            places = int(np.ceil(n / s))
            total = max((places - 1) * s + k - n, 0)
            result.append((total // 2, total - total // 2))
        return result
    items = (padding,) * len(lengths) if isinstance(padding, int) else padding
    return [(item, item) if isinstance(item, int) else item for item in items]


def taps(x: Array, w: Array, stride: Any, dilation: Any, pads: Any) -> Any:
    """Yield (place, kernel place, place in x) for every product of a convolution that does not fall on padding."""
    axes = x.ndim - 2
    counts = [
        (length + sum(pad) - d * (k - 1) - 1) // s + 1
        for length, pad, k, s, d in zip(x.shape[1:-1], pads, w.shape[:axes], stride, dilation, strict=True)
    ]
    for place in itertools.product(*map(range, counts)):
        for tap in itertools.product(*map(range, w.shape[:axes])):
            axis = zip(place, stride, tap, dilation, pads, strict=True)
            at = tuple(p * s + t * d - pad[0] for p, s, t, d, pad in axis)
            if all(0 <= i < n for i, n in zip(at, x.shape[1:-1], strict=True)):
                yield place, tap, at


def conv(x: Array, w: Array, stride: Any, dilation: Any, pads: Any, groups: int = 1) -> Array:
    """The sum over kernel places and the channels of the group, output by output."""
    axes = x.ndim - 2
    counts = [
        (length + sum(pad) - d * (k - 1) - 1) // s + 1
        for length, pad, k, s, d in zip(x.shape[1:-1], pads, w.shape[:axes], stride, dilation, strict=True)
    ]
    y = np.zeros((len(x), *counts, w.shape[-1]))
    inputs, outputs = w.shape[-2], w.shape[-1] // groups
    for place, tap, at in taps(x, w, stride, dilation, pads):
        for o in range(w.shape[-1]):
            first = o // outputs * inputs
            y[(slice(None), *place, o)] += (
                x[(slice(None), *at, slice(first, first + inputs))] @ w[(*tap, slice(None), o)]
            )
    return y


def conv_cotangents(
    g: Array, x: Array, w: Array, stride: Any, dilation: Any, pads: Any, groups: int = 1
) -> tuple[Array, Array]:
    """Where each output's cotangent goes: to the x and the w of each of its products."""
    dx, dw = np.zeros(x.shape), np.zeros(w.shape)
    inputs, outputs = w.shape[-2], w.shape[-1] // groups
    for place, tap, at in taps(x, w, stride, dilation, pads):
        for o in range(w.shape[-1]):
            first = o // outputs * inputs
            seen = (slice(None), *at, slice(first, first + inputs))
            each = g[(slice(None), *place, o)]
            dx[seen] += each[:, np.newaxis] * w[(*tap, slice(None), o)]
            dw[(*tap, slice(None), o)] += each @ x[seen]
    return dx, dw


def conv_transpose(x: Array, w: Array, stride: Any, dilation: Any, lengths: Any, lows: Any) -> Array:
    """Each number of x adds its filter, times it, to a window; `lows` is cut off in front."""
    axes = x.ndim - 2
    z = np.zeros((len(x), *lengths, w.shape[-1]))
    for place in itertools.product(*map(range, x.shape[1:-1])):
        for tap in itertools.product(*map(range, w.shape[:axes])):
            at = tuple(p * s + t * d - low for p, s, t, d, low in zip(place, stride, tap, dilation, lows, strict=True))
            if all(0 <= i < n for i, n in zip(at, lengths, strict=True)):
                z[(slice(None), *at)] += x[(slice(None), *place)] @ w[tap]
    return z


def pool(x: Array, size: Any, stride: Any, pads: Any, ceil: bool, kind: str) -> Array:
    """The "max", the "mean" of the data, or the mean with stated padding ("padded") of each window."""
    counts, lengths = [], x.shape[1:-1]
    for length, pad, k, s in zip(lengths, pads, size, stride, strict=True):
        starts = [i * s for i in range(length + sum(pad)) if i * s + k <= length + sum(pad)]
        if ceil and starts[-1] + k < length + sum(pad) and starts[-1] + s < length + pad[0]:
            starts.append(starts[-1] + s)
        counts.append(len(starts))
    y = np.zeros((len(x), *counts, x.shape[-1]))
    for place in itertools.product(*map(range, counts)):
        lows = [p * s for p, s in zip(place, stride, strict=True)]
        seen = tuple(
            slice(max(low - pad[0], 0), min(low - pad[0] + k, n))
            for low, pad, k, n in zip(lows, pads, size, lengths, strict=True)
        )
        window = x[(slice(None), *seen)].reshape(len(x), -1, x.shape[-1])
        if kind == "max":
            y[(slice(None), *place)] = window.max(axis=1)
            continue
        inside = [min(low + k, n + sum(pad)) - low for low, pad, k, n in zip(lows, pads, size, lengths, strict=True)]
        y[(slice(None), *place)] = window.sum(axis=1) / (window.shape[1] if kind == "mean" else np.prod(inside))
    return y


def upsample(x: Array, factors: Any, mode: str) -> Array:
    """Repeated, or interpolated with the centres of old and new places in line."""
    for axis, factor in enumerate(factors, start=1):
        if mode == "nearest" or not x.size:
            x = np.repeat(x, factor, axis=axis)
            continue
        places = (np.arange(x.shape[axis] * factor) + 0.5) / factor - 0.5
        x = np.apply_along_axis(lambda row, at=places: np.interp(at, np.arange(len(row)), row), axis, x)
    return x
