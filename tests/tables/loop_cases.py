"""A loop with what few loops have in them: a convolution, and random numbers."""

from __future__ import annotations

from clearprop import ops
from clearprop.ir import Batch, Type
from clearprop.ops import Tensor

N = Batch()


def random_and_convolved(x: Tensor, h: Tensor, K: Tensor, key: Tensor) -> Tensor:
    """A recurrent convolution with a new dropout mask at every time step, which the loop counts."""

    def step(h: Tensor, count: Tensor, x_t: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        keep = ops.astype(ops.uniform(key, count, 7, h.shape, "float32") >= 0.4, h.dtype)
        seen = ops.pad(ops.concat([x_t, h * keep], axis=-1), (0, 1, 1, 0), (0, 1, 1, 0))
        h = ops.tanh(ops.conv(seen, K))
        return [h, count + 1], [h]

    (h, _), (states,) = ops.scan(step, [h, ops.constant(5, "int64")], [x])
    return ops.sum(ops.square(states)) + ops.sum(h)


CONVOLVED = {
    "x": Type("float64", (3, N, 4, 5, 2)),
    "h": Type("float64", (N, 4, 5, 3)),
    "K": Type("float64", (3, 3, 5, 3)),
    "key": Type("uint32", (2,)),
}
