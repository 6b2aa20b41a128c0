"""Convolutions of few outputs: neighbouring places share a vector, which one place would fill in part only.

With p places next to each other as one, a convolution has p times as many outputs, and a kernel that is longer by
(p - 1) stride, whose new elements are zeros:

    conv(x, w)        becomes  reshape(conv(x, [w 0; 0 w], stride p))
    conv(x^T, g^T)    becomes  the sum over i < p of a slice of conv(x^T, reshape(g)^T, dilation p)

The second form is that of the derivative in w; both are exact for finite numbers.
"""

from __future__ import annotations

from clearprop.backends.native.emitter import BYTES
from clearprop.backends.native.pooling import Rewriter
from clearprop.backends.native.targets import Target
from clearprop.backends.native.views import numbers
from clearprop.ir import Batch, Dim, Node, Program, Type, Value

_MOST, _GAIN = 4, 1.25
"""The most places in one, and how much faster that has to be."""


def with_wide_columns(program: Program, target: Target) -> Program:
    """Let places share vectors in the convolutions that gain by it."""
    if not any(node.op == "conv" for node in program.nodes):
        return program
    return _Widener(program, target).program()


class _Widener(Rewriter):
    mark = "wide"

    def __init__(self, program: Program, target: Target) -> None:
        super().__init__(program)
        self.target = target

    def program(self) -> Program:
        for original in self.source.nodes:
            node = self.follow(original)
            if node.op != "conv" or not (self._wide_kernel(node) or self._wide_result(node)):
                self.append(node)
        return self.finish()

    def _together(self, node: Node, length: Dim, size: Dim, step: int) -> int:
        """Return how many of `length` places become one, where the size grows by `step` for each more; 1 for none."""
        outputs, lanes = node.outputs[0].type.shape[-1], self.target.lanes(BYTES[node.outputs[0].type.dtype])
        if isinstance(outputs, Batch) or isinstance(length, Batch) or isinstance(size, Batch):
            return 1

        def use(count: int) -> float:
            columns = count * outputs
            return columns / (-(-columns // lanes) * lanes) * size / (size + (count - 1) * step)

        best = max((count for count in range(1, _MOST + 1) if length % count == 0), key=use)
        return best if use(best) > _GAIN * use(1) else 1

    def _wide_kernel(self, node: Node) -> bool:
        """Write places of the result as one."""
        x, w = node.inputs
        shape, last = node.outputs[0].type.shape, w.type.rank - 3
        strides, gaps = numbers(node, "stride"), numbers(node, "dilation")
        count = self._together(node, shape[-2], w.type.shape[last], strides[-1])
        channels = w.type.shape[-2]
        if (
            count == 1
            or gaps[-1] != 1
            or isinstance(channels, Batch)
            or any(isinstance(k, Batch) for k in w.type.shape)
        ):
            return False
        more = (count - 1) * strides[-1]
        longer = self._longer(w.type.shape, last, more)
        parts = []
        for i in range(count):
            low = tuple(i * strides[-1] if axis == last else 0 for axis in range(w.type.rank))
            high = tuple(more - i * strides[-1] if axis == last else 0 for axis in range(w.type.rank))
            attrs = {"low": low, "high": high, "interior": (0,) * w.type.rank}
            parts.append(self.write("pad", (w,), attrs, w, Type(w.type.dtype, longer)))
        wide = (*longer[:-1], _times(longer[-1], count))
        joined = self.write("concat", parts, {"axis": w.type.rank - 1}, w, Type(w.type.dtype, wide))
        made = (*shape[:-2], _times(shape[-2], 1, count), wide[-1])
        attrs_ = {"stride": (*strides[:-1], strides[-1] * count), "dilation": gaps}
        result = self.write("conv", (x, joined), attrs_, node.outputs[0], Type(w.type.dtype, made))
        self.append(Node("reshape", (result,), {"shape": shape}, node.outputs))
        return True

    @staticmethod
    def _longer(shape: tuple[Dim, ...], axis: int, more: int) -> tuple[Dim, ...]:
        return tuple(_plus(dim, more) if i == axis else dim for i, dim in enumerate(shape))

    def _wide_result(self, node: Node) -> bool:
        """Write places of the cotangent, which are the kernel here, as one."""
        x, w = node.inputs
        made, rank = self.made.get(w), w.type.rank
        order = (*range(1, rank - 1), 0, rank - 1)
        strides, gaps = numbers(node, "stride"), numbers(node, "dilation")
        if made is None or made.op != "permute_dims" or made.attrs["axes"] != order or strides[-1] != 1:
            return False
        g, shape = made.inputs[0], node.outputs[0].type.shape
        count = self._together(node, g.type.shape[-2], shape[-2], gaps[-1])
        if count == 1:
            return False
        outputs = shape[-1]
        flat = (*g.type.shape[:-2], _times(g.type.shape[-2], 1, count), _times(outputs, count))
        wide = self.write("reshape", (g,), {"shape": flat}, g, Type(g.type.dtype, flat))
        turned = tuple(flat[axis] for axis in order)
        kernel = self.write("permute_dims", (wide,), {"axes": order}, g, Type(g.type.dtype, turned))
        more = (count - 1) * gaps[-1]
        sums = (*self._longer(shape[:-1], rank - 2, more), flat[-1])
        attrs = {"stride": strides, "dilation": (*gaps[:-1], gaps[-1] * count)}
        together = self.write("conv", (x, kernel), attrs, node.outputs[0], Type(g.type.dtype, sums))
        self._add_slices(together, node, count, gaps[-1])
        return True

    def _add_slices(self, together: Value, node: Node, count: int, step: int) -> None:
        """Add up what the places that were one have to give."""
        shape = node.outputs[0].type.shape
        total: Value | None = None
        for i in range(count):
            start = (*(0 for _ in shape[:-2]), i * step, _times(shape[-1], i))
            stop = (*shape[:-2], _plus(shape[-2], i * step), _times(shape[-1], i + 1))
            attrs = {"start": start, "stop": stop, "step": (1,) * len(shape)}
            part = self.write("slice", (together,), attrs, node.outputs[0], node.outputs[0].type)
            if total is None:
                total = part
            elif i < count - 1:
                total = self.write("add", (total, part), {}, node.outputs[0], node.outputs[0].type)
            else:
                self.append(Node("add", (total, part), {}, node.outputs))


def _times(dim: Dim, factor: int, divisor: int = 1) -> Dim:
    assert isinstance(dim, int)
    return dim * factor // divisor


def _plus(dim: Dim, more: int) -> Dim:
    assert isinstance(dim, int)
    return dim + more
