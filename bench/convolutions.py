"""How much of the cores' peak each convolution of the image workloads reaches, in each of its three passes, alone."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from clearprop import ops
from clearprop.backends.native import Native
from clearprop.backends.native.peak import measure_peak
from clearprop.bench import ImageWorkload, Workload
from clearprop.bench.images import Conv, Mean, Residual, after
from clearprop.grad import derive, replay
from clearprop.ir import Batch, Program, Type, resolve_shape
from clearprop.nn import Conv2D, DepthwiseConv2D
from clearprop.nn.convolution import Windowed
from clearprop.ops import Tensor
from clearprop.ops.windows import conv_transpose
from clearprop.passes import optimize

_WORK, _MOST = 100_000_000, 16
"""So many operations a call, made by several filters or cotangents, but by no more than `_MOST` of them: calling costs
next to nothing then."""

_CALLS = 5
"""So many calls are timed at least."""


@dataclass(frozen=True)
class Convolution:
    """A convolution as a workload has it: (height, width, channels) of its input, padded already.

    Attributes:
        workload: its name.
        batch: how many images.
        shape: of a padded image.
        kernel, filters, stride: of the convolution.
        depthwise: whether each channel has one filter of its own.
        is_first: whether it sees the data, so that nothing asks for the derivative in its input.
    """

    workload: str
    batch: int
    shape: tuple[int, int, int]
    kernel: int
    filters: int
    stride: int = 1
    depthwise: bool = False
    is_first: bool = False

    @property
    def places(self) -> tuple[int, int]:
        """Height and width of the result."""
        height, width = ((side - self.kernel) // self.stride + 1 for side in self.shape[:2])
        return height, width

    @property
    def flops(self) -> int:
        """Floating-point operations of a pass: multiply-adds, each counted as two."""
        each = 1 if self.depthwise else self.shape[2]
        return 2 * self.batch * math.prod(self.places) * self.kernel**2 * each * self.filters

    @property
    def name(self) -> str:
        """What it is, in short."""
        kind = "each" if self.depthwise else f"to {self.filters}"
        stride = f", stride {self.stride}" if self.stride > 1 else ""
        return f"{self.kernel}x{self.kernel}, {self.shape[2]} {kind}, {'x'.join(map(str, self.places))}{stride}"

    @property
    def filter_shape(self) -> tuple[int, int, int, int]:
        """The shape of its filters, as a layer has them."""
        return self.kernel, self.kernel, 1 if self.depthwise else self.shape[2], self.filters

    def layer(self) -> Windowed:
        """Return the layer; its padding is in the images."""
        if self.depthwise:
            return DepthwiseConv2D(self.kernel)
        return Conv2D(self.filters, self.kernel, stride=self.stride)


Write = Callable[[Convolution, int], Tensor]
"""Writes one pass, given its number among equal ones."""


@dataclass(frozen=True)
class Rates:
    """Which part of the peak the passes of a convolution reach, by pass and number of threads."""

    convolution: Convolution
    parts: dict[tuple[str, int], float]


def convolutions_of(workload: ImageWorkload) -> Iterator[Convolution]:
    """Give the convolutions of a workload in order."""
    shape = workload.shape
    for place, stage in enumerate(workload.stages):
        if isinstance(stage, Mean):
            return
        new = after(stage, shape)
        made = partial(Convolution, workload.name, workload.batch, filters=new[2], is_first=place == 0)
        if isinstance(stage, Conv):
            padded = _padded(shape, stage.kernel - 1 if stage.same else 0)
            yield made(padded, stage.kernel, depthwise=stage.depthwise)
        elif isinstance(stage, Residual):
            stride = shape[0] // new[0]
            yield made(_padded(shape, 2), 3, stride=stride)
            yield made(_padded(new, 2), 3)
            if stride > 1:
                yield made(shape, 1, stride=stride)
        shape = new


def _padded(shape: tuple[int, int, int], more: int) -> tuple[int, int, int]:
    return shape[0] + more, shape[1] + more, shape[2]


def measure_convolutions(workloads: Sequence[Workload], threads: Sequence[int], seconds: float) -> Iterator[Rates]:
    """Measure every convolution of image workloads; one that several workloads have is measured for the first."""
    seen = set[Convolution]()
    for workload in workloads:
        for convolution in convolutions_of(workload) if isinstance(workload, ImageWorkload) else ():
            anywhere = replace(convolution, workload="")
            if anywhere not in seen:
                seen.add(anywhere)
                parts = {}
                for name, write in PASSES.items():
                    if not (convolution.is_first and name == IN_INPUT):
                        parts |= {(name, n): _part(convolution, write, n, seconds) for n in threads}
                yield Rates(convolution, parts)


# -- the passes ------------------------------------------------------------------------------------------------


def program_of(convolution: Convolution, write: Write, copies: int) -> Program:
    """Return a program of some equal passes, each with filters or a cotangent of its own.

    Of results for all images it gives out those of the first image, so that the others lie in memory that is there
    from call to call, as in a step.
    """
    with ops.tracing("passes") as builder:
        results = [write(convolution, i) for i in range(copies)]
        if results[0].shape[0] == Batch():
            first = ops.placeholder("first", Type("int64", (1,)))
            results = [ops.take(result, first) for result in results]
        return optimize(builder.finish([(f"result{i}", result.value) for i, result in enumerate(results)]))


def _part(convolution: Convolution, write: Write, threads: int, seconds: float) -> float:
    """Return the part of the peak, the median; the peak is measured after each call, as a machine's speed varies."""
    copies = min(_MOST, max(1, -(-_WORK // convolution.flops)))
    program = program_of(convolution, write, copies)
    run = Native(threads=threads).compile(program)
    rng = np.random.default_rng(0)
    inputs = {
        value.name: rng.standard_normal(resolve_shape(value.type.shape, convolution.batch), np.float32)
        for value in program.inputs
        if value.type.dtype == "float32"
    } | {"first": np.zeros(1, np.int64)}
    run(inputs)
    parts: list[float] = []
    stop = time.perf_counter() + seconds
    while len(parts) < _CALLS or time.perf_counter() < stop:
        start = time.perf_counter()
        run(inputs)
        rate = 1e-9 * copies * convolution.flops / (time.perf_counter() - start)
        parts.append(rate / measure_peak(threads, 1))
    return statistics.median(parts)


def _placeholder(name: str, *shape: int, rows: bool = True) -> Tensor:
    """Return the input of a name, which several passes may share."""
    inputs = {value.name: value for value in ops.current_builder().inputs}
    if name in inputs:
        return Tensor(inputs[name])
    return ops.placeholder(name, Type("float32", (Batch(), *shape) if rows else shape))


def forward(convolution: Convolution, copy: int) -> Tensor:
    """Write the convolution of padded images."""
    w = _placeholder(f"w{copy}", *convolution.filter_shape, rows=False)
    return convolution.layer().linear(_placeholder("x", *convolution.shape), w)


def in_filters(convolution: Convolution, copy: int) -> Tensor:
    """Write the derivative in the filters."""
    with ops.tracing("objective") as builder:
        w = ops.placeholder("w", Type("float32", convolution.filter_shape))
        y = convolution.layer().linear(_placeholder("x", *convolution.shape), w)
        g = ops.placeholder("g", y.value.type)
        objective = builder.finish([("sum", ops.sum(y * g).value)])
    gradient = optimize(derive(objective, ["w"]).with_outputs("grad.w"))
    given = {
        "x": _placeholder("x", *convolution.shape),
        "g": _placeholder(f"g{copy}", *convolution.places, convolution.filters),
    }
    tensors = {value: given[value.name] for value in gradient.inputs if value.name in given}
    replay(gradient, tensors)
    return tensors[gradient.output("grad.w")]


def in_input(convolution: Convolution, copy: int) -> Tensor:
    """Write the derivative in the input: with stride 1 a convolution of the padded cotangent, which is given padded."""
    w = _placeholder(f"w{copy}", *convolution.filter_shape, rows=False)
    if convolution.stride > 1:
        g = _placeholder("g", *convolution.places, convolution.filters)
        return conv_transpose(g, w, convolution.shape[:2], (convolution.stride,) * 2, (1, 1))
    around = 2 * (convolution.kernel - 1)
    g = _placeholder("g", *_padded((*convolution.places, convolution.filters), around))
    turned = ops.flip(w, (0, 1))
    if convolution.depthwise:
        return convolution.layer().linear(g, turned)
    return ops.conv(g, ops.permute_dims(turned, (0, 1, 3, 2)))


FORWARD, IN_FILTERS, IN_INPUT = "forward", "in the filters", "in the input"
PASSES: dict[str, Write] = {FORWARD: forward, IN_FILTERS: in_filters, IN_INPUT: in_input}
"""What writes a pass, by its name."""
