"""Everything that is written from primitives, each in its numerically safe form."""

from __future__ import annotations

import math
from collections.abc import Callable

from clearprop.errors import ShapeError
from clearprop.ir import Batch, Shape, dims_product
from clearprop.ops.elementwise import astype, stop_gradient
from clearprop.ops.indexing import arange, random_bits
from clearprop.ops.reductions import Axis, max, normal_axes, sum
from clearprop.ops.shaping import permute_dims
from clearprop.ops.tensor import (
    Tensor,
    TensorLike,
    as_tensor,
    binary,
    broadcast_shapes,
    broadcast_to,
    emit,
    matmul,
    reshape,
)
from clearprop.ops.windows import conv, windows


def _unary(op: str, text: str) -> Callable[[Tensor], Tensor]:
    def function(x: Tensor) -> Tensor:
        return emit(op, x)

    function.__name__, function.__doc__ = op, text
    return function


negative = _unary("negative", "-x, elementwise.")
exp = _unary("exp", "e to the power of x, elementwise.")
expm1 = _unary("expm1", "exp(x) - 1, exact for small x.")
log = _unary("log", "The natural logarithm, elementwise.")
log1p = _unary("log1p", "log(1 + x), exact for small x.")
sqrt = _unary("sqrt", "The square root, elementwise.")
tanh = _unary("tanh", "The hyperbolic tangent, elementwise.")
sigmoid = _unary("sigmoid", "The logistic function 1 / (1 + exp(-x)), elementwise.")
erf = _unary("erf", "The error function, elementwise.")
sin = _unary("sin", "The sine, elementwise.")
cos = _unary("cos", "The cosine, elementwise.")
arctan = _unary("arctan", "The inverse tangent, elementwise.")
abs = _unary("abs", "The absolute value, elementwise; its derivative at 0 is 0.")
sign = _unary("sign", "-1, 0 or 1, elementwise; its derivative is 0.")
logical_not = _unary("logical_not", "Not, elementwise.")


def _binary(op: str, text: str) -> Callable[[TensorLike, TensorLike], Tensor]:
    def function(x: TensorLike, y: TensorLike) -> Tensor:
        return binary(op, x, y)

    function.__name__, function.__doc__ = op, text
    return function


add = _binary("add", "x + y, broadcast as NumPy does.")
subtract = _binary("subtract", "x - y, broadcast as NumPy does.")
multiply = _binary("multiply", "x y, broadcast as NumPy does.")
divide = _binary("divide", "x / y, broadcast as NumPy does.")
power = _binary("power", "x to the power of y, broadcast as NumPy does.")
maximum = _binary("maximum", "The larger of x and y; at a tie the derivative goes to y.")
minimum = _binary("minimum", "The smaller of x and y; at a tie the derivative goes to y.")
equal = _binary("equal", "x == y, elementwise.")
less = _binary("less", "x < y, elementwise.")
less_equal = _binary("less_equal", "x <= y, elementwise.")
logical_and = _binary("logical_and", "And, elementwise.")


def where(condition: Tensor, x: TensorLike, y: TensorLike) -> Tensor:
    """Choose x where the condition holds and y elsewhere, broadcast as NumPy does."""
    dtype = x.dtype if isinstance(x, Tensor) else y.dtype if isinstance(y, Tensor) else "float32"
    a, b = as_tensor(x, dtype), as_tensor(y, dtype)
    shape = broadcast_shapes(condition.shape, broadcast_shapes(a.shape, b.shape))
    return emit("where", *(broadcast_to(part, shape) for part in (condition, a, b)))


def logical_or(x: Tensor, y: Tensor) -> Tensor:
    """Or, elementwise."""
    return logical_not(logical_and(logical_not(x), logical_not(y)))


def square(x: Tensor) -> Tensor:
    """x x, elementwise."""
    return x * x


def min(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Smallest element over axes; the derivative is shared equally between ties."""
    return -max(-x, axis, keepdims)


def element_count(x: Tensor, axis: Axis = None) -> Tensor:
    """The number of elements along axes, as a scalar tensor of x's dtype; it may be a multiple of the batch."""
    count, power = dims_product(x.shape[i] for i in normal_axes(axis, x.rank))
    if power > 1:
        raise ShapeError(f"the number of elements of {x.type} over axes {axis} is not a multiple of the batch n")
    return emit("constant", value=Batch(count) if power else float(count), dtype=x.dtype, shape=())


def mean(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Arithmetic mean over axes: sum / count."""
    return sum(x, axis, keepdims) / element_count(x, axis)


def var(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Variance over axes, in two passes: mean((x - mean(x))^2)."""
    return mean(square(x - mean(x, axis, keepdims=True)), axis, keepdims)


def norm(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Euclidean norm over axes: sqrt(sum(x^2)); its derivative at the zero vector is 0."""
    total = sum(square(x), axis, keepdims)
    zero = total == 0.0
    return where(zero, 0.0, sqrt(where(zero, 1.0, total)))


def relu(x: Tensor) -> Tensor:
    """max(x, 0); the derivative at 0 is 0."""
    return maximum(x, 0.0)


def clip(x: Tensor, low: float, high: float) -> Tensor:
    """x held within [low, high]; the derivative is 0 at both ends and beyond."""
    return minimum(maximum(x, low), high)


def leaky_relu(x: Tensor, slope: float = 0.01) -> Tensor:
    """x for x > 0, else slope x; the derivative at 0 is the slope."""
    return where(x > 0.0, x, x * slope)


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|)), which does not overflow.

    -|x| is written as a choice of -x and x, so that the derivative at 0 is sigmoid(0) = 1/2.
    """
    return maximum(x, 0.0) + log1p(exp(where(x > 0.0, -x, x)))


def log_sigmoid(x: Tensor) -> Tensor:
    """log(sigmoid(x)) = -softplus(-x)."""
    return -softplus(-x)


def logsumexp(x: Tensor, axis: Axis = -1, keepdims: bool = False) -> Tensor:
    """log(sum(exp(x))) = m + log(sum(exp(x - m))) with m the largest element, which does not overflow."""
    top = max(x, axis, keepdims=True)
    top = stop_gradient(where(abs(top) < math.inf, top, 0.0))
    total = log(sum(exp(x - top), axis, keepdims=True)) + top
    axes = normal_axes(axis, x.rank)
    return total if keepdims else reshape(total, tuple(d for i, d in enumerate(x.shape) if i not in axes))


def softmax(x: Tensor, axis: Axis = -1) -> Tensor:
    """exp(x) / sum(exp(x)), shifted by the largest element so that it does not overflow."""
    e = exp(x - stop_gradient(max(x, axis, keepdims=True)))
    return e / sum(e, axis, keepdims=True)


def log_softmax(x: Tensor, axis: Axis = -1) -> Tensor:
    """x - logsumexp(x), which keeps small probabilities exact."""
    shifted = x - stop_gradient(max(x, axis, keepdims=True))
    return shifted - log(sum(exp(shifted), axis, keepdims=True))


def one_hot(indices: Tensor, size: int, dtype: str) -> Tensor:
    """1 at position indices[...] of a new last axis of `size`, 0 elsewhere; all 0 for an index outside of it."""
    if not indices.dtype.startswith(("int", "uint")):
        raise ShapeError(f"one_hot needs integer indices, received {indices.type}")
    return astype(reshape(indices, (*indices.shape, 1)) == arange(size, indices.dtype), dtype)


def uniform(key: Tensor, step: Tensor, stream: int, shape: Shape, dtype: str) -> Tensor:
    """Uniform numbers in [0, 1): the upper 24 of 32 random bits, times 2^-24, in either float dtype."""
    bits = random_bits(key, step, stream, shape)
    shift = broadcast_to(as_tensor(8, "uint32"), shape)
    return astype(emit("bitwise_right_shift", bits, shift), dtype) * 2.0**-24


def flatten(x: Tensor) -> Tensor:
    """Read each sample as one row: (n, 28, 28) becomes (n, 784)."""
    count = math.prod(dim for dim in x.shape[1:] if isinstance(dim, int))
    return reshape(x, (x.shape[0], count))


def grouped_conv(x: Tensor, w: Tensor, groups: int, stride: tuple[int, ...], dilation: tuple[int, ...]) -> Tensor:
    """Convolution in which channels and outputs are shared out, in order, over groups that do not see each other.

    Args:
        x: (n, *lengths, channels).
        w: (*kernel, channels / groups, outputs).
        groups: how many; 1 is `conv`, and as many as there are channels makes each output see one channel.
        stride: as for `conv`.
        dilation: as for `conv`.

    Returns y (n, *places, outputs).
    """
    if groups == 1:
        return conv(x, w, stride, dilation)
    rank = x.rank - 2
    kernel, (inputs, outputs) = tuple(range(rank)), _fixed(w)[-2:]
    if x.shape[-1] != groups * inputs or outputs % groups:
        raise ShapeError(f"{groups} groups do not share out {x.shape[-1]} channels and w {w.type}")
    patches = windows(
        x, tuple(range(1, rank + 1)), _fixed(w)[:rank], stride, dilation
    )  # (n, *places, channels, *kernel)
    places, each = patches.shape[: rank + 1], outputs // groups
    grouped = reshape(w, (*w.shape[:-1], groups, each))
    if inputs == 1:
        w = permute_dims(grouped, (rank + 1, rank + 2, rank, *kernel))  # (groups, each, 1, *kernel)
        w = reshape(w, (groups, each, *w.shape[3:]))
        patches = reshape(patches, (*places, groups, 1, *patches.shape[rank + 2 :]))
        return reshape(sum(patches * w, tuple(range(rank + 3, patches.rank))), (*places, outputs))
    w = reshape(permute_dims(grouped, (rank + 1, rank, *kernel, rank + 2)), (groups, -1, each))
    patches = reshape(patches, (-1, groups, w.shape[1]))
    products = matmul(permute_dims(patches, (1, 0, 2)), w)  # (groups, n places, each)
    return reshape(permute_dims(products, (1, 0, 2)), (*places, outputs))


def _fixed(x: Tensor) -> tuple[int, ...]:
    """Return the shape of a tensor without the batch."""
    return tuple(dim for dim in x.shape if isinstance(dim, int))
