"""Every layer but the activations: values and gradients against NumPy and SciPy in float64."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import scipy.special
import window_loops as loops
from recurrent_table import ALL as RECURRENT
from recurrent_table import FEATURES, TIMES, below, drawn

from clearprop import nn, ops
from clearprop.randomness import Key

Array = np.ndarray[Any, Any]
Params = dict[str, Array]


def swish(x: ops.Tensor) -> ops.Tensor:
    return x * ops.sigmoid(x)


@dataclass(frozen=True)
class Case:
    """A layer, its meaning in NumPy, the shape of a sample, and parameters where its own are not telling."""

    layer: nn.Layer
    expected: Callable[[Params, Array], Array]
    sample: tuple[int, ...] = (3,)
    params: Params = field(default_factory=dict)


def dense(p: Params, x: Array, prefix: str = "") -> Array:
    return x @ p[f"{prefix}W"] + p.get(f"{prefix}b", 0.0)


def conv(p: Params, x: Array, pads: list[tuple[int, int]], groups: int = 1) -> Array:
    ones = (1,) * len(pads)
    return loops.conv(x, p["W"], ones, ones, pads, groups) + p["b"]


def spread(p: Params, x: Array) -> Array:
    lengths = [2 * n for n in x.shape[1:-1]]
    twos, ones, zeros = ((k,) * len(lengths) for k in (2, 1, 0))
    return loops.conv_transpose(x, p["W"], twos, ones, lengths, zeros) + p["b"]


def standardised(p: Params, x: Array, *axes: int, epsilon: float = 1e-5) -> Array:
    m, v = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)
    return (x - m) / np.sqrt(v + epsilon) * p["gamma"] + p["beta"]


def by_groups(p: Params, x: Array) -> Array:
    parts = [standardised({"gamma": 1.0, "beta": 0.0}, part, 1, 2) for part in np.split(x, 2, axis=-1)]
    return np.concatenate(parts, axis=-1) * p["gamma"] + p["beta"]


def local_response(p: Params, x: Array) -> Array:
    near = [np.square(x[..., max(c - 1, 0) : c + 2]).sum(axis=-1) for c in range(x.shape[-1])]
    return x / (2.0 + 0.5 * np.stack(near, axis=-1) / 3) ** 0.75


RNG = np.random.default_rng(5)
AFFINE = {"gamma": RNG.uniform(0.5, 1.5, 4), "beta": RNG.normal(size=4)}
AVERAGES = {"mean": RNG.normal(size=4), "variance": RNG.uniform(0.5, 1.5, 4)}
BIAS = {"b": RNG.normal(size=4)}
WEIGHTS = {"W": RNG.normal(size=(3, 4))}

CASES: dict[type[nn.Layer], list[Case]] = {
    nn.Conv1D: [Case(nn.Conv1D(2, 3, "tanh", padding="same"), lambda p, x: np.tanh(conv(p, x, [(1, 1)])), (4, 2))],
    nn.Conv2D: [Case(nn.Conv2D(2, 2, padding=1), lambda p, x: conv(p, x, [(1, 1)] * 2), (3, 2, 2))],
    nn.DepthwiseConv2D: [Case(nn.DepthwiseConv2D(2, 2), lambda p, x: conv(p, x, [(0, 0)] * 2, 2), (3, 3, 2))],
    nn.ConvTranspose1D: [Case(nn.ConvTranspose1D(2, 2, stride=2), spread, (3, 2))],
    nn.ConvTranspose2D: [Case(nn.ConvTranspose2D(2, 2, stride=2), spread, (2, 3, 1))],
    nn.MaxPool1D: [Case(nn.MaxPool1D(), lambda p, x: x.reshape(len(x), 2, 2, 3).max(axis=2), (4, 3))],
    nn.MaxPool2D: [Case(nn.MaxPool2D(), lambda p, x: x.reshape(len(x), 2, 2, 1, 2, 3).max(axis=(2, 4)), (4, 2, 3))],
    nn.AveragePool1D: [Case(nn.AveragePool1D(2, 1), lambda p, x: (x[:, 1:] + x[:, :-1]) / 2, (4, 3))],
    nn.AveragePool2D: [
        Case(nn.AveragePool2D(), lambda p, x: x.reshape(len(x), 2, 2, 1, 2, 3).mean(axis=(2, 4)), (4, 2, 3))
    ],
    nn.GlobalAveragePool: [Case(nn.GlobalAveragePool(), lambda p, x: x.mean(axis=(1, 2)), (2, 3, 2))],
    nn.GlobalMaxPool: [Case(nn.GlobalMaxPool(), lambda p, x: x.max(axis=1), (3, 2))],
    nn.Upsample: [
        Case(nn.Upsample(), lambda p, x: x.repeat(2, axis=1).repeat(2, axis=2), (2, 1, 2)),
        Case(nn.Upsample(3, "linear"), lambda p, x: loops.upsample(x, (3,), "linear"), (3, 2)),
    ],
    nn.BatchNorm: [
        Case(
            nn.BatchNorm(epsilon=0.1),
            lambda p, x: p["gamma"] * (x - p["mean"]) / np.sqrt(p["variance"] + 0.1) + p["beta"],
            (2, 4),
            AFFINE | AVERAGES,
        ),
    ],
    nn.LayerNorm: [Case(nn.LayerNorm(), lambda p, x: standardised(p, x, -1), (2, 4), AFFINE)],
    nn.GroupNorm: [Case(nn.GroupNorm(2), by_groups, (3, 4), AFFINE)],
    nn.InstanceNorm: [Case(nn.InstanceNorm(), lambda p, x: standardised(p, x, 1), (3, 4), AFFINE)],
    nn.RMSNorm: [
        Case(
            nn.RMSNorm(),
            lambda p, x: p["gamma"] * x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-6),
            (2, 4),
            {"gamma": AFFINE["gamma"]},
        )
    ],
    nn.LocalResponseNorm: [Case(nn.LocalResponseNorm(3, 0.5, k=2.0), local_response, (2, 4))],
    nn.SpatialDropout: [Case(nn.SpatialDropout(0.3), lambda p, x: x)],
    nn.ChannelsLast: [Case(nn.ChannelsLast(), lambda p, x: np.moveaxis(x, 1, -1), (2, 3, 4))],
    nn.AlphaDropout: [Case(nn.AlphaDropout(0.3), lambda p, x: x)],
    nn.GaussianDropout: [Case(nn.GaussianDropout(0.3), lambda p, x: x)],
    nn.GaussianNoise: [Case(nn.GaussianNoise(0.3), lambda p, x: x)],
    nn.Mixup: [Case(nn.Mixup(), lambda p, x: x)],
    nn.RandomFlip: [Case(nn.RandomFlip(), lambda p, x: x, (4, 5, 2))],
    nn.RandomShift: [Case(nn.RandomShift(), lambda p, x: x, (4, 5))],
    nn.RandomCrop: [
        Case(nn.RandomCrop(4, 5, 2), lambda p, x: x, (4, 5, 2)),
        Case(nn.RandomCrop(3, 5, 0), lambda p, x: x[:, 1:4], (6, 5)),
        Case(nn.RandomCrop(4, 6, 1), lambda p, x: np.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0)))[:, :, :6], (4, 5, 1)),
    ],
    nn.RandomAffine: [Case(nn.RandomAffine(), lambda p, x: x, (4, 5, 1))],
    nn.Cutout: [Case(nn.Cutout(3), lambda p, x: x, (4, 5))],
    nn.ColorJitter: [Case(nn.ColorJitter(), lambda p, x: x, (2, 2, 3))],
    nn.FancyPCA: [Case(nn.FancyPCA(), lambda p, x: x, (2, 2, 3))],
    nn.ActivityPenalty: [Case(nn.ActivityPenalty(nn.L1(0.5)), lambda p, x: x)],
    nn.KLSparsity: [Case(nn.KLSparsity(0.2, 0.5), lambda p, x: x)],
    nn.Flatten: [Case(nn.Flatten(), lambda p, x: x.reshape(len(x), 12), (2, 3, 2)), Case(nn.Flatten(), lambda p, x: x)],
    nn.Dropout: [Case(nn.Dropout(0.7), lambda p, x: x)],
    nn.Function: [
        Case(nn.Function(swish), lambda p, x: x * scipy.special.expit(x)),
        Case(nn.Function(ops.erf), lambda p, x: scipy.special.erf(x)),
    ],
    nn.Embedding: [Case(nn.Embedding(5, 3), lambda p, x: p["W"][x.astype(np.int64)], (4,))],
    nn.Masking: [Case(nn.Masking(), lambda p, x: x, (4, 3))],
    nn.Dense: [
        Case(nn.Dense(4), dense, params=WEIGHTS | BIAS),
        Case(nn.Dense(4, bias=False), dense, params=WEIGHTS),
        Case(nn.Dense(4), dense, (2, 3), WEIGHTS | BIAS),
        Case(nn.Dense(4, "tanh"), lambda p, x: np.tanh(dense(p, x)), params=WEIGHTS | BIAS),
        Case(nn.Dense(4, nn.LeakyReLU(0.2)), lambda p, x: np.where(dense(p, x) > 0, 1, 0.2) * dense(p, x)),
        Case(nn.Dense(4, swish), lambda p, x: dense(p, x) * scipy.special.expit(dense(p, x))),
        Case(nn.Dense(4, "softmax"), lambda p, x: scipy.special.softmax(dense(p, x), axis=-1)),
    ],
    nn.Sequential: [
        Case(
            nn.Sequential(nn.Dense(5, "tanh"), nn.Dropout(), nn.Dense(2)),
            lambda p, x: dense(p, np.tanh(dense(p, x, "dense1.")), "dense2."),
        ),
        Case(
            nn.Sequential(nn.Flatten(), nn.Sequential(nn.Dense(2, "sigmoid"), name="inner")),
            lambda p, x: scipy.special.expit(dense(p, x.reshape(len(x), 6), "inner.dense1.")),
            (2, 3),
        ),
    ],
    nn.Residual: [
        Case(nn.Residual(nn.Dense(3, "tanh")), lambda p, x: x + np.tanh(dense(p, x, "inner."))),
        Case(
            nn.Residual(nn.Dense(4, "tanh"), shortcut=nn.Dense(4, bias=False)),
            lambda p, x: x @ p["shortcut.W"] + np.tanh(dense(p, x, "inner.")),
        ),
    ],
    nn.Parallel: [
        Case(
            nn.Parallel(nn.Dense(2), nn.Dense(4, "tanh"), nn.Identity()),
            lambda p, x: np.concatenate([dense(p, x, "dense1."), np.tanh(dense(p, x, "dense2.")), x], axis=-1),
        ),
        Case(
            nn.Parallel(nn.Dense(4), nn.Dense(4, "sigmoid", name="gate"), join="add"),
            lambda p, x: dense(p, x, "dense1.") + scipy.special.expit(dense(p, x, "gate.")),
        ),
    ],
}


def attention(heads: int, causal: bool, present: Array | None = None) -> Callable[[Params, Array], Array]:
    """Attention one sample, one head and one time step after another."""

    def function(p: Params, x: Array) -> Array:
        n, times, d = x.shape
        width, seen = d // heads, np.zeros_like(x)
        for sample, head, t in np.ndindex(n, heads, times):
            own = slice(head * width, (head + 1) * width)
            q, k, v = (x[sample] @ p["W"][:, c * d : (c + 1) * d] + p["b"][c * d : (c + 1) * d] for c in range(3))
            looked = [s for s in range(times) if (not causal or s <= t) and (present is None or present[sample, s])]
            scores = np.array([q[t, own] @ k[s, own] for s in looked]) / np.sqrt(width)
            share = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
            seen[sample, t, own] = share @ v[looked][:, own]
        return seen @ p["Wo"] + p["bo"]

    return function


def waves(times: int, d: int) -> Array:
    return np.array(
        [[(math.cos if i % 2 else math.sin)(t / 10000 ** ((i - i % 2) / d)) for i in range(d)] for t in range(times)]
    )


ATTENTION = {
    "W": RNG.normal(size=(4, 12)), "b": RNG.normal(size=12), "Wo": RNG.normal(size=(4, 4)), "bo": RNG.normal(size=4),
}  # fmt: skip
CASES[nn.MultiHeadAttention] = [
    Case(nn.MultiHeadAttention(heads, causal), attention(heads, causal), (5, 4), ATTENTION)
    for heads, causal in ((1, False), (2, True), (4, False))
]
CASES[nn.PositionEncoding] = [
    Case(nn.PositionEncoding(), lambda p, x: x + waves(5, 3), (5, 3)),
    Case(nn.PositionEncoding("learnt"), lambda p, x: x + p["P"], (5, 3), {"P": RNG.normal(size=(5, 3))}),
]


def transformer(norm: str, causal: bool) -> Callable[[Params, Array], Array]:
    """Both halves of a block with two heads."""

    def function(p: Params, x: Array) -> Array:
        def half(x: Array, number: int, inner: Callable[[Array], Array]) -> Array:
            own = below(p, f"norm{number}")
            return x + inner(standardised(own, x, 2)) if norm == "pre" else standardised(own, x + inner(x), 2)

        x = half(x, 1, lambda x: attention(2, causal)(below(p, "attention.heads"), x))
        return half(x, 2, lambda x: dense(p, np.tanh(dense(p, x, "forward.hidden.")), "forward.out."))

    return function


CASES[nn.TransformerBlock] = [
    Case(nn.TransformerBlock(2, 3, "tanh", causal, norm, dropout=0.5), transformer(norm, causal), (5, 4))
    for norm, causal in (("pre", True), ("post", False))
]

for recurrent, meaning in RECURRENT:
    CASES.setdefault(type(recurrent), []).append(Case(recurrent, meaning, (TIMES, FEATURES), drawn(recurrent)))

LAYERS = sorted(
    (
        thing
        for name in nn.__all__
        if inspect.isclass(thing := getattr(nn, name))
        and issubclass(thing, nn.Layer)
        and not issubclass(thing, nn.Activation)
        and not inspect.isabstract(thing)
    ),
    key=lambda layer: layer.__name__,
)
FLAT = [pytest.param(case, id=f"{layer.__name__}{i}") for layer, cases in CASES.items() for i, case in enumerate(cases)]


def draw(case: Case, n: int = 3) -> tuple[Array, Params]:
    """Inputs away from 0, where some activations have a kink, and parameters whose biases are not 0."""
    rng = np.random.default_rng(1)
    x = rng.uniform(0.1, 2.0, (n, *case.sample)) * rng.choice([-1.0, 1.0], (n, *case.sample))
    params = case.params or case.layer.init(Key(3), case.sample)
    return x, {
        name: array + (rng.normal(size=array.shape) if name[-1] == "b" else 0.0) for name, array in params.items()
    }


def centred(function: Callable[[Array], float], at: Array, h: float = 1e-5) -> Array:
    """Derivatives by centred differences, (f(x + h) - f(x - h)) / 2h, element by element."""
    result = np.zeros_like(at)
    for index in np.ndindex(at.shape):
        up, down = at.copy(), at.copy()
        up[index] += h
        down[index] -= h
        result[index] = (function(up) - function(down)) / (2 * h)
    return result


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.__name__)
def test_every_layer_has_a_reference(layer):
    assert CASES.get(layer), f"give {layer.__name__} a Case in {__name__}"


@pytest.mark.parametrize("case", FLAT)
@pytest.mark.parametrize("n", [0, 1, 5])
def test_value(apply, case, n):
    x, params = draw(case, n)
    result = apply(case.layer, x, params).outputs()["result"]
    expected = case.expected(params, x)
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("case", FLAT)
def test_value_in_float32(apply, case):
    x, params = draw(case)
    result = apply(case.layer, x.astype(np.float32), params).outputs()["result"]
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, case.expected(params, x), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("case", FLAT)
def test_gradient_by_input_and_parameters(apply, case):
    x, params = draw(case)
    weights = np.random.default_rng(2).normal(size=case.expected(params, x).shape)
    derived = apply(case.layer, x, params).gradients(weights, "x", *params)

    def scalar(name: str) -> Callable[[Array], float]:
        if name == "x":
            return lambda values: float((case.expected(params, values) * weights).sum())
        return lambda values: float((case.expected(params | {name: values}, x) * weights).sum())

    for name, at in ({"x": x} | params).items():
        np.testing.assert_allclose(derived[name], centred(scalar(name), at), rtol=1e-6, atol=1e-8, err_msg=name)


@pytest.mark.parametrize("case", FLAT)
def test_shape_is_inferred(case):
    x, params = draw(case)
    assert nn.output_shape(case.layer, params, case.sample) == case.expected(params, x).shape[1:]


def test_bias_may_be_left_out():
    assert list(nn.Dense(4, bias=False).init(Key(0), (3,))) == ["W"]
    assert {k: v.shape for k, v in nn.Dense(4).init(Key(0), (3,)).items()} == {"W": (3, 4), "b": (4,)}


def test_dense_asks_for_the_starts_it_was_given():
    params = nn.Dense(2, weights=nn.Uniform(0.5), biases=nn.Normal(3.0)).init(Key(1), (3,))
    np.testing.assert_array_equal(params["W"], Key(1).child("W").generator().uniform(-0.5, 0.5, (3, 2)))
    np.testing.assert_array_equal(params["b"], Key(1).child("b").generator().normal(0, 3.0, 2))


def test_functions_get_kaiming_weights():
    drawn = nn.Dense(40, swish).init(Key(1), (30,))["W"]
    np.testing.assert_array_equal(drawn, nn.Kaiming()(Key(1).child("W"), (30, 40), 30, 40))
