"""Random programs: to try passes, derivatives and backends on what nobody thought of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from clearprop import ops
from clearprop.errors import ShapeError
from clearprop.ir import Batch, Program, Type
from clearprop.ops import Tensor

Step = Callable[[Tensor, Tensor, np.random.Generator], Tensor]

_SMOOTH: tuple[Step, ...] = (
    lambda x, y, rng: ops.tanh(x),
    lambda x, y, rng: ops.sigmoid(x),
    lambda x, y, rng: ops.sin(x),
    lambda x, y, rng: ops.cos(x),
    lambda x, y, rng: ops.arctan(x),
    lambda x, y, rng: ops.erf(x),
    lambda x, y, rng: ops.softplus(x),
    lambda x, y, rng: ops.exp(-ops.square(x)),
    lambda x, y, rng: ops.sqrt(1.0 + x * x),
    lambda x, y, rng: ops.log1p(ops.square(x)),
    lambda x, y, rng: ops.expm1(ops.tanh(x)),
    lambda x, y, rng: x + y,
    lambda x, y, rng: x - y,
    lambda x, y, rng: x * ops.tanh(y),
    lambda x, y, rng: x / (1.5 + ops.sin(y)),
    lambda x, y, rng: (1.0 + ops.square(ops.tanh(x))) ** ops.tanh(y),
    lambda x, y, rng: ops.permute_dims(x),
    lambda x, y, rng: ops.reshape(x, tuple(reversed(x.shape))) if x.rank == 2 else x * 0.5,
    lambda x, y, rng: ops.concat([x, -x], axis=-1) if x.rank else x,
    lambda x, y, rng: ops.tanh(ops.multiply(*ops.split(ops.concat([x, y], -1), 2, -1))) if x.rank else ops.sin(x),
    lambda x, y, rng: _looped(x, y, bool(rng.integers(2))),
    lambda x, y, rng: ops.stack([x, y]) if x.rank == 1 and x.shape == y.shape else ops.cos(x),
    lambda x, y, rng: x[..., ::2] if x.rank and isinstance(x.shape[-1], int) else x * x,
    lambda x, y, rng: (
        ops.pad(x, (0,) * (x.rank - 1) + (1,), (0,) * x.rank, (0,) * (x.rank - 1) + (1,))
        if x.rank and isinstance(x.shape[-1], int)
        else ops.sin(x)
    ),
    lambda x, y, rng: ops.mean(x, axis=_axis(x, rng), keepdims=bool(rng.integers(2))),
    lambda x, y, rng: ops.sum(x, axis=_axis(x, rng), keepdims=True) * 0.25,
    lambda x, y, rng: ops.matmul(x, y) * 0.5,
    lambda x, y, rng: ops.softmax(x) if x.rank and isinstance(x.shape[-1], int) else ops.tanh(x),
    lambda x, y, rng: ops.logsumexp(x) if x.rank and isinstance(x.shape[-1], int) else ops.tanh(x),
    lambda x, y, rng: ops.flip(x, (x.rank - 1,)) if x.rank and isinstance(x.shape[-1], int) else ops.sin(x),
    lambda x, y, rng: _padded(x, rng) if x.rank and isinstance(x.shape[-1], int) else ops.sin(x),
    lambda x, y, rng: _cut(x, rng) if x.rank and isinstance(x.shape[-1], int) else ops.sin(x),
    lambda x, y, rng: _put_together(x, rng) if x.rank and isinstance(x.shape[-1], int) else ops.sin(x),
    lambda x, y, rng: _behind_a_batch(x) if x.rank and isinstance(x.shape[0], Batch) else ops.sin(x),
    lambda x, y, rng: _mean_of_windows(x, rng) if x.rank == 2 else ops.cos(x),
    lambda x, y, rng: _convolved(x, y) if x.rank == 2 and y.rank in (1, 2) else ops.tanh(x),
)
_EXACT: tuple[Step, ...] = (  # steps that passes rewrite
    lambda x, y, rng: x * 1.0,
    lambda x, y, rng: 1.0 * x,
    lambda x, y, rng: x - 0.0,
    lambda x, y, rng: x + 0.0,
    lambda x, y, rng: x * 0.0 + y,
    lambda x, y, rng: ops.negative(ops.negative(x)),
    lambda x, y, rng: x**1.0,
    lambda x, y, rng: x / 1.0,
    lambda x, y, rng: x + ops.exp(ops.constant(0.5, x.dtype)) * 2.0,
    lambda x, y, rng: ops.sin(x) + ops.sin(x),
    lambda x, y, rng: ops.permute_dims(ops.permute_dims(x)) + y,
)
_KINKED: tuple[Step, ...] = (
    lambda x, y, rng: ops.abs(x),
    lambda x, y, rng: ops.sign(x) * y,
    lambda x, y, rng: ops.relu(x),
    lambda x, y, rng: ops.maximum(x, y),
    lambda x, y, rng: ops.minimum(x, y),
    lambda x, y, rng: ops.where(x < y, x, y * 0.5),
    lambda x, y, rng: ops.where(x == x, x, y),
    lambda x, y, rng: ops.max(x, axis=-1) if x.rank and isinstance(x.shape[-1], int) else ops.abs(x),
    lambda x, y, rng: ops.stop_gradient(x) * y,
    lambda x, y, rng: ops.astype(ops.astype(x, "int32"), x.dtype) + y,
)


def random_program(seed: int, steps: int = 8, dtype: str = "float64", smooth: bool = False) -> Program:
    """Return a program of random steps over x[n, 3], W[3, 3] and b[3], with the outputs loss[] and last.

    Args:
        seed: which program.
        steps: how many steps; each is one to about six nodes.
        dtype: float32 or float64.
        smooth: leave out what has kinks or no derivative, so that the gradient check holds everywhere.
    """
    rng = np.random.default_rng(seed)
    choices = _SMOOTH + _EXACT + (() if smooth else _KINKED)
    types = {"x": Type(dtype, (Batch(), 3)), "W": Type(dtype, (3, 3)), "b": Type(dtype, (3,))}

    def write(*inputs: Tensor) -> dict[str, Tensor]:
        pool = list(inputs)
        loss = ops.mean(ops.tanh(ops.matmul(inputs[0], inputs[1])))
        for _ in range(steps):
            x, y = (pool[int(rng.integers(max(len(pool) - 4, 0), len(pool)))] for _ in range(2))
            step = choices[int(rng.integers(len(choices)))]
            pool.append(_attempt(step, x, y, rng))
            loss = loss + ops.mean(ops.tanh(pool[-1]))
        return {"loss": loss, "last": pool[-1]}

    return ops.trace(write, types, f"random{seed}")


def _attempt(step: Step, x: Tensor, y: Tensor, rng: np.random.Generator) -> Tensor:
    """Take the step where the shapes allow it; what a failed attempt wrote is dead code for a pass to drop."""
    try:
        result = step(x, y, rng)
        ops.element_count(result)
    except ShapeError:
        return ops.sin(x)
    return result if result.rank <= 3 and 0 not in result.shape else ops.cos(x)


def _padded(x: Tensor, rng: np.random.Generator) -> Tensor:
    """The last axis with up to two zeros before, after and between its elements."""
    low, high, interior = (tuple(map(int, (0,) * (x.rank - 1) + (rng.integers(3),))) for _ in range(3))
    return ops.pad(x, low, high, interior)


def _cut(x: Tensor, rng: np.random.Generator) -> Tensor:
    """A part of the last axis, or every other element of it."""
    size = x.shape[-1]
    assert isinstance(size, int)
    start = int(rng.integers(size)) if size else 0
    return x[..., start : int(rng.integers(start, size)) + 1 if size else 0 : int(rng.integers(1, 3))]


def _put_together(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Each element as a window of two, which overlap, lie side by side, or leave a gap."""
    size, stride = x.shape[-1], int(rng.integers(1, 4))
    assert isinstance(size, int)
    pairs = ops.stack([x, x * 0.5], axis=x.rank)
    return ops.overlap_add(pairs, (x.rank - 1,), (max(size - 1, 0) * stride + 2,), (stride,), (1,))


def _behind_a_batch(x: Tensor) -> Tensor:
    """A batch of zeros before the rows, and both halves added."""
    rest = (0,) * (x.rank - 1)
    both = ops.pad(x, (x.shape[0], *rest), (0, *rest))
    return ops.sum(ops.reshape(both, (2, *x.shape)), axis=0)


def _mean_of_windows(x: Tensor, rng: np.random.Generator) -> Tensor:
    """The means of windows of two along the last axis."""
    return ops.mean(ops.windows(x, (1,), (2,), (int(rng.integers(1, 3)),)), axis=2)


def _convolved(x: Tensor, y: Tensor) -> Tensor:
    """The rows of x as signals of one channel, each convolved with y, or with the mean of its rows."""
    kernel = y if y.rank == 1 else ops.mean(y, axis=0)
    signals, kernel = ops.reshape(x, (*x.shape, 1)), ops.reshape(kernel, (*kernel.shape, 1, 1))
    return ops.reshape(ops.conv(signals, kernel), (x.shape[0], -1)) * 0.5


def _looped(x: Tensor, y: Tensor, reverse: bool) -> Tensor:
    """Two states and two results over three time steps."""

    def step(h: Tensor, c: Tensor, z: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        new = ops.tanh(h * z + c)
        return [new, h], [new, new - c]

    (h, _), (a, b) = ops.scan(step, [x, y if y.type == x.type else ops.sin(x)], [ops.stack([x, -x, x])], None, reverse)
    return h + ops.mean(a * b, axis=0)


def _axis(x: Tensor, rng: np.random.Generator) -> int | None:
    return int(rng.integers(x.rank)) if x.rank and rng.integers(3) else None
