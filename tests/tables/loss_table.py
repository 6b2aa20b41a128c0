"""Every loss beside an independent meaning of it, on samples that it takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.spatial.distance
import scipy.special
import scipy.stats
import sklearn.metrics

from clearprop import losses, nn, ops

Array = np.ndarray[Any, Any]

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 3, (6, 4))
LABELS = np.array([0, 3, 1, 1, 2, 0])
SOFT = scipy.special.softmax(RNG.normal(size=(6, 4)), axis=1)
BITS = RNG.integers(0, 2, (6, 4)).astype(float)
VALUES = RNG.normal(0, 2, (6, 4))
COUNTS = RNG.poisson(2.0, (6, 4)).astype(float)
ITEMS = RNG.normal(size=(6, 3, 4))
ALIKE = np.array([1.0, 0.0, 1.0, 0.0, 0.0, 1.0])


@dataclass(frozen=True)
class Case:
    """A loss, outputs and targets, its meaning for each sample, who says so, and the outputs that it must survive."""

    loss: losses.Loss
    z: Array
    y: Array
    expected: Callable[[Array, Array], Array]
    source: str = "NumPy"
    extreme: float = 1e4


def log_softmax(z: Array) -> Array:
    return scipy.special.log_softmax(z, axis=-1)


def cross_entropy(z: Array, y: Array) -> Array:
    if y.ndim == z.ndim:
        return -(y * log_softmax(z)).sum(axis=-1)
    return -np.take_along_axis(log_softmax(z), y[..., None], -1)[..., 0]


def smoothed(z: Array, y: Array) -> Array:
    t = y if y.ndim == z.ndim else np.eye(z.shape[-1])[y]
    return cross_entropy(z, 0.9 * t + 0.1 * t.sum(-1, keepdims=True) / z.shape[-1])


def binary(z: Array, y: Array) -> Array:
    return -(y * scipy.special.log_expit(z) + (1 - y) * scipy.special.log_expit(-z))


def focal(z: Array, y: Array, gamma: float = 2.0) -> Array:
    t = y if y.ndim == z.ndim else np.eye(z.shape[-1])[y]
    return -(t * (1 - scipy.special.softmax(z, -1)) ** gamma * log_softmax(z)).sum(-1)


def binary_focal(z: Array, y: Array) -> Array:
    p = scipy.special.expit(z)
    yes = 0.25 * y * (1 - p) ** 2 * scipy.special.log_expit(z)
    return -(yes + 0.75 * (1 - y) * p**2 * scipy.special.log_expit(-z))


def kl(z: Array, y: Array) -> Array:
    return scipy.special.rel_entr(y, scipy.special.softmax(z, axis=-1)).sum(-1)


def huber(error: Array, delta: float) -> Array:
    return scipy.special.huber(delta, error)


def log_cosh(error: Array) -> Array:
    return np.logaddexp(error, -error) - np.log(2)


def quantiles(z: Array) -> Array:
    return np.cumsum(np.concatenate([z[..., :1], np.logaddexp(0, z[..., 1:])], axis=-1), axis=-1)


def pinball(q: Array, y: Array, alphas: tuple[float, ...]) -> Array:
    """scikit-learn's pinball loss, sample by sample, its mean over the quantiles."""
    rows = [
        np.mean([sklearn.metrics.mean_pinball_loss([t], [v], alpha=a) for v, a in zip(row, alphas, strict=True)])
        for row, t in zip(q, y, strict=True)
    ]
    return np.array(rows)


def gaussian(z: Array, y: Array, least: float = 1e-6) -> Array:
    mean, raw = np.split(z, 2, axis=-1)
    return -scipy.stats.norm(mean, np.sqrt(np.logaddexp(0, raw) + least)).logpdf(y)


def half_deviance(z: Array, y: Array) -> Array:
    """scikit-learn's Poisson deviance, sample by sample."""
    return np.array([0.5 * sklearn.metrics.mean_poisson_deviance(t, np.exp(row)) for row, t in zip(z, y, strict=True)])


def hinge(z: Array, y: Array, margin: float = 1.0) -> Array:
    return np.where(y > 0.5, np.maximum(margin - z, 0), np.maximum(margin + z, 0))


def multi_margin(z: Array, y: Array, margin: float, power: int) -> Array:
    rows = []
    for scores, own in zip(z, y, strict=True):
        short = [max(0.0, margin - scores[own] + other) ** power for k, other in enumerate(scores) if k != own]
        rows.append(sum(short) / len(scores))
    return np.array(rows)


def multi_label_margin(z: Array, y: Array, margin: float = 1.0) -> Array:
    rows = []
    for scores, holds in zip(z, y, strict=True):
        pairs = [
            (a, b)
            for a, yes in zip(scores, holds, strict=True)
            if yes
            for b, no in zip(scores, holds, strict=True)
            if not no
        ]
        rows.append(sum(max(0.0, margin - a + b) for a, b in pairs) / len(scores))
    return np.array(rows)


def cosine(z: Array, y: Array, margin: float) -> Array:
    cosines = np.array([1 - scipy.spatial.distance.cosine(u, v) for u, v in z])
    return np.where(y > 0, 1 - cosines, np.maximum(cosines - margin, 0))


def ranking(z: Array, y: Array, margin: float) -> Array:
    gap = (z[:, 0] - z[:, 1]).mean(-1) if z.shape[-1] == 1 else None
    assert gap is not None
    return np.maximum(margin - np.where(y > 0, 1, -1) * gap, 0)


def triplet(z: Array, y: Array, margin: float) -> Array:
    distance = np.linalg.norm
    return np.array([max(0.0, margin + distance(a - p) - distance(a - q)) for a, p, q in z])


def contrastive(z: Array, y: Array, margin: float) -> Array:
    distances = np.linalg.norm(z[:, 0] - z[:, 1], axis=-1)
    return np.where(y > 0, distances**2, np.maximum(margin - distances, 0) ** 2) / 2


def fourth_power(output: ops.Tensor, target: ops.Tensor) -> ops.Tensor:
    return ops.square(ops.square(output - target))


L = losses
CASES: list[Case] = [
    Case(L.SquaredError(), LOGITS, SOFT, lambda z, y: ((z - y) ** 2).mean(1)),
    Case(L.SquaredError(scale=0.5, over="sum"), LOGITS, SOFT, lambda z, y: 0.5 * ((z - y) ** 2).sum(1)),
    Case(L.SquaredError(), LOGITS.reshape(6, 2, 2), SOFT.reshape(6, 2, 2), lambda z, y: ((z - y) ** 2).mean((1, 2))),
    Case(L.SquaredError(), LOGITS[:, 0], SOFT[:, 0], lambda z, y: (z - y) ** 2),
    Case(L.AbsoluteError(), LOGITS, VALUES, lambda z, y: np.abs(z - y).mean(1)),
    Case(L.AbsoluteError("sum"), LOGITS, VALUES, lambda z, y: np.abs(z - y).sum(1)),
    Case(L.Huber(), LOGITS, VALUES, lambda z, y: huber(z - y, 1.0).mean(1), "SciPy"),
    Case(L.Huber(2.5, "sum"), LOGITS, VALUES, lambda z, y: huber(z - y, 2.5).sum(1), "SciPy"),
    Case(L.SmoothL1(), LOGITS, VALUES, lambda z, y: huber(z - y, 1.0).mean(1), "SciPy"),
    Case(L.SmoothL1(2.5), LOGITS, VALUES, lambda z, y: huber(z - y, 2.5).mean(1) / 2.5, "SciPy"),
    Case(L.LogCosh(), LOGITS, VALUES, lambda z, y: log_cosh(z - y).mean(1)),
    Case(
        L.Quantile(),
        LOGITS[:, :3],
        VALUES[:, 0],
        lambda z, y: pinball(quantiles(z), y, (0.1, 0.5, 0.9)),
        "scikit-learn",
    ),
    Case(
        L.Quantile((0.25, 0.75), True),
        LOGITS[:, :2],
        VALUES[:, 0],
        lambda z, y: pinball(z, y, (0.25, 0.75)),
        "scikit-learn",
    ),
    Case(L.Quantile((0.3,)), LOGITS[:, :1], VALUES[:, 0], lambda z, y: pinball(z, y, (0.3,)), "scikit-learn"),
    Case(L.GaussianLikelihood(constant=True), LOGITS, VALUES[:, :2], lambda z, y: gaussian(z, y).mean(1), "SciPy"),
    Case(
        L.GaussianLikelihood(0.5, over="sum"),
        LOGITS,
        VALUES[:, :2],
        lambda z, y: gaussian(z, y, 0.5).sum(1) - np.log(2 * np.pi),
        "SciPy",
    ),
    Case(L.Poisson(), LOGITS, COUNTS, lambda z, y: (np.exp(z) - y * z).mean(1), extreme=80),
    Case(L.Poisson("deviance"), LOGITS, COUNTS, half_deviance, "scikit-learn", extreme=80),
    Case(L.CrossEntropy(), LOGITS, LABELS, cross_entropy, "SciPy"),
    Case(L.CrossEntropy(), LOGITS, SOFT, cross_entropy, "SciPy"),
    Case(L.CrossEntropy(), LOGITS, 2.5 * SOFT, cross_entropy, "SciPy"),
    Case(
        L.CrossEntropy(),
        LOGITS.reshape(3, 2, 4),
        LABELS.reshape(3, 2),
        lambda z, y: cross_entropy(z, y).mean(1),
        "SciPy",
    ),
    Case(L.CrossEntropy(0.1), LOGITS, LABELS, smoothed, "SciPy"),
    Case(L.CrossEntropy(0.1), LOGITS, SOFT, smoothed, "SciPy"),
    Case(L.KLDivergence(), LOGITS, SOFT, kl, "SciPy", extreme=300),
    Case(L.KLDivergence(), LOGITS, np.eye(4)[LABELS], kl, "SciPy", extreme=300),
    Case(L.NegativeLogLikelihood(), log_softmax(LOGITS), LABELS, lambda z, y: -z[np.arange(6), y]),
    Case(L.NegativeLogLikelihood(), log_softmax(LOGITS), SOFT, lambda z, y: -(z * y).sum(1)),
    Case(L.Focal(), LOGITS, LABELS, focal, "SciPy"),
    Case(L.Focal(0.5), LOGITS / 3, SOFT, lambda z, y: focal(z, y, 0.5), "SciPy"),
    Case(L.Focal(0.0), LOGITS, LABELS, cross_entropy, "SciPy"),
    Case(L.MultiMargin(), LOGITS, LABELS, lambda z, y: multi_margin(z, y, 1.0, 1)),
    Case(L.MultiMargin(2.0, 2), LOGITS, LABELS, lambda z, y: multi_margin(z, y, 2.0, 2)),
    Case(L.BinaryCrossEntropy(), LOGITS, BITS, lambda z, y: binary(z, y).mean(1), "SciPy"),
    Case(L.BinaryCrossEntropy(), LOGITS, SOFT, lambda z, y: binary(z, y).mean(1), "SciPy"),
    Case(L.BinaryCrossEntropy(over="sum"), LOGITS, BITS, lambda z, y: binary(z, y).sum(1), "SciPy"),
    Case(L.BinaryCrossEntropy(), LOGITS[:, :1], BITS[:, :1], lambda z, y: binary(z, y)[:, 0], "SciPy"),
    Case(L.BinaryFocal(), LOGITS, BITS, lambda z, y: binary_focal(z, y).mean(1), "SciPy"),
    Case(L.BinaryFocal(0.0, 0.5), LOGITS, SOFT, lambda z, y: binary(z, y).mean(1) / 2, "SciPy"),
    Case(L.Hinge(), LOGITS, BITS, lambda z, y: hinge(z, y).mean(1)),
    Case(L.Hinge(0.0), LOGITS, BITS, lambda z, y: hinge(z, y, 0.0).mean(1)),
    Case(L.SquaredHinge(2.0, "sum"), LOGITS, BITS, lambda z, y: (hinge(z, y, 2.0) ** 2).sum(1)),
    Case(L.MultiLabelMargin(), LOGITS, BITS, multi_label_margin),
    Case(L.CosineEmbedding(), ITEMS[:, :2], ALIKE, lambda z, y: cosine(z, y, 0.0), "SciPy"),
    Case(L.CosineEmbedding(-0.5), ITEMS[:, :2], ALIKE, lambda z, y: cosine(z, y, -0.5), "SciPy"),
    Case(L.MarginRanking(), ITEMS[:, :2, :1], ALIKE, lambda z, y: ranking(z, y, 0.0)),
    Case(L.MarginRanking(0.5), ITEMS[:, :2, :1], ALIKE, lambda z, y: ranking(z, y, 0.5)),
    Case(L.Triplet(), ITEMS, ALIKE, lambda z, y: triplet(z, y, 1.0)),
    Case(L.Triplet(0.2), ITEMS, ALIKE, lambda z, y: triplet(z, y, 0.2)),
    Case(L.Contrastive(), ITEMS[:, :2], ALIKE, lambda z, y: contrastive(z, y, 1.0)),
    Case(L.Contrastive(4.0), ITEMS[:, :2], ALIKE, lambda z, y: contrastive(z, y, 4.0)),
    Case(L.FunctionLoss(fourth_power), LOGITS, VALUES, lambda z, y: ((z - y) ** 4).mean(1)),
]


def shaped(output: tuple[int, ...]) -> nn.Layer:
    """A layer that brings twelve numbers a sample to an output of a shape."""
    return nn.Function(lambda z: ops.reshape(z[:, : math.prod(output)], (z.shape[0], *output)))


def samples(name: str, n: int, seed: int = 0) -> tuple[tuple[int, ...], Array]:
    """The shape of one sample's output, and n targets, that the loss of a name takes."""
    case = next(case for case in CASES if type(case.loss) is L.LOSSES[name])
    rows = np.random.default_rng(seed).permutation(np.arange(n) % len(case.y))
    return case.z.shape[1:], case.y[rows]
